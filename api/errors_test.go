package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
	"github.com/vitrine-image/vitrine/internal/requestid"
)

func TestEveryErrorHasAStatus(t *testing.T) {
	for _, err := range image.Errors() {
		if statusOf(err) == http.StatusInternalServerError {
			t.Errorf("no HTTP status for %q", err)
		}
	}
}

func TestErrorsBecomeAnswers(t *testing.T) {
	for _, tt := range []struct {
		err  error
		code int
		text string
	}{
		{image.Errorf(image.ErrConflict, "It is not so."), 409, "It is not so."},
		{fmt.Errorf("delete: %w", &image.InUseError{ID: anID, Users: []string{"a mount"}}), 409,
			"Image " + anID + " could not be deleted because it is in use: a mount"},
		{fmt.Errorf("row 5: %w", image.ErrNotFound), 404, "No image found with ID " + anID},
		{&image.QuotaError{Resource: "image_tag_quota", Limit: 1, Attempted: 2}, 413, "The limit image_tag_quota of 1 has been exceeded: attempted 2"},
		{fmt.Errorf("open /srv/secret: %w", image.ErrDataMissing), 503, "The request failed: image data is missing."},
		{fmt.Errorf("write /srv/secret: %w", image.ErrUnavailable), 503, "The request failed: metadata is not available."},
		{errors.New("dial mysql://user:secret@db"), 500, "The server failed to carry out the request. Its log tells more under the request id."},
	} {
		f := newFake()
		f.fail = tt.err
		res := do(newHandler(t, f, func(c *Config) { c.Logger = nil }), request{"GET", "/v2/images/" + anID, nil, ""})
		want := fmt.Sprintf("%d %s\n\n%s\n", tt.code, http.StatusText(tt.code), tt.text)
		if res.Code != tt.code || res.Body.String() != want {
			t.Errorf("%v becomes %d %q, want %q", tt.err, res.Code, res.Body, want)
		}
		if (res.Header().Get("Retry-After") != "") != errors.Is(tt.err, image.ErrUnavailable) {
			t.Errorf("%v: Retry-After %q", tt.err, res.Header().Get("Retry-After"))
		}
	}
}

func TestErrorsQuoteNoMoreThanALittle(t *testing.T) {
	h := newHandler(t, newFake())
	long := strings.Repeat("日", 100_000)
	for _, req := range []request{
		{"POST", "/v2/images", nil, `{"` + long + `":1,"` + long + `":2}`},
		{"PATCH", "/v2/images/" + anID, header("Content-Type", patchType), `[{"op":"` + long + `","path":"/x"}]`},
		{"PATCH", "/v2/images/" + anID, header("Content-Type", patchType), `[{"op":"remove","path":"/` + long + `/x"}]`},
	} {
		res := do(h, req)
		if text := res.Body.String(); res.Code != 400 || len(text) > maxErrorText+100 || !strings.Contains(text, "日日...") || !utf8.ValidString(text) {
			t.Errorf("%s %s = %d, %d bytes", req.method, req.path, res.Code, len(text))
		}
	}
}

func TestUnexpectedErrorsAreLoggedInFull(t *testing.T) {
	f := newFake()
	f.fail = errors.New("disk on fire")
	var log bytes.Buffer
	h := newHandler(t, f, func(c *Config) { c.Logger = slog.New(requestid.Handler(slog.NewTextHandler(&log, nil))) })
	do(h, request{"GET", "/v2/images/" + anID, header("X-Openstack-Request-Id", "req-7"), ""})
	for _, want := range []string{`level=ERROR msg="request failed"`, `error="disk on fire" request_id=req-7`, "msg=request request_id=req-7 project_id=p1", "status=500"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, log.String())
		}
	}
}

func TestPanics(t *testing.T) {
	var log bytes.Buffer
	f := newFake()
	h := newHandler(t, f, func(c *Config) {
		c.Images = func(image.Caller) Session { panic("lost my mind") }
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	res := do(h, request{"GET", "/v2/images", nil, ""})
	if res.Code != 500 || strings.Contains(res.Body.String(), "mind") || !strings.Contains(log.String(), "lost my mind") {
		t.Errorf("a panic becomes %d %s, logged %s", res.Code, res.Body, log.String())
	}
}

func TestAnAnswerThatFailsHalfwayIsBrokenOff(t *testing.T) {
	f := newFake()
	id := f.add(image.Image{Owner: "p1"}, "")
	var log bytes.Buffer
	h := newHandler(t, f, func(c *Config) {
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
		c.Images = func(caller image.Caller) Session { return shortSession{f.as(caller)} }
	})
	srv := serve(t, h)
	res, err := http.Get(srv.URL + "/v2/images/" + string(id) + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	n, err := bytes.NewBuffer(nil).ReadFrom(res.Body)
	if res.StatusCode != 200 || err == nil {
		t.Errorf("a download of lost bytes = %d, %d bytes, %v", res.StatusCode, n, err)
	}
	srv.Close() // waits for the handler
	if !strings.Contains(log.String(), `level=ERROR msg="request failed"`) {
		t.Errorf("the loss was not logged: %s", log.String())
	}
}

// cutReader has fewer bytes than it says.
type cutReader struct{ memoryReader }

func (c cutReader) Size() int64 { return 1 << 20 }

type shortSession struct{ Session }

func (s shortSession) Open(ctx context.Context, id image.ID, opts imageservice.OpenOptions) (*imageservice.Data, error) {
	data, err := s.Session.Open(ctx, id, opts)
	if err == nil {
		data.Reader = cutReader{make(memoryReader, 1<<19)}
	}
	return data, err
}
