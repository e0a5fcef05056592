package loopback

import (
	"errors"
	"net"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestUnpaced: connections within the machine take another way to avoid congestion than the system's, on both ends. A listener
// whose connections may come from elsewhere keeps it.
func TestUnpaced(t *testing.T) {
	text, err := os.ReadFile("/proc/sys/net/ipv4/tcp_congestion_control")
	if err != nil {
		t.Fatal(err)
	}
	usual := strings.TrimSpace(string(text))
	for _, tt := range []struct{ address, server string }{
		{"127.0.0.1:0", "reno"},
		{"[::1]:0", "reno"},
		{"0.0.0.0:0", usual},
	} {
		listen := net.ListenConfig{Control: Unpaced}
		l, err := listen.Listen(t.Context(), "tcp", tt.address)
		if errors.Is(err, unix.EADDRNOTAVAIL) {
			continue // a machine without IPv6
		}
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		dial := net.Dialer{Control: Unpaced}
		to := *l.Addr().(*net.TCPAddr)
		if to.IP.IsUnspecified() {
			to.IP = net.IPv4(127, 0, 0, 1)
		}
		client, err := dial.DialContext(t.Context(), "tcp", to.String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		if got := algorithm(t, client); got != "reno" {
			t.Errorf("a client of %s uses %s, want reno", tt.address, got)
		}
		if got := algorithm(t, server); got != tt.server {
			t.Errorf("a server at %s uses %s, want %s", tt.address, got, tt.server)
		}
	}
}

// algorithm returns how a connection avoids congestion.
func algorithm(t *testing.T, conn net.Conn) string {
	t.Helper()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var name string
	var unknown error
	err = raw.Control(func(fd uintptr) {
		name, unknown = unix.GetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION)
	})
	if err := errors.Join(err, unknown); err != nil {
		t.Fatal(err)
	}
	return name
}
