package api

import (
	"net/http"

	"github.com/vitrine-image/vitrine/api/wire"
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
