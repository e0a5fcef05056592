package blockcache

import (
	"cmp"
	"context"
	"io"
)

// maxFetch is how many granules one call below asks for at the most.
const maxFetch = 256

// A fetch reads a range in one call below, and keeps it as far as the cache has room.
type fetch struct {
	reader     *reader
	start, end int64 // of the image
	parts      []part
}

// A part is granules of one block, which others wait for.
type part struct {
	b        *block
	first, n int
	from, to int // bytes of the fetch
	written  bool
	sums     [perBlock]uint32 // of these granules
}

// newFetch plans to fetch what is missing at off, and behind it as far as a read of n bytes goes and nothing is there or being
// fetched. The caller has the cache's mutex.
func (r *reader) newFetch(off int64, n int) *fetch {
	c := r.cache
	at := off / granule
	f := &fetch{reader: r, start: off, end: min(off+int64(n), (at+maxFetch)*granule)}
	if c.isPaused() {
		return f
	}
	f.start = at * granule
	last := (f.end - 1) / granule
	for at <= last {
		first := int(at % perBlock)
		n := int(min(perBlock-int64(first), last-at+1))
		b := c.blocks[r.key(at)]
		if b == nil {
			b = c.newBlock(r.key(at))
		} else {
			n = min(n, (^(b.held | b.awaited)).run(first))
		}
		f.await(b, first, n, at*granule)
		at += int64(n)
		if first+n < perBlock {
			break
		}
	}
	f.end = min(at*granule, r.size)
	return f
}

// await makes a part of granules at an offset of the image; b is nil where the cache has no room.
func (f *fetch) await(b *block, first, n int, off int64) {
	if b == nil || n == 0 {
		return
	}
	b.awaited |= span(first, n)
	b.pins++
	from := int(off - f.start)
	f.parts = append(f.parts, part{b: b, first: first, n: n, from: from, to: from + min(n*granule, int(f.reader.size-off))})
}

// run fetches, and copies to p what it holds from off on. It returns nothing when the fetch fails.
func (f *fetch) run(ctx context.Context, p []byte, off int64) (int, error) {
	defer f.finish() // whatever happens below
	p = p[:min(int64(len(p)), f.end-off)]
	buf := p
	if int64(len(p)) < f.end-f.start {
		buf = make([]byte, f.end-f.start)
	}
	if got, err := f.reader.Reader.ReadAt(ctx, buf, f.start); got < len(buf) {
		return 0, cmp.Or(err, io.ErrUnexpectedEOF)
	}
	if err := f.write(buf); err != nil {
		f.reader.cache.fail(err)
	}
	if len(buf) != len(p) {
		copy(p, buf[off-f.start:])
	}
	return len(p), nil
}

// write puts what was fetched into the cache's file.
func (f *fetch) write(buf []byte) error {
	for i := range f.parts {
		part := &f.parts[i]
		bytes := buf[part.from:part.to]
		part.sums = sumsOf(bytes)
		if _, err := f.reader.cache.bytes.WriteAt(bytes, part.b.offset(part.first)); err != nil {
			return err
		}
		part.written = true
	}
	return nil
}

// finish lets others have what was written, and fetch for themselves what was not.
func (f *fetch) finish() {
	c := f.reader.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, part := range f.parts {
		b, granules := part.b, span(part.first, part.n)
		b.awaited &^= granules
		if part.written {
			b.held |= granules
			copy(b.sums[part.first:], part.sums[:part.n])
		}
		b.pins--
		b.wake()
	}
}

// newBlock makes room for a block, nil where there is none. The caller has the mutex.
func (c *Cache) newBlock(key blockKey) *block {
	b := c.room()
	if b == nil {
		return nil
	}
	*b = block{key: key, place: b.place}
	c.blocks[key] = b
	c.queues.enter(b)
	return b
}

// room returns a block whose place is free.
func (c *Cache) room() *block {
	if c.places < c.most && c.mayGrow() {
		c.places++
		return &block{place: int32(c.places - 1)}
	}
	b := c.queues.evict()
	if b != nil {
		delete(c.blocks, b.key)
	}
	return b
}
