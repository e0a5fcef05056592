package blockcache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/vitrine-image/vitrine/imagestore"
)

// A reader is an imagestore.Reader of one copy of an image.
type reader struct {
	imagestore.Reader // below
	cache             *Cache
	data              uint64 // its number
	size              int64
}

// extenter is what an ExtentReader adds to a Reader.
type extenter interface {
	Extents(ctx context.Context, off, n int64) ([]imagestore.Extent, error)
}

// ReadAt implements imagestore.Reader.
func (r *reader) ReadAt(ctx context.Context, p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fmt.Errorf("blockcache: read at %d: the offset is negative", off)
	}
	inside := p[:max(0, min(int64(len(p)), r.size-off))]
	for n < len(inside) {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		m, err := r.readSome(ctx, inside[n:], off+int64(n))
		if n += m; err != nil {
			return n, err
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// readSome does the next step of a read within the image: it takes what the cache holds at off, or waits for a fetch by
// somebody else, or fetches what is missing. It may return nothing and no error, when there is another step to do.
func (r *reader) readSome(ctx context.Context, p []byte, off int64) (int, error) {
	c := r.cache
	at := off / granule
	c.mu.Lock()
	b, g := c.blocks[r.key(at)], int(at%perBlock)
	switch {
	case b != nil && b.held.has(g):
		c.stats.Hits++
		last := (off + int64(len(p)) - 1) / granule
		h := hold(b, g, int(min(int64(b.held.run(g)), last-at+1)))
		c.mu.Unlock()
		return r.readHeld(h, p, off), nil
	case b != nil && b.awaited.has(g):
		ended := b.await()
		c.mu.Unlock()
		select {
		case <-ended:
			return 0, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	c.stats.Misses++
	f := r.newFetch(off, len(p))
	c.mu.Unlock()
	return f.run(ctx, p, off)
}

// key returns the key of the block that holds a granule of the image.
func (r *reader) key(at int64) blockKey { return blockKey{r.data, at / perBlock} }

// A held is a run of granules that the cache has, and keeps until release.
type held struct {
	b        *block
	first, n int
	sums     [perBlock]uint32 // of these granules
}

func hold(b *block, first, n int) held {
	b.pins++
	b.used = min(b.used+1, maxUsed)
	h := held{b: b, first: first, n: n}
	copy(h.sums[:n], b.sums[first:])
	return h
}

var errSum = errors.New("the file does not hold what was written to it")

var scratch = sync.Pool{New: func() any { return new([blockSize]byte) }}

// readHeld copies to p what h has from off on. It returns 0, and takes the granules out of the cache, when the file does not
// give what was put there.
func (r *reader) readHeld(h held, p []byte, off int64) int {
	start := off / granule * granule
	size := min(int64(h.n)*granule, r.size-start)
	p = p[:min(int64(len(p)), start+size-off)]
	buf := p
	if int64(len(p)) < size { // the sums are of whole granules
		whole := scratch.Get().(*[blockSize]byte)
		defer scratch.Put(whole)
		buf = whole[:size]
	}
	_, err := r.cache.bytes.ReadAt(buf, h.b.offset(h.first))
	if err == nil && sumsOf(buf) != h.sums {
		err = errSum
	}
	r.cache.release(h, err == nil)
	if err != nil {
		r.cache.fail(err)
		return 0
	}
	if len(buf) != len(p) {
		copy(p, buf[off-start:])
	}
	return len(p)
}

// release ends the hold. What is no good is not held any more.
func (c *Cache) release(h held, good bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h.b.pins--
	if !good {
		h.b.held &^= span(h.first, h.n)
	}
}
