package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/vitrine-image/vitrine/image"
)

// Import asks for the data of an image, or for copies of it; it returns before the work is done, which the image's status and
// tasks tell of.
// Errors: image.ErrInvalid, image.ErrNotFound, image.ErrForbidden, image.ErrTooLarge, and image.ErrConflict when the image's
// status or formats do not allow the method, when another import is under way, and for an unknown store.
func (c *Client) Import(ctx context.Context, id image.ID, imp image.Import) error {
	method := map[string]any{"name": imp.Method}
	if imp.URL != "" {
		method["uri"] = imp.URL
	}
	for name, value := range map[string]string{"glance_image_id": string(imp.Source), "glance_region": imp.Region, "glance_service_interface": imp.Interface} {
		if value != "" {
			method[name] = value
		}
	}
	doc := map[string]any{"method": method}
	if imp.Stores != nil {
		doc["stores"] = imp.Stores
	}
	if imp.AllStores {
		doc["all_stores"] = true
	}
	if imp.AllowFailure {
		doc["all_stores_must_succeed"] = false
	}
	body, err := json.Marshal(doc)
	if err != nil {
		return fmt.Errorf("request to %s: %w", c.endpoint, err)
	}
	r := request{method: http.MethodPost, path: imagePath(id, "import"), body: body, header: map[string]string{"Content-Type": "application/json"}}
	if imp.Store != "" {
		r.header["X-Image-Meta-Store"] = imp.Store
	}
	_, err = c.call(ctx, r)
	return err
}

// DeleteCopy deletes the data of an image from one of several stores. Errors: image.ErrNotFound also when the store does not have
// it; image.ErrForbidden, also for the last copy; image.ErrConflict for an unknown store, and for an image that is not active.
func (c *Client) DeleteCopy(ctx context.Context, store string, id image.ID) error {
	_, err := c.call(ctx, request{method: http.MethodDelete, path: []string{"v2", "stores", store, string(id)}})
	return err
}
