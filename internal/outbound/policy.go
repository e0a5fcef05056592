// Package outbound makes the requests that users have this service make: for an image behind a URL, or in another cloud.
// No URL from a user reaches a socket but through here.
//
// A Policy says which URLs and which addresses are allowed, and dials: a name is looked up once, all its addresses are
// judged, and a judged address is what the connection is made to. A Client fetches with limits by a Policy. Start
// reading at Policy.Check and Client.Open; docs/explanation/outgoing-requests.md tells what is refused and why.
package outbound

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// A Resolver looks names up; *net.Resolver is one. The name ends with a dot, so no search domain applies to it.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// A PolicyConfig says what may be asked for. Of the lists of schemes, hosts and ports the one of what is allowed wins
// where both are given; a list that is empty, but not nil, restricts nothing.
type PolicyConfig struct {
	AllowedSchemes    []string // nil: http and https, which are all there are
	DisallowedSchemes []string
	AllowedHosts      []string // names, addresses, "*.example.org" for all below a name; nil restricts nothing
	DisallowedHosts   []string // an address here is also one of DenyNetworks
	AllowedPorts      []int    // nil: 80 and 443; a URL without a port has its scheme's
	DisallowedPorts   []int

	// Networks in CIDR or single addresses, judged after names are looked up. The smallest network that holds an
	// address decides, a denied one before an allowed one; without any, private and public addresses are allowed and
	// those of this machine, its link and cloud metadata are not.
	AllowNetworks []string
	DenyNetworks  []string

	Resolver       Resolver      // nil: Go's own, of /etc/hosts and DNS
	ConnectTimeout time.Duration // for looking a name up and connecting to one of its addresses; 0: 10 seconds
}

// A Policy judges URLs and addresses. It is safe for concurrent use.
type Policy struct {
	schemes  rule[string]
	hosts    rule[string]
	ports    rule[int]
	networks []network
	resolver Resolver
	timeout  time.Duration

	connect func(ctx context.Context, to netip.AddrPort) (net.Conn, error) // replaced in tests
}

// NewPolicy checks the lists.
func NewPolicy(cfg PolicyConfig) (*Policy, error) {
	if cfg.ConnectTimeout < 0 {
		return nil, errors.New("outbound: the connect timeout is negative")
	}
	if cfg.AllowedSchemes == nil {
		cfg.AllowedSchemes = []string{"http", "https"}
	}
	if cfg.AllowedPorts == nil {
		cfg.AllowedPorts = []int{80, 443}
	}
	p := &Policy{
		schemes:  rule[string]{lowered(cfg.AllowedSchemes), lowered(cfg.DisallowedSchemes)},
		ports:    rule[int]{cfg.AllowedPorts, cfg.DisallowedPorts},
		resolver: cfg.Resolver,
		timeout:  cmp.Or(cfg.ConnectTimeout, 10*time.Second),
	}
	p.connect = p.connectTCP
	if p.resolver == nil {
		p.resolver = &net.Resolver{PreferGo: true}
	}
	for _, scheme := range p.schemes.allowed {
		if _, known := ports[scheme]; !known {
			return nil, fmt.Errorf("outbound: URLs of the scheme %q cannot be fetched, only http and https", scheme)
		}
	}
	for _, port := range slices.Concat(cfg.AllowedPorts, cfg.DisallowedPorts) {
		if port < 1 || port > 65535 {
			return nil, fmt.Errorf("outbound: %d is no port", port)
		}
	}
	if err := p.setHosts(cfg); err != nil {
		return nil, fmt.Errorf("outbound: %w", err)
	}
	if err := p.addNetworks(cfg.AllowNetworks, true); err != nil {
		return nil, fmt.Errorf("outbound: %w", err)
	}
	if err := p.addNetworks(cfg.DenyNetworks, false); err != nil {
		return nil, fmt.Errorf("outbound: %w", err)
	}
	return p, nil
}

