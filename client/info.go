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
type Store = wire.Store

// Stores returns the stores among which an upload can choose, nil when the server has but one.
func (c *Client) Stores(ctx context.Context) ([]Store, error) {
	doc, err := c.call(ctx, request{method: http.MethodGet, path: []string{"v2", "info", "stores"}, repeat: true})
	if errors.Is(err, image.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var stores wire.Stores
	if err := json.Unmarshal(doc, &stores); err != nil {
		return nil, fmt.Errorf("the list of stores of %s: %w", c.endpoint, err)
	}
	return stores.Stores, nil
}

// StoreDetails returns the stores and how they are configured, nil when the server has but one. Error: image.ErrForbidden.
func (c *Client) StoreDetails(ctx context.Context) ([]wire.StoreDetail, error) {
	doc, err := c.call(ctx, request{method: http.MethodGet, path: []string{"v2", "info", "stores", "detail"}, repeat: true})
	if errors.Is(err, image.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var stores wire.StoreDetails
	if err := json.Unmarshal(doc, &stores); err != nil {
		return nil, fmt.Errorf("the list of stores of %s: %w", c.endpoint, err)
	}
	return stores.Stores, nil
}

// ImportMethods returns the methods by which images can be imported.
func (c *Client) ImportMethods(ctx context.Context) ([]string, error) {
	doc, err := c.call(ctx, request{method: http.MethodGet, path: []string{"v2", "info", "import"}, repeat: true})
	if err != nil {
		return nil, err
	}
	var info wire.ImportInfo
	if err := json.Unmarshal(doc, &info); err != nil {
		return nil, fmt.Errorf("the import methods of %s: %w", c.endpoint, err)
	}
	return info.ImportMethods.Value, nil
}

// Usage returns what the caller's project uses of what it has limits for, by the names of the resources.
func (c *Client) Usage(ctx context.Context) ([]image.Quota, error) {
	doc, err := c.call(ctx, request{method: http.MethodGet, path: []string{"v2", "info", "usage"}, repeat: true})
	if err != nil {
		return nil, err
	}
	quotas, err := wire.ParseUsage(doc)
	if err != nil {
		return nil, fmt.Errorf("the answer of %s: %w", c.endpoint, err)
	}
	return quotas, nil
}
