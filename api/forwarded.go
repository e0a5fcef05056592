package api

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/vitrine-image/vitrine/internal/loopback"
)

// Proxies are those whose word is taken for who the client is and how it reaches the API: X-Forwarded-For, -Proto, -Host
// and -Prefix. They must set these headers themselves.
type Proxies struct {
	networks []netip.Prefix
	unix     bool
}

// ParseProxies reads addresses, networks such as 10.0.0.0/8, and "unix" for whoever comes through a unix socket.
func ParseProxies(list []string) (p Proxies, err error) {
	for _, text := range list {
		network, err := netip.ParsePrefix(text)
		if address, addressErr := netip.ParseAddr(text); addressErr == nil {
			network, err = netip.PrefixFrom(address, address.BitLen()), nil
		}
		switch {
		case text == "unix":
			p.unix = true
		case err != nil:
			return Proxies{}, fmt.Errorf("%q is no address, no network such as 10.0.0.0/8, and not unix", text)
		default:
			p.networks = append(p.networks, network.Masked())
		}
	}
	return p, nil
}

// trusts reports whether the request comes from a proxy.
func (p Proxies) trusts(r *http.Request) bool {
	if !p.unix && len(p.networks) == 0 {
		return false
	}
	if loopback.OnUnixSocket(r) {
		return p.unix
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && p.has(peer.Addr())
}

func (p Proxies) has(address netip.Addr) bool {
	return slices.ContainsFunc(p.networks, func(n netip.Prefix) bool { return n.Contains(address.Unmap().WithZone("")) })
}

// client returns the address of the client, as the nearest proxies that are trusted say. The rest of the header is what
// the client says of itself.
func (p Proxies) client(r *http.Request) string {
	client := r.RemoteAddr
	if !p.trusts(r) {
		return client
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		address, err := netip.ParseAddr(strings.Trim(strings.TrimSpace(hop), "[]"))
		if err != nil {
			break
		}
		client = address.String()
		if !p.has(address) {
			break
		}
	}
	return client
}

// address returns the address of the client, an invalid one when it has none.
func (p Proxies) address(r *http.Request) netip.Addr {
	client := p.client(r)
	if peer, err := netip.ParseAddrPort(client); err == nil {
		return peer.Addr()
	}
	address, _ := netip.ParseAddr(client) // as a proxy said
	return address
}

// base returns scheme and host by which the client reaches the API.
func (p Proxies) base(r *http.Request) (scheme, host string) {
	scheme, host = "http", r.Host
	if r.TLS != nil {
		scheme = "https"
	}
	if addr, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok && host == "" {
		host = addr.String() // who speaks HTTP/1.0 need not tell
	}
	if !p.trusts(r) {
		return scheme, host
	}
	if said := strings.ToLower(nearest(r.Header, "X-Forwarded-Proto")); said == "http" || said == "https" {
		scheme = said
	}
	said := nearest(r.Header, "X-Forwarded-Host")
	if u, err := url.Parse("http://" + said); err == nil && said != "" && u.Host == said && u.Hostname() != "" {
		host = said
	}
	return scheme, host
}

// prefix returns the path below which a proxy serves the API, "" for the root.
func (p Proxies) prefix(r *http.Request) string {
	said := strings.TrimRight(nearest(r.Header, "X-Forwarded-Prefix"), "/")
	if said == "" || path.Clean(said) != said || !p.trusts(r) {
		return ""
	}
	if u, err := url.Parse(said); err != nil || u.EscapedPath() != said || said[0] != '/' {
		return ""
	}
	return said
}

// nearest returns the last value of a header, which the nearest proxy wrote.
func nearest(h http.Header, name string) string {
	values := h.Values(name)
	if len(values) == 0 {
		return ""
	}
	list := values[len(values)-1]
	return strings.TrimSpace(list[strings.LastIndexByte(list, ',')+1:])
}
