package outbound

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

var (
	errStalled = errors.New("the server sent nothing for too long")
	errTooLong = errors.New("it took too long")
)

// A fetch is the work of one Open, until its body is closed.
type fetch struct {
	client *Client
	caller context.Context
	ctx    context.Context // ends with the caller's, the time limit, or a stall
	cancel context.CancelCauseFunc
	stop   context.CancelFunc // of the time limit
	max    int64              // bytes, 0 for no limit
	stall  *time.Timer        // runs while the next bytes are waited for
}

func (c *Client) newFetch(ctx context.Context, maxBytes int64) *fetch {
	f := &fetch{client: c, caller: ctx, max: maxBytes}
	limited, stop := context.WithTimeoutCause(ctx, c.total, errTooLong)
	f.stop = stop
	f.ctx, f.cancel = context.WithCancelCause(limited)
	f.stall = time.AfterFunc(c.stall, func() { f.cancel(errStalled) })
	f.stall.Stop()
	return f
}

// end frees what the fetch holds, and returns its error: the caller's own if he has ended it.
func (f *fetch) end(t *target, err error) error {
	f.free()
	if f.caller.Err() != nil {
		return fmt.Errorf("fetch: %w", context.Cause(f.caller))
	}
	return f.client.report(f.caller, t, err)
}

func (f *fetch) free() {
	f.stall.Stop()
	f.cancel(context.Canceled)
	f.stop()
}

// A body reads the data and says how a transfer failed. The time limits run while it is read.
type body struct {
	*fetch
	target *target
	src    io.ReadCloser
	left   int64 // of max
	err    error // of every further Read
}

func (b *body) Read(p []byte) (int, error) {
	if b.err != nil || len(p) == 0 {
		return 0, b.err
	}
	if b.max > 0 && int64(len(p)) > b.left {
		p = p[:b.left+1] // one more tells whether there is more
	}
	b.stall.Reset(b.client.stall)
	n, err := b.src.Read(p)
	b.stall.Stop()
	switch {
	case b.max > 0 && int64(n) > b.left:
		n = int(b.left)
		b.err = b.end(b.target, b.tooLarge())
	case err == io.EOF:
		b.err = io.EOF
		b.free()
	case err != nil:
		b.err = b.end(b.target, b.broken(err))
	}
	b.left -= int64(n)
	return n, b.err
}

// broken returns the error for a transfer that did not reach its end.
func (b *body) broken(err error) error {
	switch cause := context.Cause(b.ctx); cause {
	case errStalled:
		return &Error{Kind: ErrFetch, Text: fmt.Sprintf("The transfer ended early: the server sent nothing for %v", b.client.stall), Cause: err}
	case errTooLong:
		return &Error{Kind: ErrFetch, Text: fmt.Sprintf("The transfer ended early: it took longer than %v", b.client.total), Cause: err}
	}
	return &Error{Kind: ErrFetch, Text: "The transfer ended early: the connection broke", Cause: err}
}

// Close ends the transfer, whatever is left of it.
func (b *body) Close() error {
	b.free()
	return b.src.Close()
}
