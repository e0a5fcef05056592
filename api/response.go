package api

import (
	"cmp"
	"context"
	"io"
	"net/http"
	"time"

	"golang.org/x/time/rate"
)

// A response counts what is sent and gives the client StallTimeout to take each piece of it. It passes ReadFrom on, so
// that the kernel may send files.
type response struct {
	http.ResponseWriter
	control  *http.ResponseController
	deadline deadline
	stall    time.Duration
	body     *requestBody // of the request, nil when there is none
	begin    int          // the status with which the first bytes come, 0 for 200
	status   int          // 0 until the header is written
	bytes    int64        // of the body
	route    string       // the pattern of the path, "" until it is known

	ctx     context.Context // of the request, for limiter
	limiter *rate.Limiter   // of data in bytes, nil for none
}

// wrap wraps both ends of a request. The request is copied: net/http looks at the body of its own to decide whether the
// connection can be used again.
func wrap(w http.ResponseWriter, r *http.Request, stall time.Duration) (*response, *http.Request) {
	control := http.NewResponseController(w)
	resp := &response{ResponseWriter: w, control: control, deadline: deadline{set: control.SetWriteDeadline}, stall: stall}
	if r.ContentLength != 0 && r.Body != nil {
		resp.body = newRequestBody(r, resp.control, stall)
		r = r.WithContext(r.Context())
		r.Body = resp.body
	}
	resp.extend() // also for the 100 Continue that reading the body sends
	return resp, r
}

// extend moves the deadline of what is written next.
func (w *response) extend() { w.deadline.allow(w.stall) }

// finish prepares the connection for what net/http still sends, and for its next request.
func (w *response) finish() {
	w.extend()
	if w.body != nil {
		w.body.hurry()
	}
}

func (w *response) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
		w.extend()
	}
	w.ResponseWriter.WriteHeader(status)
}

// beginBody writes the header before the first bytes.
func (w *response) beginBody() {
	if w.status == 0 {
		w.WriteHeader(cmp.Or(w.begin, http.StatusOK))
	}
}

func (w *response) Write(p []byte) (int, error) {
	w.beginBody()
	if w.limiter == nil {
		return w.write(p)
	}
	done := 0
	for {
		piece := p[done:min(done+w.limiter.Burst(), len(p))]
		if err := w.pace(int64(len(piece))); err != nil {
			return done, err
		}
		n, err := w.write(piece)
		if done += n; err != nil || done == len(p) {
			return done, err
		}
	}
}

func (w *response) write(p []byte) (int, error) {
	w.deadline.allow(w.stall * time.Duration(max(1, len(p)/copyPiece)))
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// ReadFrom sends src. The deadline is for all of it, so src should be short; a limited number of bytes is paced.
func (w *response) ReadFrom(src io.Reader) (int64, error) {
	w.beginBody()
	if part, ok := src.(*io.LimitedReader); ok && w.limiter != nil {
		if err := w.pace(part.N); err != nil {
			return 0, err
		}
	}
	w.extend()
	n, err := io.Copy(w.ResponseWriter, src)
	w.bytes += n
	return n, err
}

// Unwrap lets http.ResponseController find the connection.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// How much of a refused body is still read, so that a client that sends all of it before it looks for an answer finds
// one, instead of a broken connection.
const (
	smallBody = 256 << 10 // net/http reads as much before it answers
	drainSize = 256 << 20
	drainTime = 5 * time.Second
)

// answerEarly writes an answer while the client may still be sending, or waits for a 100 Continue. Without this, net/http
// waits for the body of a chunked request, and closes the connection under a client that is in the middle of a long one.
func (w *response) answerEarly(r *http.Request, code int, body []byte) {
	early, waiting := false, false
	if b := w.body; b != nil && !b.ended {
		waiting = r.Header.Get("Expect") != "" && !b.asked
		early = b.failed || waiting || r.ContentLength < 0 || r.ContentLength-b.read > smallBody
		b.hurry()
	}
	if early && w.control.EnableFullDuplex() == nil {
		w.Header().Set("Connection", "close")
	}
	w.WriteHeader(code)
	w.Write(body) // a failure shows up in the connection
	switch {
	case !early || w.body.failed || w.control.Flush() != nil:
	case waiting:
		w.body.giveUp()
	default:
		w.body.drain()
	}
}
