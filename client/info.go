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

// Health asks whether the server is ready to work. Errors: image.ErrUnavailable with its reason, ErrUnreachable.
func (c *Client) Health(ctx context.Context) error {
	_, err := c.call(ctx, request{method: http.MethodGet, path: []string{"healthcheck"}})
	return err
}

// Versions returns the versions of the API that the server knows, newest first.
func (c *Client) Versions(ctx context.Context) ([]wire.Version, error) {
	doc, err := c.call(ctx, request{method: http.MethodGet, path: []string{"versions"}, repeat: true})
	if err != nil {
		return nil, err
	}
	var versions wire.Versions
	if err := json.Unmarshal(doc, &versions); err != nil || len(versions.Versions) == 0 {
		return nil, fmt.Errorf("%w: there is no Image API at %s: it does not list versions", ErrUnreachable, c.endpoint)
	}
	return versions.Versions, nil
}

// A Store is a place for data that the server has.
type Store struct {
	ID          string `json:"id"`
	Description string `json:"description,omitempty"`
	Default     bool   `json:"default,string,omitempty"`
	ReadOnly    bool   `json:"read-only,string,omitempty"`
}

// Stores returns the stores among which an upload can choose, nil when the server has but one.
func (c *Client) Stores(ctx context.Context) ([]Store, error) {
	doc, err := c.call(ctx, request{method: http.MethodGet, path: []string{"v2", "info", "stores"}, repeat: true})
	if errors.Is(err, image.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var stores struct{ Stores []Store }
	if err := json.Unmarshal(doc, &stores); err != nil {
		return nil, fmt.Errorf("the list of stores of %s: %w", c.endpoint, err)
	}
	return stores.Stores, nil
}
