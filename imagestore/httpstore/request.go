package httpstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/outbound"
)

// try calls fn, again and again with growing pauses as long as the server is offline, but Retries times at most. fn gets a context that
// ends with the Timeout.
func (s *Store) try(ctx context.Context, fn func(context.Context) error) error {
	pause := s.pause
	for left := s.retries; ; left-- {
		err := s.once(ctx, fn)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case left == 0 || !errors.Is(err, image.ErrStoreOffline):
			return err
		}
		s.log.DebugContext(ctx, "a request is repeated", "store", s.id, "error", err)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
		pause *= 2
	}
}

var errSlow = errors.New("the server takes too long")

// once waits for one of the slots and calls fn.
func (s *Store) once(ctx context.Context, fn func(context.Context) error) error {
	ctx, stop := context.WithTimeoutCause(ctx, s.timeout, errSlow)
	defer stop()
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	return fn(ctx)
}

func (s *Store) enter(ctx context.Context) error {
	select {
	case s.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return s.offline(errors.New("too many requests at once"))
	}
}

func (s *Store) leave() { <-s.slots }

// send makes a request. Its errors hold no URL, which may be signed.
func (s *Store) send(ctx context.Context, method, address, span string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return nil, s.unreadable(errors.New("the URL is malformed"))
	}
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", "vitrine")
	if span != "" {
		req.Header.Set("Range", span)
	}
	resp, err := s.client.Do(req)
	if err == nil {
		return resp, nil
	}
	if named, ok := errors.AsType[*url.Error](err); ok {
		err = named.Err
	}
	if refused, ok := errors.AsType[*outbound.Error](err); ok && errors.Is(refused, image.ErrInvalid) {
		err = errors.New(refused.LogValue().String()) // who named the URL is not to know it from a server that is away
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return nil, s.offline(err)
}

// refusal is the error for an answer without data.
func (s *Store) refusal(resp *http.Response) error {
	err := fmt.Errorf("the server answers %d", resp.StatusCode)
	switch code := resp.StatusCode; {
	case code >= http.StatusInternalServerError, code == http.StatusTooManyRequests, code == http.StatusRequestTimeout:
		return s.offline(err)
	}
	return s.unreadable(err)
}

// readRange fills p from offset off; it goes on where a connection broke.
func (s *Store) readRange(ctx context.Context, url string, from remote, p []byte, off int64) error {
	return s.try(ctx, func(ctx context.Context) error {
		n, err := s.readPart(ctx, url, from, p, off)
		p, off = p[n:], off+int64(n)
		return err
	})
}

// readPart makes one request for all of p.
func (s *Store) readPart(ctx context.Context, url string, from remote, p []byte, off int64) (int, error) {
	resp, err := s.send(ctx, http.MethodGet, url, fmt.Sprintf("bytes=%d-%d", off, off+int64(len(p))-1))
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	start, size := contentRange(resp)
	switch code := resp.StatusCode; {
	case code == http.StatusRequestedRangeNotSatisfiable, code == http.StatusPartialContent && size >= 0 && size != from.size,
		(code == http.StatusPartialContent || code == http.StatusOK) && !from.version.same(versionOf(resp.Header)):
		return 0, s.changed()
	case code == http.StatusOK:
		return 0, s.unreadable(errors.New("the server does not send parts any more"))
	case code != http.StatusPartialContent:
		return 0, s.refusal(resp)
	case start != off || !plainEncoding(resp):
		return 0, s.unreadable(errors.New("the server sends another part than was asked for"))
	}
	n, err := io.ReadFull(resp.Body, p)
	if err != nil {
		return n, s.offline(err)
	}
	return n, nil
}
