package client

import (
	"context"
	"fmt"
	"net/http"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/image"
)

// Users returns what uses an image of a Vitrine now. Errors: image.ErrNotFound, image.ErrForbidden.
func (c *Client) Users(ctx context.Context, id image.ID) (u image.Users, err error) {
	doc, err := c.call(ctx, request{method: http.MethodGet, path: []string{"vitrine", "v1", "images", string(id), "users"}, repeat: true})
	if err != nil {
		return u, err
	}
	if u, err = wire.ParseUsers(doc); err != nil {
		return u, fmt.Errorf("the answer of %s: %w", c.endpoint, err)
	}
	return u, nil
}
