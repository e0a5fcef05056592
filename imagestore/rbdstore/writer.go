//go:build ceph

package rbdstore

import (
	"bytes"
	"context"
	"fmt"
	"sync"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/rbd"
)

const (
	chunkSize = 4 << 20  // bytes of one write
	zeroSize  = 64 << 10 // of zeros, that are not written
	inFlight  = 4        // chunks of one upload that are being written
	maxStep   = 8 << 30  // bytes by which an image of unknown size grows at most
)

var (
	zeros  [zeroSize]byte
	chunks = sync.Pool{New: func() any { return new([chunkSize]byte) }}
)

// A writer fills one new image.
type writer struct {
	store  *Store
	object imagestore.Object
	name   string // of the image meanwhile
	img    *rbd.Image

	size   int64 // announced, or -1
	end    int64 // of the image as it is now
	offset int64 // where the next byte goes

	chunk  *[chunkSize]byte // the bytes before offset that were not given away, from its last multiple of chunkSize
	filled int              // of chunk

	slots chan struct{}
	group sync.WaitGroup
	mu    sync.Mutex
	err   error
	stop  context.CancelCauseFunc // called when a write has failed
}

func (w *writer) start(stop context.CancelCauseFunc) {
	w.slots, w.stop = make(chan struct{}, inFlight), stop
}

// write appends b, which it copies: librbd may need it for longer than the source keeps it.
func (w *writer) write(ctx context.Context, b []byte) error {
	for len(b) > 0 {
		if w.chunk == nil {
			w.chunk = chunks.Get().(*[chunkSize]byte)
		}
		n := copy(w.chunk[w.filled:], b)
		w.filled, w.offset, b = w.filled+n, w.offset+int64(n), b[n:]
		if w.filled == chunkSize {
			if err := w.give(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// finish gives away what remains. A size that was announced must have come.
func (w *writer) finish(ctx context.Context) error {
	if w.size >= 0 && w.offset != w.size {
		return fmt.Errorf("store %s: only %d of the %d bytes announced came: %w", w.store.id, w.offset, w.size, image.ErrInvalid)
	}
	if w.filled == 0 {
		return nil
	}
	return w.give(ctx)
}

// give starts writing the chunk, after making room for it.
func (w *writer) give(ctx context.Context) error {
	if w.offset > w.end {
		end := max(w.offset, w.end+min(w.end, maxStep))
		if err := w.img.Resize(ctx, end); err != nil {
			return w.store.failure(err)
		}
		w.end = end
	}
	select {
	case w.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	chunk, n, off := w.chunk, w.filled, w.offset-int64(w.filled)
	w.chunk, w.filled = nil, 0
	w.group.Go(func() {
		defer func() { <-w.slots }()
		err := w.writeData(ctx, chunk[:n], off)
		if err == nil {
			chunks.Put(chunk) // otherwise librbd may still read it
			return
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.err == nil && ctx.Err() == nil {
			w.err = err
			w.stop(err)
		}
	})
	return nil
}

// writeData writes what is not zeros: nothing was written there before.
func (w *writer) writeData(ctx context.Context, b []byte, off int64) error {
	for len(b) > 0 {
		n := run(b, true)
		b, off = b[n:], off+int64(n)
		n = run(b, false)
		if n > 0 {
			if err := w.img.WriteAt(ctx, b[:n:n], off); err != nil {
				return err
			}
		}
		b, off = b[n:], off+int64(n)
	}
	return nil
}

// run returns the length of the blocks of zeros, or of those of data, that b begins with.
func run(b []byte, ofZeros bool) (n int) {
	for n < len(b) {
		block := b[n:min(len(b), n+zeroSize)]
		if bytes.Equal(block, zeros[:len(block)]) != ofZeros {
			break
		}
		n += len(block)
	}
	return n
}

// wait waits for the writes and returns the first error that one met.
func (w *writer) wait() error {
	w.group.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}
