package client

import (
	"context"
	"fmt"
	"net/http"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/image"
)

// Pins returns for which guests a Vitrine keeps an image. Errors: image.ErrNotFound, image.ErrForbidden.
func (c *Client) Pins(ctx context.Context, id image.ID) ([]image.Pin, error) {
	doc, err := c.call(ctx, request{method: http.MethodGet, path: pinPath(id), repeat: true})
	if err != nil {
		return nil, err
	}
	pins, err := wire.ParsePins(doc)
	if err != nil {
		return nil, fmt.Errorf("the answer of %s: %w", c.endpoint, err)
	}
	return pins, nil
}

// Pin keeps the image from being deleted for as long as the guest needs it; a pin that is there stays as it is.
// Errors: image.ErrNotFound, image.ErrForbidden, image.ErrInvalid, image.ErrTooLarge when it has too many.
func (c *Client) Pin(ctx context.Context, id image.ID, guest string) (pin image.Pin, err error) {
	if err := image.CheckGuest(guest); err != nil {
		return pin, err
	}
	doc, err := c.call(ctx, request{method: http.MethodPut, path: pinPath(id, guest), repeat: true})
	if err != nil {
		return pin, err
	}
	if pin, err = wire.ParsePin(doc); err != nil {
		return pin, fmt.Errorf("the answer of %s: %w", c.endpoint, err)
	}
	return pin, nil
}

// Unpin ends a pin. Errors: image.ErrNotFound, image.ErrForbidden.
func (c *Client) Unpin(ctx context.Context, id image.ID, guest string) error {
	if err := image.CheckGuest(guest); err != nil {
		return err
	}
	_, err := c.call(ctx, request{method: http.MethodDelete, path: pinPath(id, guest)})
	return err
}

func pinPath(id image.ID, guest ...string) []string {
	return append([]string{"vitrine", "v1", "images", string(id), "pins"}, guest...)
}
