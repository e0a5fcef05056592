package daemon

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// inflight counts the requests that a handler works on: closing a server cuts their connections, and does not wait until
// they have cleaned up.
type inflight struct {
	next atomic.Pointer[http.Handler]

	mu    sync.Mutex
	count int
	idle  chan struct{} // closed when the last one ends; nil unless somebody waits
}

// serve makes h answer the requests from now on.
func (f *inflight) serve(h http.Handler) { f.next.Store(&h) }

func (f *inflight) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.add(1)
	defer f.add(-1)
	(*f.next.Load()).ServeHTTP(w, r)
}

func (f *inflight) add(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.count += n; f.count == 0 && f.idle != nil {
		close(f.idle)
		f.idle = nil
	}
}

// wait returns once no request is worked on, or after the time that is given; then it reports false.
func (f *inflight) wait(atMost time.Duration) bool {
	f.mu.Lock()
	if f.count == 0 {
		f.mu.Unlock()
		return true
	}
	if f.idle == nil {
		f.idle = make(chan struct{})
	}
	idle := f.idle
	f.mu.Unlock()
	select {
	case <-idle:
		return true
	case <-time.After(atMost):
		return false
	}
}
