//go:build ceph

package rbdstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/rbd"
)

// A reader is an imagestore.ExtentReader over an image that all its readers share.
type reader struct {
	store *Store
	size  int64
	ahead *readAhead
	once  sync.Once

	mu    sync.Mutex
	image *opened
}

// Open implements imagestore.Store.
func (s *Store) Open(ctx context.Context, loc image.Location) (imagestore.Reader, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	o, err := s.openAt(ctx, loc)
	if err != nil {
		return nil, err
	}
	r := &reader{store: s, size: o.img.Size(), image: o}
	r.ahead = newReadAhead(r.fetch, r.size, s.ahead)
	return r, nil
}

// openAt returns the image at a location, open at its snapshot; put it back.
func (s *Store) openAt(ctx context.Context, loc image.Location) (*opened, error) {
	name, err := s.resolve(ctx, loc)
	if err != nil {
		return nil, err
	}
	o, err := s.get(ctx, name)
	if err != nil {
		return nil, s.failure(err)
	}
	if err := s.compare(ctx, o, loc.Metadata[image.MetadataVersion]); err != nil {
		if !errors.Is(err, image.ErrDataMissing) {
			s.images.drop(o) // its connection may be broken for good
		}
		s.images.put(o)
		return nil, err
	}
	return o, nil
}

// compare refuses to read an image that has taken the name of the one that a version tells of. Error: image.ErrDataMissing.
func (s *Store) compare(ctx context.Context, o *opened, version string) error {
	o.mu.Lock()
	known := o.version == version
	o.mu.Unlock()
	if known {
		return nil
	}
	same, err := isOf(ctx, o.img, version)
	if err != nil {
		return s.failure(err)
	}
	if adopted(version) {
		same = version == o.img.Version() // and its snapshot, too
	}
	if !same {
		return fmt.Errorf("store %s: image %s is not the one that was stored: %w", s.id, o.img, image.ErrDataMissing)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.version = version
	return nil
}

// ReadAt implements imagestore.Reader. Reads in order are served from what was read ahead.
func (r *reader) ReadAt(ctx context.Context, p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fmt.Errorf("store %s: read at %d: the offset is negative", r.store.id, off)
	}
	r.ahead.note(off, len(p))
	for n < len(p) && off+int64(n) < r.size {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		m := r.ahead.read(ctx, p[n:], off+int64(n))
		if m == 0 {
			// Nothing was read ahead, or it could not be: then this tells why.
			m, err = r.readImage(ctx, p[n:], off+int64(n))
			return n + m, err
		}
		n += m
	}
	if err := ctx.Err(); err != nil {
		return n, err
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Lend implements imagestore.LendingReader, of what was read ahead.
func (r *reader) Lend(ctx context.Context, n int, off int64) (p []byte, release func()) {
	if !r.ahead.follows(off) {
		return nil, nil
	}
	n = min(n, aheadSize-int(off%aheadSize))
	r.ahead.note(off, n)
	return r.ahead.lend(ctx, n, off)
}

// readImage reads from the cluster.
func (r *reader) readImage(ctx context.Context, p []byte, off int64) (n int, err error) {
	err = r.ask(ctx, func(o *opened) error {
		n, err = o.img.ReadAt(ctx, p, off)
		return err
	})
	return n, err
}

// fetch reads into buffers from off on. It calls ended once nothing needs them any more, in every case.
func (r *reader) fetch(ctx context.Context, buffers [][]byte, off int64, ended func()) error {
	var users atomic.Int32 // of the buffers: this call, and each read
	users.Store(1)
	leave := func() {
		if users.Add(-1) == 0 {
			ended()
		}
	}
	defer leave()
	return r.ask(ctx, func(o *opened) error {
		users.Add(1)
		return o.img.ReadInto(ctx, buffers, off, leave)
	})
}

// ask calls read with the image, and again with one that has a new connection if the cluster has shut the old one out,
// which another read may have closed by then.
func (r *reader) ask(ctx context.Context, read func(*opened) error) error {
	for again := false; ; again = true {
		r.mu.Lock()
		o := r.image
		r.mu.Unlock()
		err := read(o)
		switch {
		case err == nil || err == io.EOF:
			return err
		case errors.Is(err, rbd.ErrNotFound):
			r.store.images.drop(o)
		case (errors.Is(err, rbd.ErrBlocklisted) || errors.Is(err, rbd.ErrClosed)) && !again:
			if err = r.reopen(ctx, o); err == nil {
				continue
			}
		}
		return r.store.failure(err)
	}
}

// reopen opens the image again in place of one that does not work any more.
func (r *reader) reopen(ctx context.Context, broken *opened) error {
	r.store.images.drop(broken)
	o, err := r.store.get(ctx, broken.name)
	if err != nil {
		return err
	}
	if o.img.Version() != broken.img.Version() {
		r.store.images.put(o)
		return fmt.Errorf("image %s is another one: %w", o.img, rbd.ErrNotFound)
	}
	r.mu.Lock()
	if r.image == broken { // otherwise another read has done it
		r.image, o = o, broken
	}
	r.mu.Unlock()
	r.store.images.put(o)
	return nil
}

// Size implements imagestore.Reader.
func (r *reader) Size() int64 { return r.size }

// Close implements imagestore.Reader.
func (r *reader) Close() error {
	r.once.Do(func() {
		r.ahead.close()
		r.mu.Lock()
		defer r.mu.Unlock()
		r.store.images.put(r.image)
	})
	return nil
}

// Extents implements imagestore.ExtentReader, by whole objects. What holds data never changes, so it is asked for once.
func (r *reader) Extents(ctx context.Context, off, n int64) (list []imagestore.Extent, err error) {
	if off < 0 || n < 0 {
		return nil, fmt.Errorf("store %s: extents from %d: %w", r.store.id, off, image.ErrRange)
	}
	var all []imagestore.Extent
	err = r.ask(ctx, func(o *opened) error {
		all, err = o.all(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	end := r.size
	if n < r.size-off {
		end = off + n
	}
	first, _ := slices.BinarySearchFunc(all, off, func(e imagestore.Extent, off int64) int { return cmp.Compare(e.Offset+e.Length, off+1) })
	for _, e := range all[first:] {
		from, to := max(e.Offset, off), min(e.Offset+e.Length, end)
		if from >= to {
			break
		}
		list = append(list, imagestore.Extent{Offset: from, Length: to - from})
	}
	return list, nil
}

// all returns all extents.
func (o *opened) all(ctx context.Context) ([]imagestore.Extent, error) {
	o.mu.Lock()
	extents, known := o.extents, o.known
	o.mu.Unlock()
	if known {
		return extents, nil
	}
	list, err := o.img.Extents(ctx, 0, o.img.Size())
	if err != nil {
		return nil, err
	}
	for _, e := range list {
		extents = append(extents, imagestore.Extent(e))
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.extents, o.known = extents, true
	return extents, nil
}
