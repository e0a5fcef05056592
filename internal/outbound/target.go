package outbound

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// maxURL is the length of the longest URL that is accepted; signed ones are long.
const maxURL = 8 << 10

// ports are those of URLs that write none, by scheme. No other scheme can be fetched.
var ports = map[string]uint16{"http": 80, "https": 443}

// A target is a URL taken apart. Every part of it has one possible reading; a URL that programs read in several ways is
// none.
type target struct {
	url    *url.URL // with scheme and host normalised; holds no user and no fragment
	scheme string
	host   string // a name in lower case without the final dot, or an address without brackets
	port   uint16
}

// parse takes a URL apart by the rules of RFC 3986, without the freedoms that programs take with it. net/url must agree.
func parse(raw string) (*target, error) {
	if len(raw) > maxURL {
		return nil, refused("it is longer than %d bytes", maxURL)
	}
	if !plain(raw) {
		return nil, refused("it has a character that must be percent-encoded: a space, a control character, a backslash or one outside of ASCII")
	}
	scheme, rest, found := strings.Cut(raw, "://")
	scheme = strings.ToLower(scheme)
	if _, known := ports[scheme]; !found || !known {
		return nil, refused("it begins neither with http:// nor with https://")
	}
	authority := rest
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority = rest[:i]
	}
	if strings.Contains(authority, "@") {
		return nil, refused("it has a user name or a password")
	}
	t := &target{scheme: scheme, port: ports[scheme]}
	hostText, portText, hasPort := splitPort(authority)
	var valid bool
	if t.host, valid = parseHost(hostText); !valid {
		return nil, refused("its host is neither a plain host name nor an address in the usual form")
	}
	if hasPort {
		if t.port, valid = parsePort(portText); !valid {
			return nil, refused("its port is not a number from 1 to 65535")
		}
	}
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != scheme || u.Host != authority || u.User != nil || u.Opaque != "" {
		e := refused("it is malformed")
		e.Cause = err
		return nil, e
	}
	u.Fragment, u.RawFragment = "", "" // never sent
	u.Host = hostPort(t.host, t.port, ports[scheme])
	t.url = u
	return t, nil
}

// plain reports whether the text can stand in a URL as it is.
func plain(text string) bool {
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c >= 0x7f || c == '\\' {
			return false
		}
	}
	return true
}

// splitPort divides host:port; the host keeps its brackets.
func splitPort(authority string) (host, port string, hasPort bool) {
	if end := strings.IndexByte(authority, ']'); end >= 0 && strings.HasPrefix(authority, "[") {
		host, rest := authority[:end+1], authority[end+1:]
		port, hasPort = strings.CutPrefix(rest, ":")
		if rest != "" && !hasPort {
			return "", "", false // no host
		}
		return host, port, hasPort
	}
	return strings.Cut(authority, ":")
}

// parsePort accepts decimal digits without a sign or leading zeros.
func parsePort(text string) (uint16, bool) {
	n, err := strconv.ParseUint(text, 10, 16)
	return uint16(n), err == nil && n > 0 && strconv.FormatUint(n, 10) == text
}

// parseHost normalises the host of a URL: a name of the DNS, an IPv4 address of four decimal numbers, or an IPv6 address
// in brackets. It does not accept what inet_aton (0x7f.1, 017700000001, 127.1), other parsers or IDNA make an address of.
func parseHost(text string) (string, bool) {
	if inner, found := strings.CutPrefix(text, "["); found {
		inner, found = strings.CutSuffix(inner, "]")
		a, err := netip.ParseAddr(inner)
		return a.String(), found && err == nil && a.Is6() && !a.Is4In6() && a.Zone() == ""
	}
	name := strings.ToLower(text)
	labels := strings.Split(strings.TrimSuffix(name, "."), ".")
	if numeric(labels[len(labels)-1]) {
		a, err := netip.ParseAddr(name)
		return a.String(), err == nil && a.Is4()
	}
	name = strings.Join(labels, ".")
	if len(name) > 253 {
		return "", false
	}
	for _, label := range labels {
		if !isLabel(label) {
			return "", false
		}
	}
	return name, true
}

// numeric reports whether a host whose last label this is would be read as an IPv4 address by some program, as the URL
// standard of browsers has it; no top-level domain looks so.
func numeric(label string) bool {
	hex, isHex := strings.CutPrefix(label, "0x")
	if isHex {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return label != "" && strings.Trim(label, "0123456789") == ""
}

// isLabel accepts the letters of host names, and the underscore, which some use all the same.
func isLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}

// hostPort writes them as in a URL, without the port if it is the scheme's own.
func hostPort(host string, port, own uint16) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port == own {
		return host
	}
	return host + ":" + strconv.Itoa(int(port))
}
