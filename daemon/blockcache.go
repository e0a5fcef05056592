package daemon

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/vitrine-image/vitrine/blockcache"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metrics"
)

// cacheReserve is what the cache of the mount leaves free of the data directory's file system.
const cacheReserve = 1 << 30

// copyNumber tells a copy of an image from all others of all images. A location may turn out to hold other data than the image's; it
// loses the location then, and what was read there must not be taken for its data.
func copyNumber(number int64, loc image.Location) uint64 {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %q %q %q", number, loc.Store, loc.URL, loc.Metadata[image.MetadataVersion]))
	return binary.LittleEndian.Uint64(sum[:])
}

// openBlockCache opens the cache of what the mount reads from stores that are no local disks, nil when there is nothing to keep,
// or when there can be no cache: the mount goes on without.
func (d *daemon) openBlockCache() *blockcache.Cache {
	remote := func(s StoreConfig) bool { return s.Type != storeFile }
	if d.cfg.Mount.CacheSize == 0 || !slices.ContainsFunc(slices.Collect(maps.Values(d.cfg.Stores)), remote) {
		return nil
	}
	c, err := blockcache.Open(blockcache.Config{Dir: filepath.Join(d.cfg.Data, "cache"), Size: int64(d.cfg.Mount.CacheSize),
		Reserve: cacheReserve, Logger: d.log})
	if err != nil {
		d.log.Warn("the mount reads from remote stores without a cache", "error", err)
		return nil
	}
	d.onClose(c.Close)
	d.metrics.Cache("blocks", func() metrics.Cache { return metrics.Cache(c.Stats()) })
	return c
}
