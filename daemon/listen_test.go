package daemon

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
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
		l, err := listenOne("unix:" + path)
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

// TestLoopbackIsNotPaced: connections within the machine take another way to avoid congestion than the system's. Those
// that may come from elsewhere keep it.
func TestLoopbackIsNotPaced(t *testing.T) {
	text, err := os.ReadFile("/proc/sys/net/ipv4/tcp_congestion_control")
	if err != nil {
		t.Skip(err)
	}
	usual := strings.TrimSpace(string(text))
	for _, tt := range []struct{ address, want string }{
		{"127.0.0.1:0", "reno"},
		{"0.0.0.0:0", usual},
	} {
		l, err := listenOne(tt.address)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		client, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		raw, err := server.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		var got string
		var unknown error
		err = raw.Control(func(fd uintptr) {
			got, unknown = unix.GetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION)
		})
		if err := errors.Join(err, unknown); err != nil || got != tt.want {
			t.Errorf("%s: %q, %v, want %q", tt.address, got, err, tt.want)
		}
	}
}
