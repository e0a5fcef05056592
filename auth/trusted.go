package auth

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/loopback"
)

// TrustedConfig says whose headers are believed.
type TrustedConfig struct {
	// Proxies are the names (common name or DNS name) of the client certificates of proxies that come over the network;
	// without any, every client certificate that the listener verifies is a proxy's.
	Proxies   []string
	Anonymous bool // requests without identity may read what is public
}

// What headers may hold at most.
const (
	maxTrustedID    = 255 // bytes of an id or the name of a role
	maxTrustedRoles = 100
	maxTrustedLine  = 8192 // bytes of a list of roles, or of a token
)

// Trusted believes the headers of a proxy that has authenticated the user, as those are that keystonemiddleware sets:
// X-User-Id, X-Project-Id, X-Roles and so on. It believes them from this machine (a loopback address or a unix socket) and
// from who has shown a client certificate, and nobody else. The proxy must remove such headers of its clients.
type Trusted struct{ cfg TrustedConfig }

// NewTrusted checks the configuration. CheckTrustedListener is for each listener.
func NewTrusted(cfg TrustedConfig) (*Trusted, error) {
	if slices.Contains(cfg.Proxies, "") {
		return nil, errors.New("auth: the name of a proxy is empty")
	}
	return &Trusted{cfg}, nil
}

// CheckTrustedListener refuses a listener (host:port or unix:/path) of which no request could be believed: one for the
// network that asks for no client certificates.
func CheckTrustedListener(address string, clientCertificates bool) error {
	if strings.HasPrefix(address, "unix:") || clientCertificates {
		return nil
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	if ip, err := netip.ParseAddr(host); host == "localhost" || err == nil && ip.Unmap().IsLoopback() {
		return nil
	}
	return fmt.Errorf("%s can be reached from the network, where everybody could send X-User-Id and X-Roles; listen on a loopback "+
		"address or a unix socket, or require client certificates", address)
}

// AnonymousReads reports whether requests without identity may read what is public.
func (t *Trusted) AnonymousReads() bool { return t.cfg.Anonymous }

// Authenticate believes the headers, if the peer may send them.
func (t *Trusted) Authenticate(r *http.Request) (image.Caller, error) {
	if !slices.ContainsFunc(identityHeaders, func(name string) bool { return len(r.Header[name]) > 0 }) {
		if t.cfg.Anonymous {
			return image.Caller{Anonymous: true}, nil
		}
		return image.Caller{}, errNoCredentials
	}
	if !t.believes(r) {
		return image.Caller{}, image.Errorf(image.ErrUnauthorized, "Headers that name a user are taken from the proxy only.")
	}
	h := headerReader{header: r.Header}
	status, serviceStatus := h.text("X-Identity-Status", maxTrustedID), h.text("X-Service-Identity-Status", maxTrustedID)
	caller := image.Caller{
		UserID:          h.text("X-User-Id", maxTrustedID),
		ProjectID:       h.text("X-Project-Id", maxTrustedID),
		DomainID:        h.text("X-Domain-Id", maxTrustedID),
		UserDomainID:    h.text("X-User-Domain-Id", maxTrustedID),
		ProjectDomainID: h.text("X-Project-Domain-Id", maxTrustedID),
		Roles:           h.list("X-Roles"),
		ServiceRoles:    h.list("X-Service-Roles"),
		Token:           image.Secret(h.text("X-Auth-Token", maxTrustedLine)),
	}
	tenant := h.text("X-Tenant-Id", maxTrustedID)
	switch {
	case h.err != nil:
		return image.Caller{}, h.err
	case status != "Confirmed":
		return image.Caller{}, image.Errorf(image.ErrUnauthorized, "X-Identity-Status is %q, not Confirmed.", status)
	case serviceStatus != "" && serviceStatus != "Confirmed":
		return image.Caller{}, image.Errorf(image.ErrUnauthorized, "X-Service-Identity-Status is %q, not Confirmed.", serviceStatus)
	case caller.UserID == "":
		return image.Caller{}, image.Errorf(image.ErrUnauthorized, "X-User-Id is missing.")
	case caller.ProjectID != "" && tenant != "" && caller.ProjectID != tenant:
		return image.Caller{}, image.Errorf(image.ErrUnauthorized, "X-Project-Id and X-Tenant-Id name different projects.")
	case caller.ProjectID == "":
		caller.ProjectID = tenant // the older name
	}
	return caller, nil
}

// identityHeaders are those that make a request one of somebody.
var identityHeaders = []string{"X-Identity-Status", "X-User-Id", "X-Project-Id", "X-Tenant-Id", "X-Domain-Id", "X-Roles",
	"X-Service-Identity-Status", "X-Service-Roles"}

// believes reports whether the request comes from a proxy.
func (t *Trusted) believes(r *http.Request) bool {
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		leaf := r.TLS.VerifiedChains[0][0]
		return len(t.cfg.Proxies) == 0 || slices.ContainsFunc(t.cfg.Proxies, func(name string) bool {
			return name == leaf.Subject.CommonName || slices.Contains(leaf.DNSNames, name)
		})
	}
	if loopback.OnUnixSocket(r) {
		return true
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && peer.Addr().Unmap().IsLoopback()
}

// A headerReader reads headers, and keeps the first thing that is wrong with one.
type headerReader struct {
	header http.Header
	err    error
}

// text returns the value of a header, "" when it is not there.
func (h *headerReader) text(name string, most int) string {
	values := h.header[name]
	switch {
	case len(values) == 0:
		return ""
	case len(values) > 1:
		h.fail("%s was sent twice.", name)
	case len(values[0]) > most:
		h.fail("%s is longer than %d bytes.", name, most)
	case !utf8.ValidString(values[0]) || strings.ContainsFunc(values[0], unicode.IsControl):
		h.fail("%s is no text.", name)
	default:
		return strings.TrimSpace(values[0])
	}
	return ""
}

// list returns the values of a header that are separated by commas.
func (h *headerReader) list(name string) (all []string) {
	for one := range strings.SplitSeq(h.text(name, maxTrustedLine), ",") {
		if one = strings.TrimSpace(one); one == "" {
			continue
		}
		if len(one) > maxTrustedID || len(all) == maxTrustedRoles {
			h.fail("%s holds a name longer than %d bytes, or more than %d.", name, maxTrustedID, maxTrustedRoles)
			return nil
		}
		all = append(all, one)
	}
	return all
}

func (h *headerReader) fail(format string, args ...any) {
	if h.err == nil {
		h.err = image.Errorf(image.ErrUnauthorized, format, args...)
	}
}
