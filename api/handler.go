package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/julienschmidt/httprouter"

	"github.com/vitrine-image/vitrine/events"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/requestid"
)

// privateCache is the Cache-Control of everything that does not say otherwise: a shared cache must not keep what
// depends on who asks, and some keep even errors unless they are told.
const privateCache = "private, no-cache"

// A call is what a handler knows of its request beyond the request.
type call struct {
	caller  image.Caller
	account *account // what data it may still send and get, nil for any
	params  httprouter.Params
	patient time.Time // until when it may wait for its turn; zero before it had to
}

type callKey struct{}

// ServeHTTP answers a request, whatever happens on the way, and logs it.
func (s *server) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	r, leave := attend(r)
	defer leave()
	w, r := wrap(rw, r, s.cfg.StallTimeout)
	started := time.Now()
	logged := &record{}
	defer func() {
		problem := recover()
		if problem != nil && problem != http.ErrAbortHandler {
			s.log.LogAttrs(r.Context(), slog.LevelError, "panic", slog.String("request_id", logged.id),
				slog.Any("panic", problem), slog.String("stack", string(debug.Stack())))
			problem = s.answerPanic(w, r, problem)
		}
		w.finish()
		took := time.Since(started)
		s.observe(w, r, took)
		s.logRequest(w, r, logged, took)
		if problem != nil {
			panic(http.ErrAbortHandler) // the connection is closed before the answer is complete
		}
	}()
	s.serve(w, r, logged)
}

// answerPanic answers 500 if nothing was answered yet, and otherwise returns what keeps the connection from going on.
func (s *server) answerPanic(w *response, r *http.Request, problem any) any {
	if w.status != 0 {
		return problem
	}
	s.refuse(w, r, fmt.Errorf("panic: %v", problem))
	return nil
}

// An Observation is a request that was answered.
type Observation struct {
	Method         string // "other" for what is none
	Route          string // the pattern of the path, "none" for a path that nothing is at
	Status         int    // 0 when nothing was answered
	Took           time.Duration
	Received, Sent int64 // bytes of the bodies
}

func (s *server) observe(w *response, r *http.Request, took time.Duration) {
	if s.cfg.Observe == nil {
		return
	}
	o := Observation{Method: r.Method, Route: cmp.Or(w.route, "none"), Status: w.status, Took: took, Sent: w.bytes}
	if !slices.Contains(methods, r.Method) {
		o.Method = "other"
	}
	if w.body != nil {
		o.Received = w.body.read
	}
	s.cfg.Observe(o)
}

// A record is what the log wants to know of a request.
type record struct{ id, project, user, auth string }

func (s *server) logRequest(w *response, r *http.Request, rec *record, took time.Duration) {
	level := slog.LevelInfo
	if w.status < 400 && r.Method == http.MethodGet {
		level = slog.LevelDebug // most requests read, and succeed
	}
	if !s.log.Enabled(r.Context(), level) {
		return // without the cost of gathering what nobody reads
	}
	s.log.LogAttrs(r.Context(), level, "request", slog.String("request_id", rec.id),
		slog.String("project_id", rec.project), slog.String("user_id", rec.user), slog.String("auth", rec.auth),
		slog.String("method", r.Method), slog.String("path", r.URL.Path),
		slog.Int("status", w.status), slog.Int64("bytes", w.bytes), slog.Duration("duration", took),
		slog.String("client", s.cfg.Proxies.client(r)))
}

// serve finds out what is asked for and who asks, in that order where no token is needed.
func (s *server) serve(w *response, r *http.Request, rec *record) {
	w.Header().Set("Cache-Control", privateCache)
	path, versioned := versionedPath(r)
	if versioned {
		id, err := s.requestID(r)
		rec.id = id
		w.Header().Set("X-Openstack-Request-Id", id)
		r = r.WithContext(requestid.With(r.Context(), id))
		if err != nil {
			s.refuse(w, r, err)
			return
		}
	}
	if s.cors != nil {
		if answered, err := s.cors.handle(w, r); err != nil {
			s.refuse(w, r, err)
			return
		} else if answered {
			return
		}
	}
	if s.gate != nil {
		if err := s.gate.check(r); err != nil {
			s.refuse(w, r, err)
			return
		}
	}
	if !versioned {
		s.serveUnversioned(w, r)
		return
	}
	caller, err := s.cfg.Auth.Authenticate(r)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	rec.project, rec.user, rec.auth = caller.ProjectID, caller.UserID, s.authKind
	if caller.Anonymous {
		rec.auth = "anonymous"
	}
	call := &call{caller: caller}
	if s.rates != nil {
		if call.account, err = s.rates.enter(s.accountOf(r, caller)); err != nil {
			s.refuse(w, r, err)
			return
		}
		defer s.rates.leave(call.account)
	}
	ctx := events.WithOrigin(r.Context(), events.Origin{Address: s.cfg.Proxies.address(r), Auth: rec.auth})
	if err := s.dispatch(w, r.WithContext(context.WithValue(ctx, callKey{}, call)), path); err != nil {
		s.refuse(w, r, err)
	}
}

// dispatch calls the operation. The routes are compared with the path as it was sent where that makes a difference: an
// escaped slash belongs to an element.
func (s *server) dispatch(w *response, r *http.Request, path string) error {
	if !slices.Contains(methods, r.Method) {
		return &statusError{code: http.StatusNotImplemented, text: "The method " + r.Method + " is not implemented."}
	}
	handle, params, err := s.router.find(r.Method, path)
	if err != nil {
		return err
	}
	handle(w, r, params)
	return nil
}

// operate runs one operation.
func (s *server) operate(w *response, r *http.Request, rt route, params httprouter.Params) {
	callOf(r).params = params
	w.route = rt.path
	err := checkBody(r, rt)
	if err == nil && s.cfg.Recordable != nil && rt.recorded() {
		err = s.cfg.Recordable()
	}
	if err == nil {
		err = rt.handle(s, w, r)
	}
	if err != nil {
		s.refuse(w, r, named(err, params))
	}
}

// named says which image was not found, if the error does not.
func named(err error, params httprouter.Params) error {
	written := (*image.Error)(nil)
	if id := params.ByName("image"); id != "" && errors.Is(err, image.ErrNotFound) && !errors.As(err, &written) {
		return image.Errorf(image.ErrNotFound, "No image found with ID %s", id)
	}
	return err
}

// checkBody refuses a body where none is expected. Some clients say that they send chunks, and then there is none.
func checkBody(r *http.Request, rt route) error {
	if rt.body || r.ContentLength == 0 {
		return nil
	}
	if r.ContentLength < 0 {
		switch _, err := io.ReadFull(r.Body, make([]byte, 1)); err {
		case nil:
		case io.EOF:
			return nil
		default:
			return err
		}
	}
	return image.Errorf(image.ErrInvalid, "A body is not expected with this request.")
}

// requestID returns the id that the client chose, or a new one. The answer needs an id also when there is an error.
func (s *server) requestID(r *http.Request) (string, error) {
	id := r.Header.Get("X-Openstack-Request-Id")
	if len(id) > s.cfg.Limits.RequestID {
		return "req-" + string(image.NewID()), &statusError{code: http.StatusRequestHeaderFieldsTooLarge,
			text: fmt.Sprintf("The request id is longer than %d characters.", s.cfg.Limits.RequestID)}
	}
	if id == "" || strings.ContainsFunc(id, func(c rune) bool { return c <= ' ' || c >= 0x7f }) {
		return "req-" + string(image.NewID()), nil
	}
	if !strings.HasPrefix(id, "req-") {
		id = "req-" + id
	}
	return id, nil
}
