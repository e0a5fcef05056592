package api

import (
	"context"
	"net/http"

	"github.com/vitrine-image/vitrine/policy"
)

// CacheSession is what one caller can do with a cache of images, which no server has yet.
type CacheSession interface {
	// Cache refuses what the rule is about. Errors: image.ErrForbidden, and image.ErrNotFound for who may.
	Cache(ctx context.Context, rule string) error
}

// cacheRoutes are the operations on the cache, in their newer and in their older form.
var cacheRoutes = []route{
	{"GET", "/v2/cache", cached(policy.CacheList), false},
	{"DELETE", "/v2/cache", cached(policy.CacheDelete), false},
	{"PUT", "/v2/cache/:image", cached(policy.CacheImage), false},
	{"DELETE", "/v2/cache/:image", cached(policy.CacheDelete), false},
	{"GET", "/v2/cache/nodes/:image", cached(policy.ListCachedNodes), false},
	{"POST", "/v2/cache/clean", cached(policy.CacheClean), false},
	{"POST", "/v2/cache/prune", cached(policy.CachePrune), false},

	{"GET", "/v2/cached_images", cached(policy.ManageImageCache), false},
	{"DELETE", "/v2/cached_images", cached(policy.ManageImageCache), false},
	{"DELETE", "/v2/cached_images/:image", cached(policy.ManageImageCache), false},
	{"GET", "/v2/queued_images", cached(policy.ManageImageCache), false},
	{"DELETE", "/v2/queued_images", cached(policy.ManageImageCache), false},
	{"PUT", "/v2/queued_images/:image", cached(policy.ManageImageCache), false},
	{"DELETE", "/v2/queued_images/:image", cached(policy.ManageImageCache), false},
}

// cached serves an operation that a rule of the cache is about.
func cached(rule string) handler {
	return func(s *server, _ http.ResponseWriter, r *http.Request) error {
		return s.session(r).Cache(r.Context(), rule)
	}
}
