package mounter

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/vitrine-image/vitrine/internal/fusemount"
)

// Config says what is mounted for whom.
type Config struct {
	Path       string        // where to mount, the one place
	Socket     string        // where daemons come
	UID, GID   int           // whom it serves beside root
	AbortAfter time.Duration // how long readers wait for a daemon; a minute
	Name       string        // the file system type is fuse.<Name>; vitrine
	Logger     *slog.Logger  `json:"-"` // nil discards
}

// A Server mounts and holds the mount. Daemons come and go over its socket.
type Server struct {
	cfg    Config
	log    *slog.Logger
	listen *net.UnixListener

	mu      sync.Mutex
	held    *held                // nil for no mount
	owner   *daemon              // that serves the mount, nil for none
	daemons map[*daemon]struct{} // that are connected
	changed *sync.Cond           // owner has gone, or ending is set
	abort   *time.Timer          // runs while there is a mount without an owner
	ending  bool
	serving sync.WaitGroup
}

// A daemon is a connection. It ends when the process does, unless one of its threads hangs in the kernel: see isDying.
type daemon struct {
	conn *net.UnixConn
	pid  int32
	told bool // that a successor waits
}

// New takes up what a server before this one left to systemd or over exec, and listens. Call Run then.
func New(cfg Config) (*Server, error) {
	if cfg.Path == "" || cfg.Socket == "" {
		return nil, errors.New("mounter: path and socket must be set")
	}
	cfg.Name = cmp.Or(cfg.Name, "vitrine")
	cfg.AbortAfter = cmp.Or(cfg.AbortAfter, time.Minute)
	s := &Server{cfg: cfg, log: cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler)), daemons: make(map[*daemon]struct{})}
	s.changed = sync.NewCond(&s.mu)
	var err error
	if s.cfg.Path, err = fusemount.Resolve(cfg.Path); err != nil {
		return nil, err
	}
	kept := takeKept()
	if s.listen, err = listen(cfg.Socket, cfg.GID, kept); err != nil {
		return nil, err
	}
	if s.held = heldFrom(kept); s.held != nil && !s.held.lives(s.cfg.Path, s.fsType()) {
		s.log.Warn("the mount that was kept is dead", "path", s.cfg.Path)
		s.drop()
	}
	return s, nil
}

func (s *Server) fsType() string { return fusemount.Options{Name: s.cfg.Name}.Type() }

// Run serves daemons until ctx ends, and then unmounts. It is called once.
func (s *Server) Run(ctx context.Context) error {
	s.mu.Lock()
	if s.held != nil {
		s.log.Info("going on with the mount", "path", s.cfg.Path)
		s.startClock()
	}
	s.mu.Unlock()
	if err := notify("READY=1"); err != nil {
		s.log.Warn("cannot tell systemd", "error", err)
	}
	stop := context.AfterFunc(ctx, func() { s.listen.Close() })
	defer stop()
	for {
		conn, err := s.listen.AcceptUnix()
		if err == nil {
			s.meet(conn)
			continue
		}
		failed := ctx.Err() == nil
		s.end()
		if failed {
			return fmt.Errorf("listen on %s: %w", s.cfg.Socket, err)
		}
		return nil
	}
}

// meet begins to serve who connects. Nobody may but root and the user whom it serves.
func (s *Server) meet(conn *net.UnixConn) {
	cred, err := peer(conn)
	if err == nil && cred.Uid != 0 && int(cred.Uid) != s.cfg.UID {
		err = fmt.Errorf("user %d may not use the mount", cred.Uid)
	}
	if err != nil {
		s.log.Warn("refused a connection", "error", err)
		conn.Close()
		return
	}
	d := &daemon{conn: conn, pid: cred.Pid}
	s.mu.Lock()
	s.daemons[d] = struct{}{}
	s.mu.Unlock()
	s.serving.Go(func() {
		over := make(chan struct{})
		go s.watch(d, over)
		s.serve(d)
		close(over)
		s.leave(d)
	})
}

// watch ends the connection of a daemon that is dying. Its threads make no more answers, but one may wait in the kernel, which no
// signal ends, until its successor answers another's request.
func (s *Server) watch(d *daemon, over <-chan struct{}) {
	now := time.NewTicker(watchEvery)
	defer now.Stop()
	for {
		select {
		case <-over:
			return
		case <-now.C:
			if isDying(d.pid) {
				d.conn.Close()
				return
			}
		}
	}
}

const watchEvery = 200 * time.Millisecond

// isDying tells whether the process was killed. Source: proc_pid_stat(5), state.
func isDying(pid int32) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, state, _ := bytes.Cut(stat, []byte(") ")) // the name before may hold anything but this, for programs of ours
	return bytes.HasPrefix(state, []byte("Z")) || bytes.HasPrefix(state, []byte("X"))
}

// leave notes that a daemon has gone: from then on it answers nothing that it has read.
func (s *Server) leave(d *daemon) {
	d.conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.daemons, d)
	if s.owner != d {
		return
	}
	s.owner = nil
	s.changed.Broadcast()
	if s.held != nil && !s.ending {
		s.log.Info("the mount waits for a daemon", "path", s.cfg.Path, "pid", d.pid, "at_most", s.cfg.AbortAfter)
		s.startClock()
	}
}

// startClock gives daemons the time to come back; the caller has the lock.
func (s *Server) startClock() {
	s.stopClock()
	s.abort = time.AfterFunc(s.cfg.AbortAfter, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.owner == nil && s.held != nil && !s.ending {
			s.log.Error("no daemon came back, ending the mount: its readers get errors", "path", s.cfg.Path, "after", s.cfg.AbortAfter)
			s.drop()
		}
	})
}

func (s *Server) stopClock() {
	if s.abort != nil {
		s.abort.Stop()
	}
}

// end unmounts. A daemon that is still there goes on answering for what is open; without one, the readers get errors.
func (s *Server) end() {
	notify("STOPPING=1")
	s.mu.Lock()
	s.ending = true
	s.stopClock()
	switch {
	case s.held == nil:
	case s.owner == nil:
		s.drop()
	default:
		s.unmount()
		s.forget()
	}
	s.changed.Broadcast()
	for d := range s.daemons {
		d.conn.Close()
	}
	s.mu.Unlock()
	s.serving.Wait()
}

// drop ends the mount and all that reads from it; the caller has the lock.
func (s *Server) drop() {
	s.unmount()
	if err := fusemount.Abort(s.held.minor); err != nil && !errors.Is(err, fs.ErrNotExist) { // it is gone
		s.log.Error("cannot end the mount", "path", s.cfg.Path, "error", err)
	}
	s.forget()
}

// unmount takes the mount out of the tree.
func (s *Server) unmount() {
	top, found, err := fusemount.Top(s.cfg.Path, s.fsType())
	if err == nil && found && top.Minor == s.held.minor {
		err = fusemount.Release(s.cfg.Path, true)
	}
	if err != nil {
		s.log.Error("cannot unmount", "path", s.cfg.Path, "error", err)
		return
	}
	s.log.Info("unmounted", "path", s.cfg.Path)
}

// forget gives the descriptors up.
func (s *Server) forget() {
	unstore(s.held)
	s.held.close()
	s.held = nil
}
