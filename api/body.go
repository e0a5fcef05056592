package api

import (
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

// lastMoment is how long a Read may still take of data that nobody wants.
const lastMoment = 200 * time.Millisecond

// A requestBody is the body of a request whose sender must make progress. Its errors are domain errors.
type requestBody struct {
	body     io.ReadCloser
	deadline deadline
	stall    time.Duration
	left     time.Duration // of the time to wait for the next minProgress bytes
	got      int           // of those
	read     int64
	asked    bool // somebody read, which tells a client that waits for a 100 Continue to send
	ended    bool // all of it was read
	failed   bool // nothing more will come
}

func newRequestBody(r *http.Request, control *http.ResponseController, stall time.Duration) *requestBody {
	return &requestBody{body: r.Body, deadline: deadline{set: control.SetReadDeadline}, stall: stall, left: stall}
}

// Read reads what the client sent. Errors other than io.EOF are image.ErrInterrupted.
func (b *requestBody) Read(p []byte) (int, error) {
	started := time.Now()
	b.asked = true
	b.left = b.deadline.allow(b.left)
	n, err := b.body.Read(p)
	b.read += int64(n)
	if b.got += n; b.got >= minProgress {
		b.got, b.left = 0, b.stall
	} else {
		b.left -= time.Since(started)
	}
	switch {
	case err == io.EOF:
		b.ended = true
		b.deadline.clear() // net/http goes on reading, to see the client go away
	case err != nil:
		b.failed = true
		err = b.describe(err)
	}
	return n, err
}

// SetReadDeadline lets the Read under way and all further ones fail at t: the data is not wanted any more. The Read under
// way gets a moment beyond, in which it ends by itself if the client goes on sending: after an error in the middle of a
// chunk nobody could read the rest, behind which the client looks for its answer.
func (b *requestBody) SetReadDeadline(t time.Time) error {
	if moment := time.Now().Add(lastMoment); t.Before(moment) {
		t = moment
	}
	return b.deadline.end(t)
}

func (b *requestBody) describe(err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return image.Errorf(image.ErrInterrupted, "The request body ended early: the client sent almost nothing for too long.")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return image.Errorf(image.ErrInterrupted, "The request body ended early: the client closed the connection.")
	}
	return image.Errorf(image.ErrInterrupted, "The request body ended early: %s.", err)
}

// Close stops reading.
func (b *requestBody) Close() error { return b.body.Close() }

// drain reads and forgets, within bounds.
func (b *requestBody) drain() {
	b.hurry()
	buf := make([]byte, 32<<10)
	for rest := int64(drainSize); rest > 0; {
		n, err := b.body.Read(buf)
		if err != nil {
			return
		}
		rest -= int64(n)
	}
}

// giveUp keeps everybody from reading the rest.
func (b *requestBody) giveUp() {
	b.failed = true
	_ = b.deadline.end(time.Now())
}

// hurry gives the rest of the body a short time, if there is one. net/http reads a little of what a handler left.
func (b *requestBody) hurry() {
	if !b.ended && !b.failed {
		_ = b.deadline.end(time.Now().Add(drainTime))
	}
}
