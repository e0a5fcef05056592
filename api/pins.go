package api

import (
	"context"
	"net/http"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/image"
)

// A PinSession is the part of a Session that keeps images for guests.
type PinSession interface {
	Pins(ctx context.Context, id image.ID) ([]image.Pin, error)
	Pin(ctx context.Context, id image.ID, guest string) (image.Pin, error)
	Unpin(ctx context.Context, id image.ID, guest string) error
}

// listPins serves GET /vitrine/v1/images/{image}/pins.
func (s *server) listPins(w http.ResponseWriter, r *http.Request) error {
	id, err := imageID(r)
	if err != nil {
		return err
	}
	return s.answer(w, r, func() (any, error) {
		pins, err := s.session(r).Pins(r.Context(), id)
		return wire.PinsOf(pins), err
	})
}

// pinImage serves PUT /vitrine/v1/images/{image}/pins/{guest}.
func (s *server) pinImage(w http.ResponseWriter, r *http.Request) error {
	id, err := imageID(r)
	if err != nil {
		return err
	}
	guest, err := param(r, "guest")
	if err != nil {
		return err
	}
	pin, err := s.session(r).Pin(r.Context(), id, guest)
	if err != nil {
		return err
	}
	return s.answer(w, r, func() (any, error) { return wire.PinOf(pin), nil })
}

// unpinImage serves DELETE /vitrine/v1/images/{image}/pins/{guest}.
func (s *server) unpinImage(w http.ResponseWriter, r *http.Request) error {
	guest, err := param(r, "guest")
	if err != nil {
		return err
	}
	return s.onImage(w, r, func(session Session, id image.ID) error { return session.Unpin(r.Context(), id, guest) })
}