func (p *Policy) setHosts(cfg PolicyConfig) (err error) {
	if p.hosts.allowed, err = hostList(cfg.AllowedHosts); err != nil {
		return err
	}
	if p.hosts.disallowed, err = hostList(cfg.DisallowedHosts); err != nil {
		return err
	}
	if len(p.hosts.allowed) > 0 {
		return nil
	}
	for _, host := range p.hosts.disallowed {
		if a, err := netip.ParseAddr(host); err == nil {
			p.networks = append(p.networks, network{prefix: netip.PrefixFrom(a, a.BitLen())})
		}
	}
	return nil
}

func (p *Policy) addNetworks(texts []string, allow bool) error {
	for _, text := range texts {
		prefix, err := parseNetwork(text)
		if err != nil {
			return err
		}
		p.networks = append(p.networks, network{prefix, allow})
	}
	return nil
}

// Check judges a URL at the time when somebody asks for it, before anything is stored or sent: its spelling, its scheme,
// host and port, and the addresses that its host has now. A name that has none passes, since it may have one when the
// URL is fetched, and everything is judged again then. Error: *Error of the kind image.ErrInvalid; that of ctx.
func (p *Policy) Check(ctx context.Context, rawURL string) error {
	t, err := p.accept(rawURL)
	if err != nil {
		return err
	}
	return p.checkAddresses(ctx, t)
}

// checkAddresses judges the addresses that the target's host has now, if any.
func (p *Policy) checkAddresses(ctx context.Context, t *target) error {
	limited, stop := context.WithTimeout(ctx, p.timeout)
	defer stop()
	_, err := p.resolve(limited, t.host)
	if errors.Is(err, errUnresolved) {
		return ctx.Err()
	}
	return err
}

// accept judges all of a URL that can be judged without looking its host up.
func (p *Policy) accept(rawURL string) (*target, error) {
	t, err := parse(rawURL)
	if err != nil {
		return nil, err
	}
	if !p.schemes.permits(func(s string) bool { return s == t.scheme }) {
		return nil, refused("the scheme %s is not allowed", t.scheme)
	}
	if err := p.acceptHost(t.host, t.port); err != nil {
		return nil, err
	}
	return t, nil
}

// acceptHost applies the lists of hosts and ports.
func (p *Policy) acceptHost(host string, port uint16) error {
	if !p.ports.permits(func(n int) bool { return n == int(port) }) {
		return refused("the port %d is not allowed", port)
	}
	if !p.hosts.permits(func(entry string) bool { return matches(entry, host) }) {
		return notAllowed(errors.New("refused by the lists of hosts"))
	}
	if len(p.hosts.allowed) == 0 && slices.Contains(metadataNames, host) {
		return notAllowed(errors.New("the name of a metadata service"))
	}
	return nil
}

// metadataNames are those of clouds' metadata services. Their addresses are refused anyway; a proxy looks up by itself.
var metadataNames = []string{"metadata", "metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal"}

// A rule is a pair of lists as Glance has them.
type rule[T any] struct{ allowed, disallowed []T }

// permits reports whether a value passes, of which is tells whether an entry is about it.
func (r rule[T]) permits(is func(entry T) bool) bool {
	if len(r.allowed) > 0 {
		return slices.ContainsFunc(r.allowed, is)
	}
	return !slices.ContainsFunc(r.disallowed, is)
}

// matches reports whether an entry of a list of hosts is about the host.
func matches(entry, host string) bool {
	if below, isPattern := strings.CutPrefix(entry, "*"); isPattern {
		return strings.HasSuffix(host, below)
	}
	return entry == host
}

// hostList normalises entries as hosts of URLs are; an IPv6 address may stand without brackets.
func hostList(entries []string) ([]string, error) {
	var list []string
	for _, entry := range entries {
		text, isPattern := strings.CutPrefix(entry, "*.")
		if a, err := netip.ParseAddr(text); err == nil && a.Is6() {
			text = "[" + text + "]"
		}
		host, valid := parseHost(text)
		if _, err := netip.ParseAddr(host); !valid || isPattern && err == nil {
			return nil, fmt.Errorf("%q is no host name (punycode outside of ASCII), no address and no pattern such as *.example.org", entry)
		}
		if isPattern {
			host = "*." + host
		}
		list = append(list, host)
	}
	return list, nil
}

func lowered(texts []string) []string {
	list := make([]string, len(texts))
	for i, text := range texts {
		list[i] = strings.ToLower(text)
	}
	return list
}
