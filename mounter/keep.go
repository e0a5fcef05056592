package mounter

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/coreos/go-systemd/v22/activation"
	"golang.org/x/sys/unix"
)

// keptEnv holds the names and numbers of descriptors that were kept over exec: name=number,...
const keptEnv = "VITRINE_MOUNTER_KEPT"

// takeKept returns the descriptors that a server before this one left, by their names, and what systemd listens on.
func takeKept() map[string]int {
	kept := make(map[string]int)
	for pair := range strings.SplitSeq(os.Getenv(keptEnv), ",") {
		name, number, _ := strings.Cut(pair, "=")
		if fd, err := strconv.Atoi(number); err == nil {
			kept[name] = fd
		}
	}
	os.Unsetenv(keptEnv)
	for _, f := range activation.Files(true) {
		name := f.Name()
		if name != keptState && !strings.HasPrefix(name, keptFuse) {
			name = keptListen
		}
		if fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3); err == nil {
			kept[name] = fd
		}
		f.Close()
	}
	for _, fd := range kept {
		unix.CloseOnExec(fd)
	}
	return kept
}

// Exec replaces the program by that at the path, which goes on with the mount: by a newer version of it. It returns only if that fails.
func (s *Server) Exec(path string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending {
		return nil
	}
	listener, err := s.listen.SyscallConn()
	if err != nil {
		return err
	}
	kept := make(map[string]int)
	if err := listener.Control(func(fd uintptr) { kept[keptListen] = int(fd) }); err != nil {
		return err
	}
	if s.held != nil {
		kept[s.held.fuseName()], kept[keptState] = s.held.fuse, s.held.state
	}
	var names []string
	for name, fd := range kept {
		names = append(names, name+"="+strconv.Itoa(fd))
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0); err != nil {
			return err
		}
	}
	err = syscall.Exec(path, os.Args, append(os.Environ(), keptEnv+"="+strings.Join(names, ",")))
	for _, fd := range kept {
		unix.CloseOnExec(fd)
	}
	return &os.PathError{Op: "exec", Path: path, Err: err}
}

// listen listens on the socket that was kept, or makes it, for the group.
func listen(path string, gid int, kept map[string]int) (*net.UnixListener, error) {
	if fd, ok := kept[keptListen]; ok {
		f := os.NewFile(uintptr(fd), path)
		defer f.Close()
		l, err := net.FileListener(f)
		if err != nil {
			return nil, fmt.Errorf("listen on what was kept: %w", err)
		}
		if u, ok := l.(*net.UnixListener); ok && u.Addr().Network() == network {
			return u, nil
		}
		l.Close()
		return nil, fmt.Errorf("listen on what was kept: it is no %s socket", network)
	}
	if conn, err := net.Dial(network, path); err == nil {
		conn.Close()
		return nil, fmt.Errorf("another mounter listens on %s", path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	l, err := net.ListenUnix(network, &net.UnixAddr{Name: path, Net: network})
	if err == nil {
		if err = errors.Join(os.Chown(path, -1, gid), os.Chmod(path, 0o660)); err != nil {
			l.Close()
		}
	}
	return l, err
}

// network is that of the socket: it keeps messages apart.
const network = "unixpacket"

// store gives the descriptors of the mount to systemd, which gives them back should this process end without having ended
// the mount. Without systemd nothing happens. Source: sd_notify(3), FDSTORE.
func store(h *held, log *slog.Logger) {
	err := errors.Join(notify("FDSTORE=1\nFDNAME="+h.fuseName(), h.fuse), notify("FDSTORE=1\nFDNAME="+keptState, h.state))
	if err != nil {
		log.Warn("cannot give the mount to systemd to keep", "error", err)
	}
}

func unstore(h *held) {
	notify("FDSTOREREMOVE=1\nFDNAME=" + h.fuseName())
	notify("FDSTOREREMOVE=1\nFDNAME=" + keptState)
}

// notify tells systemd something, if it listens.
func notify(state string, files ...int) error {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	var rights []byte
	if len(files) > 0 {
		rights = unix.UnixRights(files...)
	}
	return os.NewSyscallError("sendmsg", unix.Sendmsg(fd, []byte(state), rights, &unix.SockaddrUnix{Name: path}, 0))
}
