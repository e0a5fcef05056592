package daemon

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"path/filepath"

	"github.com/vitrine-image/vitrine/fusefs"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
	"github.com/vitrine-image/vitrine/metrics"
	"github.com/vitrine-image/vitrine/rawcache"
)

// openRawCache opens the cache of disks that the mount reads from images in other formats. It leaves nil when there shall be none, or can
// be none: the mount goes on without.
func (d *daemon) openRawCache(tree *imageservice.Tree) *rawcache.Cache {
	if d.cfg.Mount.RawCacheSize == 0 {
		return nil
	}
	c, err := rawcache.Open(rawcache.Config{Dir: filepath.Join(d.cfg.Data, "cache", "raw"), Size: int64(d.cfg.Mount.RawCacheSize),
		Reserve: cacheReserve, Logger: d.log})
	if err != nil {
		d.log.Warn("the mount keeps no disks as files", "error", err)
		return nil
	}
	d.onClose(c.Close)
	d.metrics.Cache("disks", func() metrics.Cache { return metrics.Cache(c.Stats()) })
	d.keepDisks = func(ctx context.Context, m *fusefs.Mount) { c.Run(ctx, rawSource{tree}, m.DiskMoved) }
	return c
}

// rawDisk returns what rawcache has to know of an image; ok tells whether its disk can be kept.
func rawDisk(img *image.Image) (disk rawcache.Image, ok bool) {
	if !img.HasRawView() || img.IsRawDisk() || img.VirtualSize == nil || img.Size == nil {
		return disk, false
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s %d %q %q %d", img.Number, img.ID, img.CreatedAt.UnixMicro(), img.DiskFormat, img.ContainerFormat, *img.VirtualSize))
	disk = rawcache.Image{ID: img.ID, Number: img.Number, Disk: binary.LittleEndian.Uint64(sum[:]), Size: *img.VirtualSize, Stored: *img.Size}
	for _, loc := range img.Locations {
		disk.Copies = append(disk.Copies, copyNumber(img.Number, loc))
	}
	return disk, true
}

// rawSource is the service's tree in the words of rawcache.
type rawSource struct{ tree *imageservice.Tree }

func (s rawSource) Image(ctx context.Context, id image.ID) (disk rawcache.Image, err error) {
	img, err := s.tree.ImageByID(ctx, id)
	if err != nil {
		return disk, err
	}
	disk, ok := rawDisk(img)
	if !ok {
		return disk, image.ErrNotFound
	}
	return disk, nil
}

func (s rawSource) Open(ctx context.Context, id image.ID) (disk rawcache.Image, from uint64, r rawcache.Disk, err error) {
	d, loc, err := s.tree.CopyDisk(ctx, id)
	if err != nil {
		return disk, 0, nil, err
	}
	disk, ok := rawDisk(d.Image())
	if !ok {
		d.Close()
		return disk, 0, nil, image.ErrNotFound
	}
	return disk, copyNumber(disk.Number, loc), d, nil
}
