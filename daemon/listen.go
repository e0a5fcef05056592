package daemon

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// listenOne opens host:port or unix:/path. The socket of a daemon that is gone is replaced; one that answers is not.
func listenOne(addr string) (net.Listener, error) {
	path, isUnix := strings.CutPrefix(addr, "unix:")
	if !isUnix {
		return listenTCP(addr)
	}
	l, err := net.Listen("unix", path)
	if errors.Is(err, syscall.EADDRINUSE) {
		if err := removeDeadSocket(path); err != nil {
			return nil, err
		}
		l, err = net.Listen("unix", path)
	}
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o660); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// listenTCP opens host:port. What is sent within the machine is never held back to spare a network: the pauses that BBR
// makes between packets, where it is the system's way to avoid congestion, cost more processor time than sending a file.
func listenTCP(addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	if socket, ok := l.(*net.TCPListener); ok && l.Addr().(*net.TCPAddr).IP.IsLoopback() {
		if raw, err := socket.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) { // the connections inherit it; without it they are slower
				_ = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, "reno") // which every kernel has
			})
		}
	}
	return l, nil
}

func removeDeadSocket(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if info.Mode().Type() != os.ModeSocket {
		return fmt.Errorf("%s is there already and no socket", path)
	}
	c, err := net.Dial("unix", path)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return os.Remove(path)
	}
	if err != nil { // such as one that is too busy to take another connection
		return fmt.Errorf("%s is there already, and cannot be told to be dead: %w", path, err)
	}
	c.Close()
	return fmt.Errorf("another process listens on %s", path)
}

// address is how an address is written in the configuration.
func address(a net.Addr) string {
	if a.Network() == "unix" {
		return "unix:" + a.String()
	}
	return a.String()
}
