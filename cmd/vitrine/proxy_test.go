package main

import (
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
)

// A faultProxy stands before the daemon and breaks the transfer of image data, as a network or a bad disk would:
//
//	cut N     the connection ends after N bytes of data, each time
//	flip N    byte N of the data is another one
//	hold N    after N bytes nothing more comes, until the fault changes or the client goes
//	status N  every request is answered with this status
type faultProxy struct {
	proxy *httputil.ReverseProxy
	held  chan struct{} // receives when a transfer is held

	mu      sync.Mutex
	kind    string
	n       int64
	changed chan struct{} // closed when the fault changes
}

func newFaultProxy(target string) *faultProxy {
	u, err := url.Parse(target)
	if err != nil {
		panic(err)
	}
	p := &faultProxy{kind: "none", changed: make(chan struct{}), held: make(chan struct{}, 16)}
	p.proxy = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(u) },
		ModifyResponse: func(resp *http.Response) error {
			if isData(resp.Request) && resp.Request.Method == http.MethodGet {
				resp.Body = p.spoil(resp.Body)
			}
			return nil
		},
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0),
		ErrorHandler:  func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	return p
}

func isData(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/file") }

// set changes the fault. It reports whether it knows it.
func (p *faultProxy) set(kind string, n int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kind, p.n = kind, n
	for len(p.held) > 0 {
		<-p.held // of a fault before
	}
	close(p.changed)
	p.changed = make(chan struct{})
	switch kind {
	case "none", "cut", "flip", "hold", "status":
		return true
	}
	return false
}

func (p *faultProxy) fault() (kind string, n int64, changed <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.kind, p.n, p.changed
}

func (p *faultProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if kind, n, _ := p.fault(); kind == "status" {
		http.Error(w, "made to fail", int(n))
		return
	}
	if isData(r) && r.Method == http.MethodPut {
		r.Body = p.spoil(r.Body)
	}
	p.proxy.ServeHTTP(w, r)
}

// spoil gives the bytes of body as the fault wants them.
func (p *faultProxy) spoil(body io.ReadCloser) io.ReadCloser {
	closed := make(chan struct{})
	return &spoiled{ReadCloser: body, p: p, closed: closed, end: sync.OnceFunc(func() { close(closed) })}
}

type spoiled struct {
	io.ReadCloser
	p      *faultProxy
	off    int64
	closed chan struct{}
	end    func()
}

func (s *spoiled) Close() error {
	s.end()
	return s.ReadCloser.Close()
}

func (s *spoiled) Read(b []byte) (int, error) {
	kind, n, changed := s.p.fault()
	left := n - s.off
	switch {
	case kind == "cut" && left <= 0:
		return 0, errors.New("cut")
	case kind == "hold" && left <= 0:
		s.p.held <- struct{}{}
		select {
		case <-changed:
			return s.Read(b)
		case <-s.closed:
			return 0, errors.New("closed")
		}
	case kind == "cut" || kind == "hold":
		b = b[:min(int64(len(b)), left)]
	}
	got, err := s.ReadCloser.Read(b)
	if kind == "flip" && left >= 0 && left < int64(got) {
		b[left] ^= 1
	}
	s.off += int64(got)
	return got, err
}
