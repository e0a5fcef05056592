package api

import (
	"context"
	"net/http"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/image"
)

// A SumSession is the part of a Session that tells the sums of an image's content.
type SumSession interface {
	Sums(ctx context.Context, id image.ID) ([]image.ContentSum, error)
}

// listSums serves GET /vitrine/v1/images/{image}/sums.
func (s *server) listSums(w http.ResponseWriter, r *http.Request) error {
	id, err := imageID(r)
	if err != nil {
		return err
	}
	return s.answer(w, r, func() (any, error) {
		sums, err := s.session(r).Sums(r.Context(), id)
		return wire.NewSums(sums), err
	})
}
