package api

import (
	"context"
	"net"
	"net/http"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// net/http ends the context of a request when it sees the end of what the client sends, although the client may well wait for
// the answer: who has nothing more to ask can close that half of the connection. The contexts of this package end when the connection
// is broken, or closed by this server. A client that closed all of it in good order looks the same as one that closed a
// half, until something is sent to it: then writing fails.

type presenceKey struct{}

// A presence tells of the connection of a request.
type presence struct {
	conn   net.Conn
	closed context.Context // ends when the server is closed
}

// attend returns a copy of the request whose context ends when nobody can be answered any more. Call the function at the
// end of the request.
func attend(r *http.Request) (*http.Request, func()) {
	client, known := r.Context().Value(presenceKey{}).(presence)
	if !known {
		return r, func() {}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	var mu sync.Mutex
	forget := func() bool { return true }
	unwatch := context.AfterFunc(r.Context(), func() {
		if client.broken() {
			cancel()
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if ctx.Err() == nil { // nobody looks at the connection from now on
			forget = context.AfterFunc(client.closed, cancel)
		}
	})
	return r.WithContext(ctx), func() {
		unwatch()
		cancel()
		mu.Lock()
		defer mu.Unlock()
		forget()
	}
}

// broken reports whether nothing can be sent on the connection.
func (p presence) broken() bool {
	socket, ok := p.conn.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return true
	}
	broken := true
	err = raw.Control(func(fd uintptr) { // fails when this side has closed it
		fds := []unix.PollFd{{Fd: int32(fd)}} // the two events that count are always asked for
		n, err := unix.Poll(fds, 0)
		broken = err == nil && n > 0 && fds[0].Revents&(unix.POLLHUP|unix.POLLERR|unix.POLLNVAL) != 0
	})
	return err != nil || broken
}
