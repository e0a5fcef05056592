// Package loopback knows connections that stay within the machine.
package loopback

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Unpaced is for net.ListenConfig.Control and net.Dialer.Control. What is sent within the machine is never held back to spare a
// network: the pauses that BBR makes between packets, where it is the system's way to avoid congestion, cost more processor
// time than sending a file. The connections of a listener inherit it. It never fails: without it they are slower.
func Unpaced(network, address string, socket syscall.RawConn) error {
	addr, err := netip.ParseAddrPort(address)
	if err == nil && strings.HasPrefix(network, "tcp") && addr.Addr().Unmap().IsLoopback() {
		_ = socket.Control(func(fd uintptr) {
			_ = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, "reno") // which every kernel has
		})
	}
	return nil
}

// OnUnixSocket reports whether a server got the request through a unix socket, whose peers have no address.
func OnUnixSocket(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && local.Network() == "unix"
}
