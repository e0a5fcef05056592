// Package rawcache keeps whole disks in sparse files on a local disk: those of images that guests read often, and that lie in
// another format, so that the kernel can read them by itself. Whatever goes wrong with a file, readers go on where they read
// before. Start reading at Cache.Reader (who reads, and what is counted) and Cache.Run (what is made of it).
package rawcache

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/vitrine-image/vitrine/image"
)

// Config says where the files lie and what they may take.
type Config struct {
	Dir     string       // made if it is missing; nobody else's
	Size    int64        // bytes that all files may take on the disk
	Reserve int64        // bytes of the file system that they leave free
	Logger  *slog.Logger // nil discards
}

// An Image says which disk is meant.
type Image struct {
	ID     image.ID
	Number int64    // of the image
	Disk   uint64   // a number that the disk of no other image has, nor another disk of this one
	Size   int64    // bytes of the disk
	Stored int64    // bytes of the image's data
	Copies []uint64 // numbers of the copies of the data, each of which has the disk in it
}

// A Cache holds the files, and counts what is read of other disks.
type Cache struct {
	dir  *os.File // locked
	root *os.Root // the same
	log  *slog.Logger

	size, reserve int64
	wake          chan struct{} // there may be something to do for Run

	mu      sync.Mutex
	files   map[uint64]*file // that can be read, by the number of the disk
	found   []*file          // that a process before this one left, and that nobody has looked into yet
	broken  []*file          // that must go
	taken   int64            // bytes that all files take, those without a name included
	heat    map[uint64]*heat // of disks without a file
	making  *file            // that is being written, nil for none
	changed map[image.ID]bool
	stats   Stats // but for Bytes
}

// Stats are what a cache has done so far.
type Stats struct {
	Hits, Misses uint64 // disks that were opened with and without a file
	Bytes        int64  // that the files take
}

// Stats returns what the cache has done so far.
func (c *Cache) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	stats := c.stats
	stats.Bytes = c.taken
	return stats
}

// Open finds what a process before this one left. Run makes it readable. Close the cache when all its readers are closed.
func Open(cfg Config) (_ *Cache, err error) {
	if cfg.Dir == "" || cfg.Size <= 0 {
		return nil, errors.New("rawcache: a directory and a size are needed")
	}
	c := &Cache{log: cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler)), size: cfg.Size, reserve: cfg.Reserve, wake: make(chan struct{}, 1),
		files: make(map[uint64]*file), heat: make(map[uint64]*heat), changed: make(map[image.ID]bool)}
	defer func() {
		if err != nil {
			c.Close()
			err = fmt.Errorf("rawcache: %w", err)
		}
	}()
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, err
	}
	if c.root, err = os.OpenRoot(cfg.Dir); err != nil {
		return nil, err
	}
	if c.dir, err = c.root.Open("."); err != nil {
		return nil, err
	}
	if err := unix.Flock(int(c.dir.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, fmt.Errorf("another process uses %s: %w", cfg.Dir, err)
	}
	return c, c.find()
}

// find lists the directory, and removes what is no complete file.
func (c *Cache) find() error {
	entries, err := fs.ReadDir(c.root.FS(), ".")
	for _, e := range entries {
		f := c.reopen(e.Name())
		if f == nil {
			if err := c.root.RemoveAll(e.Name()); err != nil {
				return err
			}
			continue
		}
		c.taken += f.bytes
		c.found = append(c.found, f)
	}
	return err
}

// Close closes the files; they stay for the next Cache.
func (c *Cache) Close() error {
	var errs []error
	for _, f := range c.files {
		errs = append(errs, f.Close())
	}
	for _, f := range slices.Concat(c.found, c.broken) {
		errs = append(errs, f.Close())
	}
	if c.dir != nil {
		errs = append(errs, c.dir.Close())
	}
	if c.root != nil {
		errs = append(errs, c.root.Close())
	}
	return errors.Join(errs...)
}

// Has tells whether the disk lies in a file.
func (c *Cache) Has(img Image) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fileOf(img) != nil
}

// fileOf returns the file of a disk, nil for none. One that was made of a copy that the image has no more does not count: the
// image may have lost it for holding other data. The caller has the mutex.
func (c *Cache) fileOf(img Image) *file {
	if f := c.files[img.Disk]; f != nil && f.holds(img) {
		return f
	}
	return nil
}

// Changed tells that an image has changed.
func (c *Cache) Changed(id image.ID) {
	c.change(func(f *file) bool { return f.id == id })
}

// ChangedAny tells that any image may have changed.
func (c *Cache) ChangedAny() {
	c.change(func(*file) bool { return true })
}

func (c *Cache) change(which func(*file) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.all() {
		if which(f) {
			c.changed[f.id] = true
			c.rouse()
		}
	}
}

// all returns the files that are or may become readable. The caller has the mutex.
func (c *Cache) all() []*file {
	all := slices.Clone(c.found)
	if c.making != nil {
		all = append(all, c.making)
	}
	for _, f := range c.files {
		all = append(all, f)
	}
	return all
}

// rouse lets Run look whether there is something to do.
func (c *Cache) rouse() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}
