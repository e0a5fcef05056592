package api

import (
	"container/list"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

// connections bounds the number of connections that are open at once. At the bound a new one takes the place of the one
// that has been quiet for longest, and waits if none is: requests under way are never cut off for it.
type connections struct {
	log   *slog.Logger
	slots chan struct{} // holds one for each that is open

	mu      sync.Mutex
	quiet   *list.List                 // of net.Conn without a request under way, the longest quiet first
	places  map[net.Conn]*list.Element // in quiet
	waiting int                        // new ones that wait for a slot
	logged  time.Time                  // when a failure was logged last
}

func newConnections(most int, log *slog.Logger) *connections {
	return &connections{log: log, slots: make(chan struct{}, most), quiet: list.New(), places: make(map[net.Conn]*list.Element)}
}

// changed is the ConnState of the server.
func (c *connections) changed(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if place := c.places[conn]; place != nil {
		c.quiet.Remove(place)
		delete(c.places, conn)
	}
	switch state {
	case http.StateNew, http.StateIdle:
		if c.waiting > 0 && state == http.StateIdle {
			hangUp(conn) // somebody waits for the place
			return
		}
		c.places[conn] = c.quiet.PushBack(conn)
	case http.StateClosed, http.StateHijacked:
		select {
		case <-c.slots:
		default: // it came by another way than Serve
		}
	}
}

// enter waits for a slot. It reports false when the listener is closed first.
func (c *connections) enter(closed <-chan struct{}) bool {
	select {
	case c.slots <- struct{}{}:
		return true
	default:
	}
	c.wait(1)
	defer c.wait(-1)
	c.dropQuiet()
	select {
	case c.slots <- struct{}{}:
		return true
	case <-closed:
		return false
	}
}

func (c *connections) wait(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting += n
}

// dropQuiet closes the connection that has been quiet for longest, if there is one.
func (c *connections) dropQuiet() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if place := c.quiet.Front(); place != nil {
		conn := c.quiet.Remove(place).(net.Conn)
		delete(c.places, conn)
		hangUp(conn)
	}
}

// hangUp closes a connection without the farewell of TLS, which would wait for a client that takes nothing.
func hangUp(conn net.Conn) {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	conn.Close()
}

// failed logs that no connection could be accepted, not more often than once a minute.
func (c *connections) failed(address net.Addr, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.logged) >= time.Minute {
		c.logged = now
		c.log.Error("connections cannot be accepted now", "address", address.String(), "error", err)
	}
}

// A listener accepts as many connections as there may be, and outlives what keeps it from accepting one.
type listener struct {
	net.Listener
	*connections
	once   sync.Once
	closed chan struct{}
}

func (l *listener) Accept() (net.Conn, error) {
	for delay := 5 * time.Millisecond; ; delay = min(2*delay, time.Second) {
		conn, err := l.Listener.Accept()
		switch {
		case err == nil && l.enter(l.closed):
			return conn, nil
		case err == nil:
			conn.Close()
			return nil, net.ErrClosed
		case !passing(err):
			return nil, err
		}
		l.failed(l.Addr(), err)
		l.dropQuiet() // its file descriptor may be what is missing
		select {
		case <-time.After(delay):
		case <-l.closed:
			return nil, net.ErrClosed
		}
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// passing reports whether accepting may work again: no descriptors or memory are left, or the client's network failed.
// The names are those of accept(2).
func passing(err error) bool {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return false
	}
	switch errno {
	case syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EPERM, syscall.EINTR,
		syscall.ENETDOWN, syscall.EPROTO, syscall.ENOPROTOOPT, syscall.EHOSTDOWN, syscall.ENONET, syscall.EHOSTUNREACH,
		syscall.EOPNOTSUPP, syscall.ENETUNREACH:
		return true
	}
	return false
}
