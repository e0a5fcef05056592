package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

// maxDocument bounds the JSON that a server may send: a full page of usual images fits well, and so does a single one
// with as many and as long properties as can be.
const maxDocument = 64 << 20

var errTooLong = errors.New("the answer is too long")

// A request is one call of the API.
type request struct {
	method string
	path   []string // elements, not escaped
	query  url.Values
	header map[string]string
	body   []byte
	repeat bool // sending it twice does no harm
}

// url joins the base and the path. Every element stays one element, even "..", which would be cleaned away unescaped.
func (c *Client) url(r request) *url.URL {
	u := *c.base
	raw := u.EscapedPath()
	for _, element := range r.path {
		escaped := url.PathEscape(element)
		if element == "." || element == ".." {
			escaped = strings.ReplaceAll(element, ".", "%2E")
		}
		u.Path += "/" + element
		raw += "/" + escaped
	}
	u.RawPath, u.RawQuery = raw, r.query.Encode()
	return &u
}

// call sends a request that carries no image data and returns the body of the answer, which is a success.
func (c *Client) call(ctx context.Context, r request) ([]byte, error) {
	for try := 0; ; try++ {
		body, err := c.callOnce(ctx, r)
		if err == nil || !r.repeat || try >= c.retries || !passing(err) {
			return body, err
		}
		if wait(ctx, try, err) != nil {
			return nil, err
		}
	}
}

func (c *Client) callOnce(ctx context.Context, r request) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.timeout, fmt.Errorf("%w (%s)", errSlow, c.timeout))
	defer cancel()
	resp, err := c.send(ctx, r, nil, 0)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if err := c.check(r, resp); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, c.limit+1))
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	if int64(len(body)) > c.limit {
		return nil, fmt.Errorf("%w: %s sends more than %d bytes", errTooLong, c.endpoint, c.limit)
	}
	return body, nil
}

// send sends the request, with data (of size bytes, -1 when unknown) as its body if it is not nil. It returns every answer,
// whatever its status; but where tokens are renewed, it is sent once more when its token has expired.
func (c *Client) send(ctx context.Context, r request, data io.Reader, size int64) (*http.Response, error) {
	return c.sendWith(ctx, func(token string, data io.Reader) (*http.Response, error) {
		return c.sendOnce(ctx, r, token, data, size)
	}, data)
}

func (c *Client) sendOnce(ctx context.Context, r request, token string, data io.Reader, size int64) (*http.Response, error) {
	if data == nil && r.body != nil {
		data, size = bytes.NewReader(r.body), int64(len(r.body))
	}
	if data != nil && size == 0 {
		data = http.NoBody // a reader and length 0 would mean an unknown length
	}
	req, err := http.NewRequestWithContext(ctx, r.method, c.url(r).String(), data)
	if err != nil {
		return nil, fmt.Errorf("request to %s: %w", c.endpoint, err)
	}
	req.ContentLength = size
	req.Header.Set("Accept", "application/json") // the form of error texts
	req.Header.Set("User-Agent", c.agent)
	if token != "" {
		req.Header.Set("X-Auth-Token", token)
	}
	if c.credentials.user != "" {
		req.SetBasicAuth(c.credentials.user, c.credentials.password)
	}
	for k, v := range r.header {
		req.Header.Set(k, v)
	}
	if err := checkHeader(req.Header); err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	return resp, nil
}

// checkHeader refuses values that no header can hold. They are a mistake of the caller, and no failure of the connection.
func checkHeader(h http.Header) error {
	for name, values := range h {
		for _, v := range values {
			if strings.ContainsFunc(v, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
				return image.Errorf(image.ErrInvalid, "The value for the header %s has characters that no header can hold", name)
			}
		}
	}
	return nil
}

// The client's own reasons to give a request up.
var (
	errSlow    = errors.New("no answer in time")
	errStalled = errors.New("the transfer stands still")
)

// unreachable describes a failure below HTTP. When the caller gave up, his reason is the error.
func (c *Client) unreachable(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, errSlow) || errors.Is(cause, errStalled) {
		err = cause
	} else if cause != nil {
		return cause
	}
	if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
		err = wrapped.Err // without the URL, which the endpoint tells
	}
	return fmt.Errorf("%w at %s: %w", ErrUnreachable, c.endpoint, err)
}

// passing reports whether the same request may succeed a moment later. Nobody listening is no passing state: the
// person who waits should hear of it.
func passing(err error) bool {
	if refused := (*net.OpError)(nil); errors.As(err, &refused) && refused.Op == "dial" {
		return false
	}
	if answer := (*Error)(nil); errors.As(err, &answer) {
		return answer.passing()
	}
	return errors.Is(err, ErrUnreachable) && !errors.Is(err, errSlow)
}

// wait waits before try number try+1: as long as the server asked for, else longer each time.
func wait(ctx context.Context, try int, err error) error {
	d := min(100*time.Millisecond<<min(try, 10), 5*time.Second)
	d += rand.N(d / 4) // many clients do not come back at once
	if answer := (*Error)(nil); errors.As(err, &answer) && answer.retryAfter > 0 {
		d = answer.retryAfter
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// retryAfter reads the header, which may ask for up to half a minute. HTTP dates are not read.
func retryAfter(h http.Header) time.Duration {
	s, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || s < 0 {
		return 0
	}
	return min(time.Duration(s)*time.Second, 30*time.Second)
}
