package httpstore

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

// A stream reads data of a server that sends no parts: from its beginning to its end.
type stream struct {
	store *Store
	url   string
	remote
	turn chan struct{} // holds one while somebody reads

	body   io.ReadCloser // nil before the first read, and after a failure
	cancel context.CancelCauseFunc
	pos    int64
}

func newStream(s *Store, url string, from remote) *stream {
	return &stream{store: s, url: url, remote: from, turn: make(chan struct{}, 1)}
}

func (r *stream) Size() int64 { return r.size }

func (r *stream) Close() error {
	r.stop()
	return nil
}

// ReadAt implements imagestore.Reader. Error: image.ErrRange for what is not next.
func (r *stream) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	p, end, err := clamp(ctx, p, off, r.size)
	if err != nil || len(p) == 0 {
		return 0, err
	}
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	if off == 0 {
		r.stop()
	}
	switch {
	case r.body == nil && off == 0:
		err = r.start(ctx)
	case r.body == nil || off != r.pos:
		err = image.Errorf(image.ErrRange, "The server of store %q sends the data as a whole: it can be read from its beginning only.", r.store.id)
	}
	if err != nil {
		return 0, err
	}
	n, err := r.next(ctx, p)
	if err == nil {
		err = end
	}
	return n, err
}

// start asks for the data. The request lives as long as the stream.
func (r *stream) start(ctx context.Context) error {
	waiting, stop := context.WithTimeout(ctx, r.store.timeout)
	defer stop()
	if err := r.store.enter(waiting); err != nil {
		return err
	}
	life, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer r.watch(ctx, cancel)()
	resp, err := r.store.send(life, http.MethodGet, r.url, "")
	switch {
	case err != nil:
	case resp.StatusCode != http.StatusOK:
		err = r.store.refusal(resp)
	case resp.ContentLength != r.size || !plainEncoding(resp) || !r.version.same(versionOf(resp.Header)):
		err = r.store.changed()
	}
	if err != nil {
		if resp != nil {
			resp.Body.Close()
		}
		cancel(nil)
		r.store.leave()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	r.body, r.cancel, r.pos = resp.Body, cancel, 0
	return nil
}

// next fills p.
func (r *stream) next(ctx context.Context, p []byte) (int, error) {
	defer r.watch(ctx, r.cancel)()
	n, err := io.ReadFull(r.body, p)
	r.pos += int64(n)
	if err == nil {
		return n, nil
	}
	r.stop()
	if ctx.Err() != nil {
		return n, context.Cause(ctx)
	}
	return n, r.store.offline(errors.New("the connection broke, or the server sent nothing for too long"))
}

// watch ends the request when ctx ends, or the server keeps silent, until done is called.
func (r *stream) watch(ctx context.Context, cancel context.CancelCauseFunc) (done func()) {
	silent := time.AfterFunc(r.store.timeout, func() { cancel(errSlow) })
	unwatch := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
	return func() { silent.Stop(); unwatch() }
}

func (r *stream) stop() {
	if r.body == nil {
		return
	}
	r.cancel(nil)
	r.body.Close()
	r.body = nil
	r.store.leave()
}
