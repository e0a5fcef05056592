//go:build ceph

package rbd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ceph/go-ceph/rados"
)

// A Config says how to reach a cluster.
type Config struct {
	Conf    string        // the configuration file; "" looks where Ceph does, in /etc/ceph and others
	User    string        // such as images, for client.images
	Keyring string        // the file with the user's key; "" for where the configuration says
	Timeout time.Duration // after which a request that gets no answer has failed, in whole seconds; 0 means 30 s
	Calls   int           // at most so many calls of librbd are under way; 0 means 48
}

// A Cluster is a connection, made when it is needed and anew after it broke. It is safe for concurrent use.
type Cluster struct {
	cfg     Config
	slots   chan struct{} // one for each call under way
	answers *answers      // to reads

	mu      sync.Mutex
	closed  bool
	calls   sync.WaitGroup // what runs in goroutines; nothing is added once closed is set
	session *session       // nil when there is none
	attempt *attempt       // to get one, nil when none is under way
}

// A session is one connection to the cluster. It ends when it is no longer the Cluster's and nobody uses it.
type session struct {
	conn  *rados.Conn
	users int // guarded by Cluster.mu; the Cluster is one
	mu    sync.Mutex
	pools map[string]*rados.IOContext
}

// An attempt to connect, for all who wait.
type attempt struct {
	done chan struct{}
	err  error
}

// New returns a Cluster and does not connect.
func New(cfg Config) (*Cluster, error) {
	cfg.Timeout = cmp.Or(cfg.Timeout, 30*time.Second)
	cfg.Calls = cmp.Or(cfg.Calls, 48)
	if cfg.User == "" || cfg.Timeout < time.Second || cfg.Calls < 1 {
		return nil, errors.New("rbd: a cluster needs a user, a timeout of at least a second, and at least one call")
	}
	answers, err := newAnswers()
	if err != nil {
		return nil, err
	}
	return &Cluster{cfg: cfg, slots: make(chan struct{}, cfg.Calls), answers: answers}, nil
}

// Close waits until every call has come to its end, and disconnects. Images must be closed before.
func (c *Cluster) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.calls.Wait()
	c.mu.Lock()
	s := c.session
	c.session = nil
	c.mu.Unlock()
	if s != nil {
		c.release(s)
	}
	c.answers.close()
}

// Timeout returns after which time a request that gets no answer has failed.
func (c *Cluster) Timeout() time.Duration { return c.cfg.Timeout }

// FSID returns the id of the cluster.
func (c *Cluster) FSID(ctx context.Context) (string, error) {
	return use(ctx, c, func(s *session) (string, error) {
		fsid, err := s.conn.GetFSID()
		return fsid, named("ask for the cluster's id", err, ErrNotFound)
	})
}

// use calls fn with a session, within the bounds of call.
func use[T any](ctx context.Context, c *Cluster, fn func(*session) (T, error)) (T, error) {
	s, err := c.acquire(ctx)
	if err != nil {
		var none T
		return none, err
	}
	return call(ctx, c, func() (T, error) {
		defer c.release(s)
		v, err := fn(s)
		return v, c.judge(s, err)
	}, func() { c.release(s) }, nil)
}

