package daemon

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestSocketOfTheDead tries a unix socket's path with each thing that may be there: only a socket that nobody listens on
// is replaced.
func TestSocketOfTheDead(t *testing.T) {
	dir, err := os.MkdirTemp("", "socket") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	listen := func(path string) *net.UnixListener {
		t.Helper()
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l
	}
	for _, tt := range []struct {
		name string
		put  func(path string)
		want string // part of the error, "" for none
	}{
		{"nothing", func(string) {}, ""},
		{"dead", func(path string) {
			l := listen(path)
			l.SetUnlinkOnClose(false)
			l.Close()
		}, ""},
		{"alive", func(path string) { listen(path) }, "another process listens"},
		{"busy", func(path string) { fillBacklog(t, path) }, "cannot be told to be dead"},
		{"file", func(path string) { write(t, dir, "file", "precious") }, "no socket"},
	} {
		path := filepath.Join(dir, tt.name)
		tt.put(path)
		before, _ := os.Lstat(path)
		l, err := listenOne(t.Context(), "unix:"+path)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
		now, statErr := os.Lstat(path)
		if statErr != nil || err != nil && !os.SameFile(before, now) {
			t.Errorf("%s: what was there is not any more (%v)", tt.name, statErr)
		}
		if err == nil {
			if mode := now.Mode().Perm(); mode != 0o660 {
				t.Errorf("%s: the socket has mode %o, want 660", tt.name, mode)
			}
			l.Close()
		}
	}
}

// fillBacklog listens on a path and takes no connection, until no more can wait.
func fillBacklog(t *testing.T, path string) {
	t.Helper()
	socket := func() int {
		fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { syscall.Close(fd) })
		return fd
	}
	fd := socket()
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	for {
		switch err := syscall.Connect(socket(), &syscall.SockaddrUnix{Name: path}); err {
		case nil:
		case syscall.EAGAIN:
			return
		default:
			t.Fatal(err)
		}
	}
}
