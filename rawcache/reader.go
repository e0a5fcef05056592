package rawcache

import (
	"context"
	"io"
	"os"

	"github.com/vitrine-image/vitrine/imagestore"
)

// A Disk is what a guest sees of an image.
type Disk interface {
	imagestore.Reader
	// DataAt returns the first range of data at or after off: [start, end); start is Size() when there is none.
	DataAt(ctx context.Context, off int64) (start, end int64, err error)
}

// A Reader is a Disk that is read from a file as long as there is one.
type Reader struct {
	Disk  // where it is read without
	cache *Cache
	image Image
	file  *file // that was there when it was opened, nil for none: it stays until Close
}

// Reader returns a Reader of a disk, which it closes with it. It takes a file out of use that is not as long as the disk.
func (c *Cache) Reader(img Image, below Disk) *Reader {
	f := c.pin(img)
	if f != nil && (whole{f.File}).Size() != img.Size {
		c.fail(img, f, errSum)
		c.unpin(f)
		f = nil
	}
	c.opened(f != nil)
	return &Reader{Disk: below, cache: c, image: img, file: f}
}

// opened counts a disk.
func (c *Cache) opened(inFile bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if inFile {
		c.stats.Hits++
	} else {
		c.stats.Misses++
	}
}

// File returns the file of the disk, nil if there was none when the Reader was opened. It stays open until Close. Who reads from it is
// on its own when the file is broken.
func (r *Reader) File() *os.File {
	if r.file == nil {
		return nil
	}
	return r.file.File
}

// ReadAt implements imagestore.Reader.
func (r *Reader) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if f := r.cache.pin(r.image); f != nil {
		n, err := f.File.ReadAt(p, off)
		r.cache.unpin(f)
		if n == len(p) || err == io.EOF && off+int64(n) >= r.image.Size {
			return n, err
		}
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		r.cache.fail(r.image, f, err)
	}
	n, err := r.Disk.ReadAt(ctx, p, off)
	r.cache.count(r.image, p[:n])
	return n, err
}

// Close closes the disk below.
func (r *Reader) Close() error {
	if r.file != nil {
		r.cache.unpin(r.file)
	}
	return r.Disk.Close()
}
