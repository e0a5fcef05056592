package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/vitrine-image/vitrine/image"
)

// AddLocation gives a queued image the data that lies at a URL already; it returns before the image is active, which a task has to do.
// Errors: image.ErrInvalid, image.ErrNotFound, image.ErrForbidden, image.ErrConflict when the image is not queued, image.ErrTooLarge.
func (c *Client) AddLocation(ctx context.Context, id image.ID, add image.NewLocation) error {
	doc := map[string]any{"url": add.URL}
	if add.Sums != (image.Sums{}) {
		doc["validation_data"] = add.Sums
	}
	body, err := json.Marshal(doc)
	if err != nil {
		return fmt.Errorf("request to %s: %w", c.endpoint, err)
	}
	_, err = c.call(ctx, request{method: http.MethodPost, path: imagePath(id, "locations"), body: body,
		header: map[string]string{"Content-Type": "application/json"}})
	return err
}

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
