package mounter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"
)

// ErrNotConnected is what a Client answers while the server is away.
var ErrNotConnected = errors.New("the mounter is away")

// Request says how a daemon wants the mount, and whether it takes over from the daemon that serves it.
type Request struct {
	Socket     string
	MaxRead    int // bytes of a read request
	AllowOther bool
	ReadAhead  int  // KiB
	TakeOver   bool // ask the daemon that serves the mount to go, and wait until it has; otherwise that is an error
	Anew       bool // do not go on with the mount that is there

	Logger *slog.Logger // nil discards
}

// A Client is what a daemon has of the mount. It stays connected: should the server end and come again, the client does so as well.
type Client struct {
	Path  string // of the mount
	Minor uint32 // its number
	Fuse  int    // the descriptor of /dev/fuse, the caller's to close
	State int    // a file in memory that outlives the daemon, the caller's to close

	socket    string
	log       *slog.Logger
	successor chan struct{} // closed when another daemon waits

	forgetting sync.Mutex    // one at a time
	notices    *net.UnixConn // for them, nil before the first

	calling sync.Mutex // one call at a time
	mu      sync.Mutex
	conn    *net.UnixConn // nil while the server is away
	closed  bool
	lost    bool // the server came back without the mount
	answers chan message
	stop    context.CancelFunc
	done    chan struct{}
}

// Attach makes this process the daemon of the mount. Call Close to let it go.
func Attach(ctx context.Context, r Request) (*Client, error) {
	c := &Client{Fuse: -1, State: -1, socket: r.Socket, log: cmp.Or(r.Logger, slog.New(slog.DiscardHandler)), successor: make(chan struct{}), answers: make(chan message, 1), done: make(chan struct{})}
	conn, m, files, err := c.connect(ctx, message{Op: opAttach, AllowOther: r.AllowOther, ReadAhead: r.ReadAhead, MaxRead: r.MaxRead,
		TakeOver: r.TakeOver, Anew: r.Anew})
	if err == nil && len(files) != 2 {
		conn.Close()
		closeAll(files)
		err = fmt.Errorf("it handed over %d descriptors", len(files))
	}
	if err != nil {
		return nil, fmt.Errorf("ask the mounter at %s: %w", r.Socket, err)
	}
	c.conn, c.Path, c.Minor, c.Fuse, c.State = conn, m.Path, m.Mount, files[0], files[1]
	stay, stop := context.WithCancel(context.Background())
	c.stop = stop
	go c.stay(stay)
	return c, nil
}

// connect connects and attaches.
func (c *Client) connect(ctx context.Context, hello message) (conn *net.UnixConn, m message, files []int, err error) {
	var d net.Dialer
	any, err := d.DialContext(ctx, network, c.socket)
	if err != nil {
		return nil, m, nil, err
	}
	conn = any.(*net.UnixConn)
	interrupt := context.AfterFunc(ctx, func() { conn.Close() })
	if err = send(conn, hello); err == nil {
		m, files, err = receive(conn)
	}
	if err == nil && m.Error != "" {
		err = refusal(m)
	}
	if !interrupt() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		closeAll(files)
		conn.Close()
		return nil, m, nil, err
	}
	return conn, m, files, nil
}

// A Refused is an error that the server answered with.
type Refused struct {
	Why   string
	Errno syscall.Errno // 0 for none
}

func (e *Refused) Error() string { return e.Why }

func refusal(m message) error { return &Refused{m.Error, m.Errno} }

// stay reads what the server says, and connects again when it was away.
func (c *Client) stay(ctx context.Context) {
	defer close(c.done)
	for {
		c.listen()
		if !c.comeBack(ctx) {
			return
		}
	}
}

// listen passes answers on until the connection ends.
func (c *Client) listen() {
	for {
		m, files, err := receive(c.conn)
		closeAll(files)
		switch {
		case err != nil:
			c.mu.Lock()
			c.conn.Close()
			c.conn = nil
			c.mu.Unlock()
			select {
			case c.answers <- message{Error: ErrNotConnected.Error()}: // to who waits for one
			default:
			}
			return
		case m.Successor:
			select {
			case <-c.successor:
			default:
				close(c.successor)
			}
		default:
			select {
			case c.answers <- m:
			default: // nobody waits any more
			}
		}
	}
}

