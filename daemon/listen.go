package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/vitrine-image/vitrine/internal/loopback"
)

// listenAll opens addresses up to the first that cannot be opened.
func listenAll(ctx context.Context, addrs []string) (listeners []net.Listener, err error) {
	for _, addr := range addrs {
		l, err := listenOne(ctx, addr)
		if err != nil {
			return listeners, fmt.Errorf("listen on %s: %w", addr, err)
		}
		listeners = append(listeners, l)
	}
	return listeners, nil
}

// listenOne opens host:port or unix:/path. The socket of a daemon that is gone is replaced; one that answers is not.
func listenOne(ctx context.Context, addr string) (net.Listener, error) {
	path, isUnix := strings.CutPrefix(addr, "unix:")
	if !isUnix {
		config := net.ListenConfig{Control: loopback.Unpaced}
		return config.Listen(ctx, "tcp", addr)
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
