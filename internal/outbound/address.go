package outbound

import (
	"fmt"
	"net/netip"
	"slices"
)

// special are the addresses that are refused unless a network of allow_networks holds them: those of this machine, of
// its link, of a cloud's services for its guests, and those that are nobody's. Private networks are not among them.
// Sources: the IANA registries of special-purpose addresses (RFC 6890) as of 2025, and the clouds' documentation.
var special = []struct {
	prefix netip.Prefix
	why    string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "this host"},
	{netip.MustParsePrefix("100.64.0.0/10"), "provider's network"}, // holds Alibaba's metadata service
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback"},
	{netip.MustParsePrefix("168.63.129.16/32"), "metadata"}, // Azure's
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local"}, // holds most clouds' metadata services
	{netip.MustParsePrefix("192.0.0.0/24"), "protocols"},    // holds Oracle's metadata service
	{netip.MustParsePrefix("192.0.2.0/24"), "documentation"},
	{netip.MustParsePrefix("192.88.99.0/24"), "6to4 relay"},
	{netip.MustParsePrefix("198.18.0.0/15"), "benchmarks"},
	{netip.MustParsePrefix("198.51.100.0/24"), "documentation"},
	{netip.MustParsePrefix("203.0.113.0/24"), "documentation"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved, broadcast"},

	{netip.MustParsePrefix("::1/128"), "loopback"},
	{netip.MustParsePrefix("2001::/23"), "protocols, Teredo"},
	{netip.MustParsePrefix("2001:db8::/32"), "documentation"},
	{netip.MustParsePrefix("2002::/16"), "6to4"},
	{netip.MustParsePrefix("3fff::/20"), "documentation"},
	{netip.MustParsePrefix("fd00:42::42/128"), "metadata"},  // Scaleway's
	{netip.MustParsePrefix("fd00:ec2::/32"), "metadata"},    // Amazon's
	{netip.MustParsePrefix("fd20:ce::254/128"), "metadata"}, // Google's
	{netip.MustParsePrefix("fe80::/10"), "link-local"},
	{netip.MustParsePrefix("ff00::/8"), "multicast"},
}

// unicast are the IPv6 networks in which machines are; whatever lies outside of them is special too.
var unicast = []netip.Prefix{netip.MustParsePrefix("2000::/3"), netip.MustParsePrefix("fc00::/7"), nat64}

var (
	nat64      = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052: the usual way to IPv4 from a network without it
	nat64Local = netip.MustParsePrefix("64:ff9b:1::/48")
	compatible = netip.MustParsePrefix("::/96")
	translated = netip.MustParsePrefix("::ffff:0:0:0/96") // RFC 2765; mapped ones are unmapped first
	sixToFour  = netip.MustParsePrefix("2002::/16")
	teredo     = netip.MustParsePrefix("2001::/32")
)

// A network is a rule of the operator's.
type network struct {
	prefix netip.Prefix
	allow  bool
}

// refusal says why the address must not be connected to, "" when it may. An address that carries an IPv4 address within
// it is as good as that one, whatever is said of itself.
func (p *Policy) refusal(a netip.Addr) string {
	if !a.IsValid() || a.Zone() != "" {
		return "not a plain address"
	}
	a = a.Unmap()
	if why := p.refusalOf(a); why != "" {
		return why
	}
	for _, inner := range embedded(a) {
		if why := p.refusalOf(inner); why != "" {
			return fmt.Sprintf("stands for %v: %s", inner, why)
		}
	}
	return ""
}

// refusalOf judges the address by itself: the smallest of the operator's networks that holds it decides, a denied one
// before an allowed one of the same size, and special where there is none.
func (p *Policy) refusalOf(a netip.Addr) string {
	var best network
	for _, n := range p.networks {
		if !n.prefix.Contains(a) {
			continue
		}
		if !best.prefix.IsValid() || n.prefix.Bits() > best.prefix.Bits() || n.prefix.Bits() == best.prefix.Bits() && !n.allow {
			best = n
		}
	}
	switch {
	case best.allow:
		return ""
	case best.prefix.IsValid():
		return fmt.Sprintf("denied: %v", best.prefix)
	}
	for _, s := range special {
		if s.prefix.Contains(a) {
			return s.why
		}
	}
	if a.Is6() && !slices.ContainsFunc(unicast, func(n netip.Prefix) bool { return n.Contains(a) }) {
		return "no unicast address in use"
	}
	return ""
}

// embedded returns the IPv4 addresses to which a packet for the IPv6 address may be sent on.
func embedded(a netip.Addr) []netip.Addr {
	if a.Is4() {
		return nil
	}
	b := a.As16()
	last := netip.AddrFrom4([4]byte(b[12:]))
	switch {
	case nat64.Contains(a), nat64Local.Contains(a), translated.Contains(a):
		return []netip.Addr{last}
	case compatible.Contains(a) && (b[12] != 0 || b[13] != 0): // :: and ::1 are no IPv4 addresses
		return []netip.Addr{last}
	case sixToFour.Contains(a):
		return []netip.Addr{netip.AddrFrom4([4]byte(b[2:6]))}
	case teredo.Contains(a): // RFC 4380: the server, and the client's address with all bits turned
		return []netip.Addr{netip.AddrFrom4([4]byte(b[4:8])), netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]})}
	case b[8]&^2 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe: // ISATAP, RFC 5214
		return []netip.Addr{last}
	}
	return nil
}

// parseNetwork reads a network of the configuration: CIDR, or one address.
func parseNetwork(text string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		a, errAddr := netip.ParseAddr(text)
		if errAddr != nil || a.Zone() != "" {
			return prefix, fmt.Errorf("%q is no network such as 10.0.0.0/8 and no address", text)
		}
		prefix = netip.PrefixFrom(a, a.BitLen())
	}
	switch {
	case prefix.Addr().Is4In6():
		return prefix, fmt.Errorf("%q: write the IPv4 network itself", text)
	case prefix.Masked() != prefix:
		return prefix, fmt.Errorf("%q has bits set beyond its length; is %v meant?", text, prefix.Masked())
	}
	return prefix, nil
}
