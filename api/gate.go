package api

import (
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/loopback"
)

// A gate keeps web pages out while there is no authentication. A browser runs pages of strangers, and reaches what
// listens on loopback: by a request to another origin, or, if a stranger's host name is made to resolve to this
// machine, by one to the same origin. So the Origin must be ours, and the Host a name that no stranger owns.
//
// With authentication that a browser carries out by itself (a password that it remembers, a client certificate, the
// cookie of a proxy) it keeps pages of strangers from changing anything. They cannot read, as the browser sees to.
type gate struct {
	hosts         []string
	authenticated bool
	cors          *cors
	proxies       Proxies // tell under which name a browser asked, with authentication
}

func newGate(allowed []string, publicURL string) *gate {
	g := &gate{hosts: []string{"localhost"}}
	for _, host := range allowed {
		g.hosts = append(g.hosts, strings.ToLower(host))
	}
	if u, err := url.Parse(publicURL); err == nil && u.Hostname() != "" {
		g.hosts = append(g.hosts, strings.ToLower(u.Hostname()))
	}
	return g
}

// check returns why the request is refused. No browser reaches a unix socket.
func (g *gate) check(r *http.Request) error {
	if loopback.OnUnixSocket(r) {
		return nil
	}
	if g.authenticated && (r.Method == http.MethodGet || r.Method == http.MethodHead || g.cors.allows(r.Header.Get("Origin"))) {
		return nil
	}
	if !g.authenticated && !g.ours(r.Host) {
		return image.Errorf(image.ErrForbidden, "This server does not answer under the name %q while authentication is off; "+
			"the configuration may allow it with api.allowed_hosts.", r.Host)
	}
	host := r.Host
	if g.authenticated {
		_, host = g.proxies.base(r)
	}
	site := r.Header.Get("Sec-Fetch-Site")
	if site == "same-origin" || site == "none" {
		return nil
	}
	origin, err := url.Parse(r.Header.Get("Origin"))
	if site != "" || err != nil || r.Header.Get("Origin") != "" && !strings.EqualFold(origin.Host, host) {
		if g.authenticated {
			return image.Errorf(image.ErrForbidden, "Requests of other web sites' pages are refused; the configuration may allow them with "+
				"api.cors_allowed_origins.")
		}
		return image.Errorf(image.ErrForbidden, "Requests of other web sites' pages are refused while authentication is off.")
	}
	return nil
}

// ours reports whether a Host names this machine whoever asks a name server. An address is no name.
func (g *gate) ours(hostport string) bool {
	host := (&url.URL{Host: hostport}).Hostname()
	if _, err := netip.ParseAddr(host); err == nil || host == "" {
		return true
	}
	return slices.Contains(g.hosts, strings.ToLower(host))
}
