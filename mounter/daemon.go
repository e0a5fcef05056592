package mounter

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vitrine-image/vitrine/internal/fusemount"
)

// patience bounds what a daemon that does not read its answers holds up.
const patience = 5 * time.Second

// serve answers a daemon's requests until it goes.
func (s *Server) serve(d *daemon) {
	for {
		m, files, err := receive(d.conn)
		if err != nil {
			return
		}
		if m.Op == opForget {
			err = d.send(failure(s.forgetFor(d, m)))
		} else {
			err = s.answer(d, m, files)
		}
		closeAll(files)
		if err != nil {
			s.log.Warn("cannot answer a daemon", "pid", d.pid, "error", err)
			return
		}
	}
}

func (s *Server) answer(d *daemon, m message, files []int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	out, handed := message{}, []int(nil)
	var err error
	switch {
	case m.Op == opAttach:
		if handed, err = s.attach(d, m); err == nil {
			out.Path, out.Mount = s.cfg.Path, s.held.minor
		}
	case s.owner != d || s.held == nil:
		err = syscall.ENOTCONN
	case m.Op == opRegister && len(files) == 1:
		out.ID, err = s.held.register(files[0])
	case m.Op == opUnregister:
		err = s.held.unregister(m.ID)
	default:
		err = syscall.EINVAL
	}
	if err != nil {
		out = failure(err)
	}
	return d.send(out, handed...)
}

// failure returns the answer that tells of an error, or of none.
func failure(err error) (m message) {
	if err != nil {
		m.Error = err.Error()
		errors.As(err, &m.Errno)
	}
	return m
}

// forgetFor lets the kernel forget something for the process that serves the mount. If that did so itself, and was killed while the
// kernel made it wait for a request that it had not answered, it could never end, and no successor would begin.
func (s *Server) forgetFor(d *daemon, m message) error {
	s.mu.Lock()
	if s.owner == nil || s.owner.pid != d.pid || s.held == nil {
		s.mu.Unlock()
		return errors.New("another process serves the mount") // or this one has not said so yet
	}
	fuse, err := unix.FcntlInt(uintptr(s.held.fuse), unix.F_DUPFD_CLOEXEC, 3)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	defer unix.Close(fuse)
	return forget(fuse, m.Node, m.Name)
}

func (d *daemon) send(m message, files ...int) error {
	if err := d.conn.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	return send(d.conn, m, files...)
}

// hasGone tells whether the daemon has closed its connection, or is dying.
func (d *daemon) hasGone() bool {
	raw, err := d.conn.SyscallConn()
	if err != nil {
		return true
	}
	var events int16
	err = raw.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		unix.Poll(fds, 0)
		events = fds[0].Revents
	})
	return err != nil || events&(unix.POLLHUP|unix.POLLRDHUP) != 0 || isDying(d.pid)
}

// attach makes the daemon the one that serves the mount, which is made if there is none, and returns the descriptors to hand
// over. Unless there is a daemon that serves it: that one is asked to go if the new one shall take over.
func (s *Server) attach(d *daemon, m message) ([]int, error) {
	for s.owner != nil && s.owner != d && !s.ending {
		switch {
		case s.owner.hasGone(): // and nobody noted it yet
		case !m.TakeOver:
			return nil, fmt.Errorf("the daemon with pid %d serves the mount at %s", s.owner.pid, s.cfg.Path)
		case !s.owner.told:
			s.owner.told = true
			if err := s.owner.send(message{Successor: true}); err != nil {
				return nil, fmt.Errorf("tell the daemon that serves the mount: %w", err)
			}
		}
		s.changed.Wait()
	}
	if s.ending {
		return nil, errors.New("the mounter is ending")
	}
	if s.held != nil && (m.Anew || !s.held.lives(s.cfg.Path, s.fsType())) {
		s.drop()
	}
	switch {
	case m.Serving != 0 && (s.held == nil || s.held.minor != m.Serving):
		return nil, fmt.Errorf("the mount at %s is not known to the mounter", s.cfg.Path)
	case s.held == nil:
		var err error
		s.held, err = mount(s.cfg.Path, fusemount.Options{Name: s.cfg.Name, MaxRead: m.MaxRead, AllowOther: m.AllowOther, UID: s.cfg.UID, GID: s.cfg.GID},
			m.ReadAhead, s.log)
		if err != nil {
			return nil, err
		}
		s.log.Info("mounted", "path", s.cfg.Path)
		store(s.held, s.log)
	}
	s.owner = d
	s.stopClock()
	s.log.Info("a daemon serves the mount", "path", s.cfg.Path, "pid", d.pid)
	if m.Serving != 0 {
		return nil, nil
	}
	return []int{s.held.fuse, s.held.state}, nil
}
