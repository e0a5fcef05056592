package api

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/image"
)

// statuses says which answer an error becomes; the first match wins.
var statuses = []struct {
	err  error
	code int
}{
	{image.ErrNotFound, http.StatusNotFound}, // also what the caller may not see
	{image.ErrInvalid, http.StatusBadRequest},
	{image.ErrForbidden, http.StatusForbidden},
	{image.ErrUnauthorized, http.StatusUnauthorized},
	{image.ErrConflict, http.StatusConflict},
	{image.ErrInUse, http.StatusConflict},
	{image.ErrGone, http.StatusGone},
	{image.ErrTooLarge, http.StatusRequestEntityTooLarge},
	{image.ErrStoreFull, http.StatusRequestEntityTooLarge},
	{image.ErrStoreReadOnly, http.StatusGone},
	{image.ErrStoreOffline, http.StatusServiceUnavailable},
	{image.ErrUnsupportedContent, http.StatusUnsupportedMediaType},
	{image.ErrUnsupportedType, http.StatusUnsupportedMediaType},
	{image.ErrNoData, http.StatusNoContent},               // queued: the answer for an image without bytes
	{image.ErrDataMissing, http.StatusServiceUnavailable}, // active, but the bytes are lost
	{image.ErrCorrupt, http.StatusServiceUnavailable},     // the bytes are there, and wrong
	{image.ErrRange, http.StatusRequestedRangeNotSatisfiable},
	{image.ErrUnavailable, http.StatusServiceUnavailable},
	{image.ErrInterrupted, http.StatusBadRequest},
}

// retryAfter is how many seconds a client should wait that was told ErrUnavailable.
const retryAfter = 5

// A statusError is an answer of HTTP itself, which no domain error stands for.
type statusError struct {
	code       int
	text       string
	allow      string // of 405
	retryAfter int    // seconds, of 429
}

func (e *statusError) Error() string { return e.text }

// statusOf returns the status of an answer to err; 500 for what nobody expected.
func statusOf(err error) int {
	if own := (*statusError)(nil); errors.As(err, &own) {
		return own.code
	}
	for _, s := range statuses {
		if errors.Is(err, s.err) {
			return s.code
		}
	}
	return http.StatusInternalServerError
}

// textOf returns what the client is told: the text that was written for it, or the name of the domain error, never
// what an inner error says of paths and machines.
func textOf(err error) string {
	var own *statusError
	var written *image.Error
	var inUse *image.InUseError
	var quota *image.QuotaError
	switch {
	case errors.As(err, &own):
		return own.text
	case errors.As(err, &inUse):
		return inUse.Error()
	case errors.As(err, &quota):
		return quota.Error()
	case errors.As(err, &written):
		return written.Text
	}
	for _, s := range statuses {
		if errors.Is(err, s.err) {
			return "The request failed: " + s.err.Error() + "."
		}
	}
	return "The server failed to carry out the request. Its log tells more under the request id."
}

// maxErrorText is how many bytes of a text the client is told: some quote what it sent, which may be long.
const maxErrorText = 4 << 10

func shortened(text string) string {
	if len(text) <= maxErrorText {
		return text
	}
	end := maxErrorText
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "..."
}

// refuse answers with an error. It must be called at most once, and before anything was written; afterwards it breaks
// the connection off, so that nobody takes half an answer for a whole one.
func (s *server) refuse(w *response, r *http.Request, err error) {
	if r.Context().Err() != nil && errors.Is(err, context.Canceled) {
		err = image.ErrInterrupted // nobody is left to read it
	}
	code := statusOf(err)
	s.logFailure(r, w, code, err)
	if w.status != 0 {
		panic(http.ErrAbortHandler)
	}
	h := w.Header()
	switch own := (*statusError)(nil); {
	case errors.As(err, &own) && own.allow != "":
		h.Set("Allow", own.allow)
	case own != nil && own.retryAfter > 0:
		h.Set("Retry-After", strconv.Itoa(own.retryAfter))
	case errors.Is(err, image.ErrUnavailable):
		h.Set("Retry-After", strconv.Itoa(retryAfter))
	case code == http.StatusUnauthorized && s.challenge != "":
		h.Set("WWW-Authenticate", s.challenge)
	}
	h.Del("ETag")
	h.Del("Content-MD5")
	h.Set("Cache-Control", privateCache)
	if code == http.StatusNoContent {
		w.WriteHeader(code)
		return
	}
	contentType, body := errorBody(r.Header.Values("Accept"), code, shortened(textOf(err)))
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("X-Content-Type-Options", "nosniff")
	w.answerEarly(r, code, body)
}

// logFailure logs in full what the client is not told.
func (s *server) logFailure(r *http.Request, w *response, code int, err error) {
	level := slog.LevelDebug
	switch {
	case code == http.StatusInternalServerError, w.status != 0 && !errors.Is(err, image.ErrInterrupted):
		level = slog.LevelError
	case code > http.StatusInternalServerError && code != http.StatusNotImplemented: // which clients cause on their own
		level = slog.LevelWarn
	}
	s.log.LogAttrs(r.Context(), level, "request failed", slog.String("method", r.Method), slog.String("path", r.URL.Path),
		slog.Int("status", code), slog.Any("error", err))
}

// escapeText makes a text part of HTML. Quotes stay as they are: clients take the tags away, and nothing else.
var escapeText = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// errorBody writes the error in the form that the client prefers: HTML, also if it takes anything, JSON, or else plain
// text. Clients were written against servers that choose so.
func errorBody(accept []string, code int, text string) (contentType string, body []byte) {
	title := http.StatusText(code)
	status := strconv.Itoa(code) + " " + title
	switch preferred(accept, "text/html", "application/json") {
	case "text/html":
		return "text/html; charset=UTF-8", []byte("<html>\n <head>\n  <title>" + status + "</title>\n </head>\n <body>\n  <h1>" +
			status + "</h1>\n  " + escapeText.Replace(text) + "<br /><br />\n </body>\n</html>\n")
	case "application/json":
		body, _ = json.Marshal(wire.Error{Message: text, Code: status, Title: title}) // strings always marshal
		return "application/json", body
	}
	return "text/plain; charset=UTF-8", []byte(status + "\n\n" + text + "\n")
}
