package api

import (
	"net/http"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/image"
)

// listLocations serves GET /v2/images/{image}/locations: a bare array.
func (s *server) listLocations(w http.ResponseWriter, r *http.Request) error {
	id, err := imageID(r)
	if err != nil {
		return err
	}
	locations, err := s.session(r).Locations(r.Context(), id)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, wire.AppendLocations(nil, locations))
	return nil
}

// addLocation serves POST /v2/images/{image}/locations: a location in, nothing out.
func (s *server) addLocation(w http.ResponseWriter, r *http.Request) error {
	value, room, err := s.readJSON(r)
	defer room.release()
	if err != nil {
		return err
	}
	add, err := image.ParseLocation(value)
	if err != nil {
		return err
	}
	id, err := imageID(r)
	if err != nil {
		return err
	}
	if err := s.session(r).AddLocation(r.Context(), id, add); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// documentsFor returns what documents show to the caller of the request. It costs nothing where they never show locations.
func (s *server) documentsFor(r *http.Request) wire.Options {
	opts := s.documents
	if opts.DirectURL || opts.Locations {
		opts.MayLocate = s.session(r).ShowsLocations(r.Context())
	}
	return opts
}