// acquire returns the session, connecting if there is none; release it.
func (c *Cluster) acquire(ctx context.Context) (*session, error) {
	for {
		c.mu.Lock()
		if c.closed {
			c.mu.Unlock()
			return nil, ErrClosed
		}
		if s := c.session; s != nil {
			s.users++
			c.mu.Unlock()
			return s, nil
		}
		a := c.attempt
		if a == nil {
			a = &attempt{done: make(chan struct{})}
			c.attempt = a
			c.calls.Go(func() { c.connect(a) })
		}
		c.mu.Unlock()
		select {
		case <-a.done:
			if a.err != nil {
				return nil, a.err
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// connect tries to make the session.
func (c *Cluster) connect(a *attempt) {
	conn, err := c.dial()
	c.mu.Lock()
	defer c.mu.Unlock()
	if a.err = err; err == nil {
		c.session = &session{conn: conn, users: 1, pools: map[string]*rados.IOContext{}}
	}
	c.attempt = nil
	close(a.done)
}

func (c *Cluster) dial() (*rados.Conn, error) {
	conn, err := rados.NewConnWithClusterAndUser("ceph", "client."+c.cfg.User)
	if err != nil {
		return nil, named("prepare to connect as client."+c.cfg.User, err, ErrNotFound)
	}
	if err := c.configure(conn); err != nil {
		return nil, err
	}
	if err := conn.Connect(); err != nil {
		act := "connect as client." + c.cfg.User
		if unread := readKeyring(conn); unread != nil {
			return nil, fmt.Errorf("%s: %w (%w)", act, ErrNoKeyring, unread)
		}
		return nil, named(act, err, ErrNoKeyring)
	}
	return conn, nil
}

// readKeyring tells why no keyring can be read, if there is one: librados says of it what it says of a wrong key.
func readKeyring(conn *rados.Conn) (unread error) {
	names, err := conn.GetConfigOption("keyring")
	if err != nil {
		return nil
	}
	for name := range strings.SplitSeq(names, ",") {
		_, err := os.ReadFile(name)
		if err == nil {
			return nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			unread = err
		}
	}
	return unread
}

// configure reads the configuration file, and bounds every wait: librados knows no bound of its own, or one of minutes.
func (c *Cluster) configure(conn *rados.Conn) error {
	read := conn.ReadDefaultConfigFile
	if c.cfg.Conf != "" {
		read = func() error { return conn.ReadConfigFile(c.cfg.Conf) }
	}
	if err := read(); err != nil {
		return fmt.Errorf("read %s: %w (%w)", cmp.Or(c.cfg.Conf, "ceph.conf"), ErrNoConfig, err)
	}
	seconds := strconv.Itoa(int(c.cfg.Timeout.Seconds()))
	options := [][2]string{
		{"client_mount_timeout", seconds},
		{"rados_mon_op_timeout", seconds},
		{"rados_osd_op_timeout", seconds},
		{"rbd_cache", "false"},              // it costs a copy; its read-ahead ends after 50 MiB
		{"rbd_non_blocking_aio", "false"},   // true gives every read to another thread first
		{"objecter_inflight_op_bytes", "0"}, // a read over this limit would wait whatever its context says; Calls bounds them
		{"objecter_inflight_ops", "0"},      // likewise
		{"log_to_stderr", "false"},
		{"err_to_stderr", "false"},
	}
	if c.cfg.Keyring != "" {
		options = append(options, [2]string{"keyring", c.cfg.Keyring})
	}
	for _, o := range options {
		if err := conn.SetConfigOption(o[0], o[1]); err != nil {
			return named("set "+o[0], err, ErrNotFound)
		}
	}
	return nil
}

// release gives a session back, and ends it if nobody uses it any more.
func (c *Cluster) release(s *session) {
	c.mu.Lock()
	s.users--
	last := s.users == 0
	c.mu.Unlock()
	if !last {
		return
	}
	for _, pool := range s.pools {
		pool.Destroy()
	}
	s.conn.Shutdown()
}

// judge looks at an error of a call. A session that the cluster has shut out never works again: the next call gets a new one.
func (c *Cluster) judge(s *session, err error) error {
	if errors.Is(err, ErrBlocklisted) {
		c.retire(s)
	}
	return err
}

// retire lets the next call connect anew. The session ends when nobody uses it any more.
func (c *Cluster) retire(s *session) {
	c.mu.Lock()
	current := c.session == s
	if current {
		c.session = nil
	}
	c.mu.Unlock()
	if current {
		c.release(s)
	}
}

// pool returns the context of a pool, which is kept for as long as the session.
func (s *session) pool(name string) (*rados.IOContext, error) {
	s.mu.Lock()
	p := s.pools[name]
	s.mu.Unlock()
	if p != nil {
		return p, nil
	}
	p, err := s.conn.OpenIOContext(name) // waits for a monitor if the pool is not known
	if err == nil {
		// Without it writes to a full pool, and the opening of images in it, wait until somebody makes room.
		err = p.SetPoolFullTry()
	}
	if err != nil {
		return nil, named("open pool "+name, err, ErrNoPool)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if other := s.pools[name]; other != nil { // of a call that was faster
		p.Destroy()
		return other, nil
	}
	s.pools[name] = p
	return p, nil
}
