package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

// minProgress is how many bytes of a body a client must send within the StallTimeout. Only the time spent waiting for
// the client counts.
const minProgress = 16 << 10

// A requestBody is the body of a request whose sender must make progress. Its errors are domain errors.
type requestBody struct {
	ctx     context.Context
	body    io.ReadCloser
	control *http.ResponseController
	stall   time.Duration
	left    time.Duration // of the time to wait for the next minProgress bytes
	got     int           // of those
	read    int64
	ended   bool // by io.EOF or an error
}

func newRequestBody(r *http.Request, control *http.ResponseController, stall time.Duration) *requestBody {
	return &requestBody{ctx: r.Context(), body: r.Body, control: control, stall: stall, left: stall}
}

// Read reads what the client sent. Errors other than io.EOF are image.ErrInterrupted.
func (b *requestBody) Read(p []byte) (int, error) {
	started := time.Now()
	_ = b.control.SetReadDeadline(started.Add(b.left)) // writers of tests know none
	n, err := b.body.Read(p)
	b.read += int64(n)
	if b.got += n; b.got >= minProgress {
		b.got, b.left = 0, b.stall
	} else {
		b.left -= time.Since(started)
	}
	if err != nil {
		b.end()
		err = b.describe(err)
	}
	return n, err
}

// end takes the deadline off the connection: net/http goes on reading it, to see the client go away.
func (b *requestBody) end() {
	if !b.ended {
		b.ended = true
		_ = b.control.SetReadDeadline(time.Time{})
	}
}

func (b *requestBody) describe(err error) error {
	switch {
	case err == io.EOF:
		return err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return image.Errorf(image.ErrInterrupted, "The request body ended early: the client sent almost nothing for %s.", b.stall)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return image.Errorf(image.ErrInterrupted, "The request body ended early: the client closed the connection.")
	}
	return image.Errorf(image.ErrInterrupted, "The request body ended early: %s.", err)
}

// Close stops reading.
func (b *requestBody) Close() error { return b.body.Close() }

// drain reads and forgets, within bounds.
func (b *requestBody) drain() {
	until := time.Now().Add(drainTime)
	buf := make([]byte, 32<<10)
	for rest := int64(drainSize); rest > 0 && !b.ended; {
		_ = b.control.SetReadDeadline(until)
		n, err := b.body.Read(buf)
		rest -= int64(n)
		b.ended = err != nil
	}
}

// finish leaves what was not read to net/http, which reads a little of it, within a time of its own.
func (b *requestBody) finish() {
	if !b.ended {
		_ = b.control.SetReadDeadline(time.Now().Add(min(b.stall, drainTime)))
	}
}
