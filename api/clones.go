package api

import (
	"context"
	"net/http"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/image"
)

// A CloneSession is the part of a Session that makes clones of images.
type CloneSession interface {
	Clone(ctx context.Context, id image.ID, want image.NewClone) (image.Clone, error)
}

// cloneImage serves POST /vitrine/v1/images/{image}/clones.
func (s *server) cloneImage(w http.ResponseWriter, r *http.Request) error {
	value, room, err := s.readJSON(r)
	defer room.release()
	if err != nil {
		return err
	}
	want, err := image.ParseClone(value)
	if err != nil {
		return err
	}
	id, err := imageID(r)
	if err != nil {
		return err
	}
	made, err := s.session(r).Clone(r.Context(), id, want)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusCreated, wire.Append(nil, wire.Clone(made)))
	return nil
}
