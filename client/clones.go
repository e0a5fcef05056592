package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/image"
)

// Clone makes a volume that shares the data of an image until it is written to. Errors: image.ErrNotFound, image.ErrForbidden,
// also where the server's configuration does not allow it; image.ErrConflict when the image is no active raw disk in a store that
// can, and for a name that is taken; image.ErrInvalid, image.ErrStoreFull, image.ErrStoreOffline.
func (c *Client) Clone(ctx context.Context, id image.ID, want image.NewClone) (made image.Clone, err error) {
	if err := want.Check(); err != nil {
		return made, err
	}
	body, err := json.Marshal(wire.NewClone(want))
	if err != nil {
		return made, fmt.Errorf("request to %s: %w", c.endpoint, err)
	}
	doc, err := c.call(ctx, request{method: http.MethodPost, path: []string{"vitrine", "v1", "images", string(id), "clones"}, body: body,
		header: map[string]string{"Content-Type": "application/json"}})
	if answer := (*Error)(nil); errors.As(err, &answer) && answer.Status == http.StatusMultipleChoices {
		return made, image.Errorf(image.ErrConflict, "the server at %s is no Vitrine and makes no clones", c.endpoint)
	}
	if err != nil {
		return made, err
	}
	var clone wire.Clone
	if err := json.Unmarshal(doc, &clone); err != nil {
		return made, fmt.Errorf("the clone that %s tells of: %w", c.endpoint, err)
	}
	return image.Clone(clone), nil
}
