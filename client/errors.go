package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

// ErrUnreachable is in the chain of every error for a request that got no answer from an Image API: nobody listens,
// the connection broke, the answer took too long, or a proxy in between says so.
var ErrUnreachable = errors.New("no server could be reached")

// An Error is the server's answer to a request that it did not carry out. Its chain holds one of image.Errors, or
// ErrUnreachable, or nothing for a failure inside the server.
type Error struct {
	Status    int    // of HTTP
	Text      string // written by the server for a person, in one line
	RequestID string // by which the server's log tells more, "" when it sent none

	kind       error
	retryAfter time.Duration
}

func (e *Error) Error() string {
	if e.Status >= 500 && e.RequestID != "" {
		return fmt.Sprintf("%s (request %s)", e.Text, e.RequestID)
	}
	return e.Text
}

// Unwrap returns the kind.
func (e *Error) Unwrap() error { return e.kind }

// passing reports whether asking again makes sense.
func (e *Error) passing() bool {
	switch e.Status {
	case http.StatusBadGateway, http.StatusGatewayTimeout:
		return true
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return e.retryAfter > 0
	}
	return false
}

// kinds turns an answer back into the error it was made from: the first row whose status is the answer's and whose
// pattern is found in the text. Several errors share a status, and only the text tells them apart; the last row of a
// status is what other servers mean by it.
var kinds = []struct {
	status  int
	pattern *regexp.Regexp // nil matches every text
	err     error
}{
	{http.StatusNoContent, nil, image.ErrNoData}, // of a download
	{http.StatusBadRequest, text(`client went away|ended early|closed the connection`), image.ErrInterrupted},
	{http.StatusBadRequest, nil, image.ErrInvalid},
	{http.StatusUnauthorized, nil, image.ErrUnauthorized},
	{http.StatusForbidden, nil, image.ErrForbidden},
	{http.StatusNotFound, nil, image.ErrNotFound},
	{http.StatusMethodNotAllowed, nil, image.ErrInvalid},
	{http.StatusConflict, text(`in use`), image.ErrInUse},
	{http.StatusConflict, nil, image.ErrConflict},
	{http.StatusGone, text(`deleted`), image.ErrGone},
	{http.StatusGone, nil, image.ErrStoreReadOnly},
	{http.StatusRequestEntityTooLarge, text(`store is full|not enough .*space|no space`), image.ErrStoreFull},
	{http.StatusRequestEntityTooLarge, nil, image.ErrTooLarge},
	{http.StatusUnsupportedMediaType, text(`media type|content.type`), image.ErrUnsupportedType},
	{http.StatusUnsupportedMediaType, nil, image.ErrUnsupportedContent},
	{http.StatusRequestedRangeNotSatisfiable, nil, image.ErrRange},
	{http.StatusTooManyRequests, nil, image.ErrUnavailable},
	{http.StatusRequestHeaderFieldsTooLarge, nil, image.ErrInvalid},
	{http.StatusNotImplemented, nil, image.ErrInvalid},
	{http.StatusBadGateway, nil, ErrUnreachable},
	{http.StatusServiceUnavailable, text(`missing`), image.ErrDataMissing},
	{http.StatusServiceUnavailable, text(`corrupt`), image.ErrCorrupt},
	{http.StatusServiceUnavailable, text(`offline|cannot be reached|not configured`), image.ErrStoreOffline},
	{http.StatusServiceUnavailable, nil, image.ErrUnavailable},
	{http.StatusGatewayTimeout, nil, ErrUnreachable},
}

func text(pattern string) *regexp.Regexp { return regexp.MustCompile(`(?i)` + pattern) }

// check returns nil for a success and the *Error for every other answer.
func (c *Client) check(r request, resp *http.Response) error {
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return nil
	}
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		return &Error{Status: resp.StatusCode, kind: ErrUnreachable,
			Text: fmt.Sprintf("there is no Image API v2 at %s: it answers %s", c.endpoint, resp.Status)}
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10)) // an answer cut short still has its status
	e := newError(resp.StatusCode, errorText(resp.Header.Get("Content-Type"), body), resp.Header)
	if e.Text == "" {
		e.Text = fmt.Sprintf("the server answers %s", resp.Status)
	}
	return e
}

// newError finds the kind of an answer.
func newError(status int, message string, h http.Header) *Error {
	e := &Error{Status: status, Text: message, RequestID: h.Get("X-Openstack-Request-Id"), retryAfter: retryAfter(h)}
	for _, k := range kinds {
		if k.status == status && (k.pattern == nil || k.pattern.MatchString(message)) {
			e.kind = k.err
			break
		}
	}
	return e
}

var (
	tags  = regexp.MustCompile(`<[^>]*>`)
	br    = regexp.MustCompile(`<br ?/?>`) // Glance has them even in plain text
	title = regexp.MustCompile(`(?s)^\d{3} [^\n]*\n\s*\n`)
	head  = regexp.MustCompile(`(?is)<(head|h1)>.*?</(head|h1)>`)
)

// errorText returns the message of an error body in one line, whichever of its three forms the server chose.
func errorText(contentType string, body []byte) string {
	message := string(body)
	switch {
	case strings.HasPrefix(contentType, "application/json"):
		var doc struct {
			Message string
			Error   struct{ Message string } // the form of Keystone's middleware
		}
		if json.NewDecoder(bytes.NewReader(body)).Decode(&doc) == nil {
			message = doc.Message + doc.Error.Message
		}
	case strings.HasPrefix(contentType, "text/html"):
		message = html.UnescapeString(tags.ReplaceAllString(head.ReplaceAllString(message, ""), " "))
	default:
		message = title.ReplaceAllString(message, "")
	}
	return strings.Join(strings.Fields(br.ReplaceAllString(message, " ")), " ")
}
