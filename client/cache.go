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

// ErrNoCache is told of a server that keeps no cache of images.
var ErrNoCache = image.Errorf(image.ErrNotFound, "the server keeps no cache of images")

// A CacheTarget says what of a cache is cleared.
type CacheTarget string

const (
	WholeCache   CacheTarget = ""      // both of the following
	CachedImages CacheTarget = "cache" // what is in it
	QueuedImages CacheTarget = "queue" // what waits to get into it
)

// Cache returns what the server's cache holds, and what is to get into it. Errors: ErrNoCache, image.ErrForbidden.
func (c *Client) Cache(ctx context.Context) (cache wire.Cache, err error) {
	doc, err := c.cacheCall(ctx, request{method: http.MethodGet, path: []string{"v2", "cache"}, repeat: true})
	if err != nil {
		return cache, err
	}
	if err := json.Unmarshal(doc, &cache); err != nil {
		return cache, fmt.Errorf("the answer of %s: %w", c.endpoint, err)
	}
	return cache, nil
}

// QueueForCache has the server bring the data of an image that exists into its cache, and does not wait for that.
// Errors: ErrNoCache, image.ErrForbidden, image.ErrInvalid when the image is not active.
func (c *Client) QueueForCache(ctx context.Context, id image.ID) error {
	_, err := c.cacheCall(ctx, request{method: http.MethodPut, path: []string{"v2", "cache", string(id)}, repeat: true})
	return err
}

// RemoveFromCache takes an image that exists out of the server's cache and its queue. Errors: ErrNoCache, image.ErrForbidden.
func (c *Client) RemoveFromCache(ctx context.Context, id image.ID) error {
	_, err := c.cacheCall(ctx, request{method: http.MethodDelete, path: []string{"v2", "cache", string(id)}, repeat: true})
	return err
}

// ClearCache empties the server's cache, its queue, or both. Errors: ErrNoCache, image.ErrForbidden.
func (c *Client) ClearCache(ctx context.Context, target CacheTarget) error {
	r := request{method: http.MethodDelete, path: []string{"v2", "cache"}, repeat: true}
	if target != WholeCache {
		r.header = map[string]string{"x-image-cache-clear-target": string(target)}
	}
	_, err := c.cacheCall(ctx, r)
	return err
}

// cacheCall is call, for images that are known to exist: what is not found then is the cache.
func (c *Client) cacheCall(ctx context.Context, r request) ([]byte, error) {
	doc, err := c.call(ctx, r)
	if errors.Is(err, image.ErrNotFound) {
		return nil, ErrNoCache
	}
	return doc, err
}
