package httpstore

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
)

// Data that is read in order is fetched ahead in pieces, several at once: servers may be far away. Everything else is asked for as it is
// read.
const (
	pieceSize = 1 << 20 // bytes
	aheadMost = 3       // pieces that are fetched before they are asked for
	keepMost  = 6       // pieces that are kept
	nearby    = 512 << 10
)

// A reader reads by ranges.
type reader struct {
	store *Store
	url   string
	remote
	ctx    context.Context // of what is fetched ahead
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu     sync.Mutex
	pieces []*piece // the oldest first
	ahead  int      // how many to fetch ahead: it grows while the data is read in order
	end    int64    // of the read before, -1 for none
}

// A piece is a part of the data that is fetched, or on its way.
type piece struct {
	off  int64
	done chan struct{}
	data []byte // once done
	err  error
}

func newReader(s *Store, url string, from remote) *reader {
	r := &reader{store: s, url: url, remote: from, end: -1}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

func (r *reader) Size() int64 { return r.size }

func (r *reader) Close() error {
	r.cancel()
	r.work.Wait()
	return nil
}

// ReadAt implements imagestore.Reader.
func (r *reader) ReadAt(ctx context.Context, p []byte, off int64) (n int, err error) {
	p, end, err := clamp(ctx, p, off, r.size)
	if err != nil {
		return 0, err
	}
	for n < len(p) {
		m, err := r.readSome(ctx, p[n:], off+int64(n))
		if n += m; err != nil {
			return n, err
		}
	}
	return n, end
}

// clamp cuts p off where the data ends, and returns what a read of p says then: io.EOF if something was cut off.
func clamp(ctx context.Context, p []byte, off, size int64) (rest []byte, end, err error) {
	switch {
	case off < 0:
		return nil, nil, errors.New("read at a negative offset")
	case ctx.Err() != nil:
		return nil, nil, context.Cause(ctx)
	case off >= size && len(p) > 0:
		return nil, nil, io.EOF
	case int64(len(p)) > size-off && len(p) > 0:
		return p[:size-off], io.EOF, nil
	}
	return p, nil, nil
}

// readSome reads up to the end of a piece.
func (r *reader) readSome(ctx context.Context, p []byte, off int64) (int, error) {
	got := r.pieceFor(off, len(p))
	if got == nil {
		p = p[:min(len(p), pieceSize)]
		if err := r.store.readRange(ctx, r.url, r.remote, p, off); err != nil {
			return 0, err
		}
		return len(p), nil
	}
	select {
	case <-got.done:
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	if got.err != nil {
		return 0, got.err
	}
	return copy(p, got.data[off-got.off:]), nil
}

// pieceFor returns the piece that the next bytes are in, nil if they are to be read alone. It starts to fetch what will be asked for next.
func (r *reader) pieceFor(off int64, n int) *piece {
	r.mu.Lock()
	defer r.mu.Unlock()
	inOrder := r.end >= 0 && off >= r.end-nearby && off <= r.end+nearby
	r.end = off + int64(min(n, pieceSize))
	first := off - off%pieceSize
	got, fetched := r.piece(first)
	switch {
	case fetched && got.failed():
		r.forget(got)
		fetched = false
	case !fetched && !inOrder:
		r.ahead = 0
		return nil
	}
	if !fetched {
		got = r.fetch(first)
		r.ahead = min(r.ahead+1, aheadMost)
	}
	for i := range int64(r.ahead) {
		next := first + (i+1)*pieceSize
		if _, have := r.piece(next); !have && next < r.size {
			r.fetch(next)
			r.ahead = min(r.ahead+1, aheadMost)
		}
	}
	return got
}

func (r *reader) piece(off int64) (*piece, bool) {
	i := slices.IndexFunc(r.pieces, func(p *piece) bool { return p.off == off })
	if i < 0 {
		return nil, false
	}
	return r.pieces[i], true
}

func (r *reader) forget(gone *piece) {
	r.pieces = slices.DeleteFunc(r.pieces, func(p *piece) bool { return p == gone })
}

// failed reports whether the piece did not come: it may the next time.
func (p *piece) failed() bool {
	select {
	case <-p.done:
		return p.err != nil
	default:
		return false
	}
}

func (r *reader) fetch(off int64) *piece {
	p := &piece{off: off, done: make(chan struct{})}
	if len(r.pieces) == keepMost {
		r.pieces = slices.Delete(r.pieces, 0, 1)
	}
	r.pieces = append(r.pieces, p)
	r.work.Go(func() {
		defer close(p.done)
		data := make([]byte, min(pieceSize, r.size-off))
		if p.err = r.store.readRange(r.ctx, r.url, r.remote, data, off); p.err == nil {
			p.data = data
		}
	})
	return p
}
