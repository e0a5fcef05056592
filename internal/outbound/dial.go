package outbound

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"
)

// stagger is how long an address is tried alone before the next one is tried beside it (RFC 8305 calls it the
// connection attempt delay).
const stagger = 250 * time.Millisecond

// maxAddresses is how many addresses of a name are tried; all are judged.
const maxAddresses = 16

// DialContext connects to host:port if the lists of hosts and ports and every address of the host allow it. It is the
// DialContext of an http.Transport; network is "tcp". Errors: *Error of the kind image.ErrInvalid, those of the network.
func (p *Policy) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if network != "tcp" {
		return nil, fmt.Errorf("outbound: dial %s: only tcp is dialled", network)
	}
	hostText, portText, hasPort := splitPort(address)
	host, validHost := parseHost(hostText)
	port, validPort := parsePort(portText)
	if !hasPort || !validHost || !validPort {
		return nil, refused("%q is no host with its port", address)
	}
	if err := p.acceptHost(host, port); err != nil {
		return nil, err
	}
	ctx, stop := context.WithTimeout(ctx, p.timeout)
	defer stop()
	addrs, err := p.resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	return p.dialAny(ctx, addrs, port)
}

// resolve returns the addresses of the host, at least one. One that is refused makes it refuse all, since whoever wrote
// it into the name's records meant harm, or an inner place. Errors: *Error of the kind image.ErrInvalid, errUnresolved.
func (p *Policy) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	addrs, err := p.lookup(ctx, host)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnresolved, err)
	}
	for i, a := range addrs {
		if why := p.refusal(a); why != "" {
			return nil, notAllowed(fmt.Errorf("%s has the address %v (%s)", host, a, why))
		}
		addrs[i] = a.Unmap()
	}
	return addrs, nil
}

func (p *Policy) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	if host == "localhost" || strings.HasSuffix(host, ".localhost") { // whatever a DNS server says: RFC 6761
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}, nil
	}
	addrs, err := p.resolver.LookupNetIP(ctx, "ip", host+".")
	if err == nil && len(addrs) == 0 {
		err = errors.New("no address")
	}
	return addrs, err
}

// dialAny connects to the first address that answers; they are tried in turn, IPv6 and IPv4 by turns, the next one when
// one has failed or keeps silent.
func (p *Policy) dialAny(ctx context.Context, addrs []netip.Addr, port uint16) (net.Conn, error) {
	addrs = alternate(addrs)
	ctx, cancel := context.WithCancel(ctx)
	type result struct {
		conn net.Conn
		err  error
	}
	results := make(chan result, len(addrs))
	running := 0
	defer func() {
		cancel()
		for range running { // those that lost the race
			if r := <-results; r.conn != nil {
				r.conn.Close()
			}
		}
	}()
	var errs []error
	next := time.NewTimer(0)
	defer next.Stop()
	for len(addrs) > 0 || running > 0 {
		select {
		case <-next.C:
			if len(addrs) == 0 {
				continue
			}
			to := netip.AddrPortFrom(addrs[0], port)
			addrs = addrs[1:]
			running++
			go func() {
				conn, err := p.connect(ctx, to)
				results <- result{conn, err}
			}()
			next.Reset(stagger)
		case r := <-results:
			running--
			if r.err == nil {
				return r.conn, nil
			}
			errs = append(errs, r.err)
			next.Reset(0)
		}
	}
	return nil, errors.Join(errs...)
}

// alternate puts the addresses of both families by turns, beginning with that of the first one, as the resolver sorted
// them.
func alternate(addrs []netip.Addr) []netip.Addr {
	var first, second []netip.Addr
	for _, a := range addrs {
		if a.Is4() == addrs[0].Is4() {
			first = append(first, a)
		} else {
			second = append(second, a)
		}
	}
	var mixed []netip.Addr
	for i := range max(len(first), len(second)) {
		if i < len(first) {
			mixed = append(mixed, first[i])
		}
		if i < len(second) {
			mixed = append(mixed, second[i])
		}
	}
	return mixed[:min(len(mixed), maxAddresses)]
}

// connectTCP connects to one address.
func (p *Policy) connectTCP(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	d := net.Dialer{Control: p.control}
	return d.DialContext(ctx, "tcp", to.String())
}

// control judges the address that a socket is about to be connected to, whoever has chosen it.
func (p *Policy) control(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return notAllowed(err)
	}
	if why := p.refusal(to.Addr()); why != "" {
		return notAllowed(fmt.Errorf("%v (%s)", to, why))
	}
	return nil
}
