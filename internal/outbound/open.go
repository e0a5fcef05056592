package outbound

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/vitrine-image/vitrine/image"
)

// A Request asks for the data behind a URL.
type Request struct {
	URL      string
	Header   http.Header // sent to the URL's own scheme, host and port, never to where it redirects; may be nil
	MaxBytes int64       // more is an error, and so is a server that announces more; 0 for no limit, never less
}

// A Response is the data behind a URL.
type Response struct {
	Body   io.ReadCloser // ends with io.EOF only when all bytes came; see Open
	Size   int64         // bytes of Body, -1 when the server did not say
	Header http.Header   // of the server that had the data
}

// Open fetches a URL; close the Body. Everything that Check judges is judged again, for the URL and for each redirect, and
// the address that is judged is connected to. The data is what the server sent, never decompressed. Errors, of Open and of
// the Body alike, logged already:
//   - *Error of the kind image.ErrInvalid: the URL is refused by its spelling or by a list;
//   - *Error of the kind image.ErrTooLarge: there are more than MaxBytes;
//   - *Error of the kind ErrFetch: all else, be it a forbidden address, an answer other than 200 or a broken transfer;
//   - that of ctx, when the caller has ended it.
func (c *Client) Open(ctx context.Context, r Request) (*Response, error) {
	if r.MaxBytes < 0 {
		return nil, fmt.Errorf("outbound: a limit of %d bytes", r.MaxBytes)
	}
	t, err := c.policy.accept(r.URL)
	if err != nil {
		return nil, c.report(ctx, nil, err)
	}
	f := c.newFetch(ctx, r.MaxBytes)
	header := r.Header
	origin := t
	for hop := 0; ; hop++ {
		resp, err := f.get(t, header)
		if err != nil {
			return nil, f.end(t, err)
		}
		if resp.StatusCode == http.StatusOK {
			return f.response(t, resp)
		}
		resp.Body.Close()
		next, err := follow(c.policy, t, resp)
		switch {
		case err != nil:
			return nil, f.end(t, err)
		case hop >= c.redirects:
			return nil, f.end(t, &Error{Kind: ErrFetch, Text: fmt.Sprintf("The URL could not be fetched: it redirects more than %d times", c.redirects)})
		}
		if next.scheme != origin.scheme || next.host != origin.host || next.port != origin.port {
			header = nil
		}
		t = next
	}
}

// get asks a target for its data.
func (f *fetch) get(t *target, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(f.ctx, http.MethodGet, t.url.String(), nil)
	if err != nil {
		return nil, err
	}
	maps.Copy(req.Header, header)
	req.Header.Set("Accept-Encoding", "identity")
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", "vitrine")
	}
	resp, err := f.client.send(t, req)
	if err != nil {
		return nil, unfetched(err)
	}
	return resp, nil
}

// follow returns where an answer that is not 200 redirects to.
func follow(p *Policy, from *target, resp *http.Response) (*target, error) {
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return nil, &Error{Kind: ErrFetch, Status: resp.StatusCode,
			Text: fmt.Sprintf("The URL could not be fetched: the server answered %d instead of 200", resp.StatusCode)}
	}
	raw, err := absolute(from, resp.Header["Location"])
	if err != nil {
		return nil, badRedirect("to nothing that is a URL", err)
	}
	to, err := p.accept(raw)
	if err != nil {
		return nil, badRedirect("to a URL that is not accepted", err)
	}
	if from.scheme == "https" && to.scheme != "https" {
		return nil, badRedirect("from https to http", nil)
	}
	return to, nil
}

// absolute returns the URL that a Location header means. It resolves only relative ones, and leaves the others as they
// are for parse to judge.
func absolute(from *target, location []string) (string, error) {
	if len(location) != 1 || location[0] == "" {
		return "", fmt.Errorf("%d Location headers, or an empty one", len(location))
	}
	text := location[0]
	if !plain(text) {
		return "", fmt.Errorf("a Location with characters that do not stand in URLs: %q", text)
	}
	if strings.HasPrefix(text, "//") {
		return from.scheme + ":" + text, nil
	}
	ref, err := url.Parse(text)
	if err != nil {
		return "", err
	}
	if ref.Scheme != "" {
		return text, nil
	}
	return from.url.ResolveReference(ref).String(), nil
}

func badRedirect(where string, cause error) *Error {
	return &Error{Kind: ErrFetch, Text: "The URL could not be fetched: it redirects " + where, Cause: cause}
}

// response checks what a 200 announces and returns its body.
func (f *fetch) response(t *target, resp *http.Response) (*Response, error) {
	var err error
	switch {
	case f.max > 0 && resp.ContentLength > f.max:
		err = f.tooLarge()
	case resp.ContentLength < 0 && len(resp.TransferEncoding) == 0: // ends with the connection, cut or not
		err = &Error{Kind: ErrFetch, Text: "The URL could not be fetched: the server tells neither the size of the data nor where it ends"}
	}
	if err != nil {
		resp.Body.Close()
		return nil, f.end(t, err)
	}
	return &Response{Body: &body{fetch: f, target: t, src: resp.Body, left: f.max}, Size: resp.ContentLength, Header: resp.Header}, nil
}

// tooLarge is the error for more bytes than were asked for.
func (f *fetch) tooLarge() error {
	return &Error{Kind: image.ErrTooLarge, Text: "The data behind the URL is larger than the " + strconv.FormatInt(f.max, 10) + " bytes that are allowed"}
}

// report logs an error of a fetch once and returns it. The target is nil when there is none, since the URL is malformed.
func (c *Client) report(ctx context.Context, t *target, err error) error {
	failure, found := errors.AsType[*Error](err)
	if !found {
		return err
	}
	attrs := []slog.Attr{slog.Any("error", failure)}
	if t != nil {
		attrs = append(attrs, slog.String("host", hostPort(t.host, t.port, ports[t.scheme])))
	}
	c.log.LogAttrs(ctx, slog.LevelInfo, "outgoing request failed", attrs...)
	return err
}