// comeBack connects again once the server is there. It returns false if that makes no sense.
func (c *Client) comeBack(ctx context.Context) bool {
	again := time.NewTicker(retryAfter)
	defer again.Stop()
	for ctx.Err() == nil {
		conn, _, files, err := c.connect(ctx, message{Op: opAttach, Serving: c.Minor})
		closeAll(files)
		if err == nil {
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.closed {
				conn.Close()
				return false
			}
			c.conn = conn
			return true
		}
		if errors.As(err, new(*Refused)) {
			c.mu.Lock()
			c.lost = true
			c.mu.Unlock()
			c.log.Error("the mounter came back and does not hold this mount any more", "path", c.Path, "error", err)
			return false
		}
		select {
		case <-ctx.Done():
		case <-again.C:
		}
	}
	return false
}

// retryAfter is how often a client looks for a server that is away.
const retryAfter = 100 * time.Millisecond

// Successor is closed once another daemon waits for the mount.
func (c *Client) Successor() <-chan struct{} { return c.successor }

// Lost tells whether the server came back without the mount: this process is on its own then.
func (c *Client) Lost() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lost
}

// Register lets the kernel read files of the mount by itself from the regular file that fd names, and returns the number to
// open them with. Errors: ErrNotConnected, an errno.
func (c *Client) Register(fd int) (int32, error) {
	m, err := c.call(message{Op: opRegister}, fd)
	return m.ID, err
}

// Unregister ends what Register began. Files that are open stay so.
func (c *Client) Unregister(id int32) error {
	_, err := c.call(message{Op: opUnregister, ID: id})
	return err
}

// Forget lets the kernel forget an entry of a directory, or the attributes of a node if the name is empty. It waits for the requests
// of that directory that are under way. Errors: ErrNotConnected, an errno.
func (c *Client) Forget(node uint64, name string) error {
	c.forgetting.Lock()
	defer c.forgetting.Unlock()
	conn, err := c.forNotices()
	if err != nil {
		return ErrNotConnected
	}
	m := message{}
	if err = send(conn, message{Op: opForget, Node: node, Name: name}); err == nil {
		m, _, err = receive(conn)
	}
	switch {
	case err != nil:
		conn.Close()
		c.mu.Lock()
		c.notices = nil
		c.mu.Unlock()
		return ErrNotConnected
	case m.Errno != 0:
		return m.Errno
	case m.Error != "":
		return ErrNotConnected
	}
	return nil
}

// forNotices returns the connection for notices.
func (c *Client) forNotices() (*net.UnixConn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, ErrNotConnected
	}
	if c.notices == nil {
		conn, err := net.DialUnix(network, nil, &net.UnixAddr{Name: c.socket, Net: network})
		if err != nil {
			return nil, err
		}
		c.notices = conn
	}
	return c.notices, nil
}

func (c *Client) call(m message, files ...int) (message, error) {
	c.calling.Lock()
	defer c.calling.Unlock()
	c.mu.Lock()
	conn := c.conn
	c.mu.Unlock()
	if conn == nil {
		return m, ErrNotConnected
	}
	select {
	case <-c.answers: // of a call that was given up
	default:
	}
	if err := send(conn, m, files...); err != nil {
		return m, ErrNotConnected
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case m := <-c.answers:
		switch {
		case m.Errno != 0:
			return m, m.Errno
		case m.Error != "":
			return m, ErrNotConnected
		}
		return m, nil
	case <-late.C:
		conn.Close() // an answer that comes now would be taken for another one's
		return m, ErrNotConnected
	}
}

// Close lets the mount go: whoever reads from it waits for the next daemon. Answers that are on their way must have been given.
func (c *Client) Close() {
	c.stop()
	c.mu.Lock()
	c.closed = true
	for _, conn := range []*net.UnixConn{c.conn, c.notices} {
		if conn != nil {
			conn.Close()
		}
	}
	c.mu.Unlock()
	<-c.done
}
