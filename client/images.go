package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/image"
)

// patchType is the newer of the two forms of a PATCH.
const patchType = "application/openstack-images-v2.1-json-patch"

// pointer escapes a name for the path of a PATCH (RFC 6901).
var pointer = strings.NewReplacer("~", "~0", "/", "~1")

// Create makes a queued image of the edits, all of which add something. The server chooses the id if id is "".
// Errors: image.ErrInvalid, image.ErrForbidden, image.ErrTooLarge, and image.ErrConflict for an id that exists or ever
// existed.
func (c *Client) Create(ctx context.Context, id image.ID, edits []image.Edit) (*image.Image, error) {
	if err := checkText(edits); err != nil {
		return nil, err
	}
	doc := make(map[string]any, len(edits)+1)
	for _, e := range edits {
		if e.Op != image.EditAdd {
			return nil, fmt.Errorf("create an image: %q cannot be %sd, since there is nothing yet", e.Name, e.Op)
		}
		doc[e.Name] = e.Value
	}
	if id != "" {
		doc["id"] = id
	}
	return c.imageCall(ctx, request{method: http.MethodPost, path: []string{"v2", "images"}}, doc, "application/json")
}

// Get returns an image. Errors: image.ErrNotFound, also for what the caller may not see.
func (c *Client) Get(ctx context.Context, id image.ID) (*image.Image, error) {
	return c.imageCall(ctx, request{method: http.MethodGet, path: imagePath(id), repeat: true}, nil, "")
}

// Edit carries out all of the edits or none of them, and returns the image as it is afterwards.
// Errors: image.ErrNotFound, image.ErrInvalid, image.ErrForbidden, image.ErrConflict, image.ErrTooLarge.
func (c *Client) Edit(ctx context.Context, id image.ID, edits []image.Edit) (*image.Image, error) {
	if err := checkText(edits); err != nil {
		return nil, err
	}
	patch := make([]map[string]any, len(edits))
	for i, e := range edits {
		path := "/" + pointer.Replace(e.Name)
		if e.Item != "" {
			path += "/" + pointer.Replace(e.Item)
		}
		patch[i] = map[string]any{"op": e.Op, "path": path}
		if e.Op != image.EditRemove {
			patch[i]["value"] = e.Value
		}
	}
	return c.imageCall(ctx, request{method: http.MethodPatch, path: imagePath(id)}, patch, patchType)
}

// checkText refuses what JSON cannot carry, and encoding/json would change without a word.
func checkText(edits []image.Edit) error {
	for _, e := range edits {
		texts := []any{e.Name, e.Value}
		if list, ok := e.Value.([]any); ok {
			texts = append(texts, list...)
		}
		for _, v := range texts {
			if text, ok := v.(string); ok && !utf8.ValidString(text) {
				return image.Errorf(image.ErrInvalid, "%q is not valid UTF-8", text)
			}
		}
	}
	return nil
}

// Delete deletes an image. Errors: image.ErrNotFound, image.ErrForbidden when it is protected, image.ErrInUse.
func (c *Client) Delete(ctx context.Context, id image.ID) error {
	_, err := c.call(ctx, request{method: http.MethodDelete, path: imagePath(id)})
	return err
}

// AddTag gives the image a tag; it is no error if it has the tag already.
func (c *Client) AddTag(ctx context.Context, id image.ID, tag string) error {
	_, err := c.call(ctx, request{method: http.MethodPut, path: imagePath(id, "tags", tag), repeat: true})
	return err
}

// RemoveTag takes a tag away. Errors: image.ErrNotFound, also when the image has no such tag.
func (c *Client) RemoveTag(ctx context.Context, id image.ID, tag string) error {
	_, err := c.call(ctx, request{method: http.MethodDelete, path: imagePath(id, "tags", tag)})
	return err
}

// Deactivate keeps everybody but administrators from the data. It does nothing to an image that is deactivated.
// Errors: image.ErrForbidden when the image has no data.
func (c *Client) Deactivate(ctx context.Context, id image.ID) error {
	return c.act(ctx, id, "deactivate")
}

// Reactivate undoes Deactivate. It does nothing to an image that is active.
func (c *Client) Reactivate(ctx context.Context, id image.ID) error {
	return c.act(ctx, id, "reactivate")
}

func (c *Client) act(ctx context.Context, id image.ID, action string) error {
	_, err := c.call(ctx, request{method: http.MethodPost, path: imagePath(id, "actions", action), repeat: true})
	return err
}

func imagePath(id image.ID, more ...string) []string {
	return append([]string{"v2", "images", string(id)}, more...)
}

// imageCall sends body as JSON, unless it is nil, and returns the image that the server answers with.
func (c *Client) imageCall(ctx context.Context, r request, body any, contentType string) (*image.Image, error) {
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("request to %s: %w", c.endpoint, err)
		}
		r.body, r.header = b, map[string]string{"Content-Type": contentType}
	}
	doc, err := c.call(ctx, r)
	if err != nil {
		return nil, err
	}
	img, err := wire.ParseImage(doc)
	if err != nil {
		return nil, fmt.Errorf("the answer of %s: %w", c.endpoint, err)
	}
	return img, nil
}
