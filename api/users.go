package api

import (
	"context"
	"net/http"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/image"
)

// A UserSession is the part of a Session that tells what uses an image.
type UserSession interface {
	Users(ctx context.Context, id image.ID) (image.Users, error)
}

// showUsers serves GET /vitrine/v1/images/{image}/users.
func (s *server) showUsers(w http.ResponseWriter, r *http.Request) error {
	id, err := imageID(r)
	if err != nil {
		return err
	}
	return s.answer(w, r, func() (any, error) {
		users, err := s.session(r).Users(r.Context(), id)
		return wire.UsersOf(users), err
	})
}
