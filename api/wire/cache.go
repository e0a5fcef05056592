package wire

import "github.com/vitrine-image/vitrine/image"

// A Cache is what a server's cache of images holds.
type Cache struct {
	Cached []CachedImage `json:"cached_images"`
	Queued []image.ID    `json:"queued_images"`
}

// A CachedImage is an image in a cache. Times are seconds since 1970.
type CachedImage struct {
	ID           image.ID `json:"image_id"`
	Hits         int64    `json:"hits"`
	Size         int64    `json:"size"` // bytes
	LastAccessed float64  `json:"last_accessed"`
	LastModified float64  `json:"last_modified"`
}
