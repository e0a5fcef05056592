package imageservice

import (
	"context"

	"github.com/vitrine-image/vitrine/events"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/policy"
)

// Locations returns where the data of an image lies. Their URLs may carry credentials: they are for other services.
// Errors: image.ErrNotFound, image.ErrForbidden.
func (s *Session) Locations(ctx context.Context, id image.ID) (_ []image.Location, err error) {
	defer s.record(ctx, onImage(events.ShowLocations, id), &err)
	img, err := s.permitted(ctx, id, policy.FetchImageLocation)
	if err != nil {
		return nil, err
	}
	return img.Locations, nil
}
