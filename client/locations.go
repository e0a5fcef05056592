package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/vitrine-image/vitrine/image"
)

// Locations returns where the data of an image lies, for services and administrators. Errors: image.ErrNotFound,
// image.ErrForbidden.
func (c *Client) Locations(ctx context.Context, id image.ID) ([]image.Location, error) {
	doc, err := c.call(ctx, request{method: http.MethodGet, path: imagePath(id, "locations"), repeat: true})
	if err != nil {
		return nil, err
	}
	var list []struct {
		URL      string            `json:"url"`
		Metadata map[string]string `json:"metadata"`
	}
	if err := json.Unmarshal(doc, &list); err != nil {
		return nil, fmt.Errorf("the locations that %s tells: %w", c.endpoint, err)
	}
	var locations []image.Location
	for _, l := range list {
		loc := image.Location{Store: l.Metadata["store"], URL: l.URL}
		if delete(l.Metadata, "store"); len(l.Metadata) > 0 {
			loc.Metadata = l.Metadata
		}
		locations = append(locations, loc)
	}
	return locations, nil
}
