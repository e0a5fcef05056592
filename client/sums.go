package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/image"
)

// Sums returns what a Vitrine knows of an image's content: as it is stored, as it was received, and of the disk in it.
func (c *Client) Sums(ctx context.Context, id image.ID) ([]image.ContentSum, error) {
	doc, err := c.call(ctx, request{method: http.MethodGet, path: []string{"vitrine", "v1", "images", string(id), "sums"}, repeat: true})
	if err != nil {
		return nil, err
	}
	var sums wire.Sums
	if err := json.Unmarshal(doc, &sums); err != nil {
		return nil, fmt.Errorf("the answer of %s: %w", c.endpoint, err)
	}
	return sums.Sums, nil
}
