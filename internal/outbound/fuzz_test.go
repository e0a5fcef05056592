package outbound

import (
	"context"
	"hash/fnv"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

// anyName is a Resolver that knows every name: its hash chooses the addresses, of which many are forbidden.
type anyName struct{}

var someAddresses = []string{
	"93.184.216.34", "93.184.216.34", "93.184.216.34,93.184.216.35", "2606:4700::1", "10.0.0.1", "127.0.0.1", "::1",
	"93.184.216.34,127.0.0.1", "169.254.169.254", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "fe80::1%1", "0.0.0.0",
}

func (anyName) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	h := fnv.New32()
	h.Write([]byte(host))
	r := records{answers: map[string][]string{host: {someAddresses[int(h.Sum32())%len(someAddresses)]}}}
	return r.LookupNetIP(context.Background(), "ip", host)
}

// known says of an address, apart from the code under test, whether a URL may lead there.
func known(to netip.AddrPort) bool {
	a := to.Addr()
	if to.Port() != 80 && to.Port() != 443 || a.Is4In6() || a.Zone() != "" {
		return false
	}
	if a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified() || !a.IsGlobalUnicast() {
		return false
	}
	if a.Is4() {
		return a.As4()[0] != 0 && a.As4()[0] < 240 && a.String() != "100.100.100.200" && a.String() != "168.63.129.16"
	}
	b := a.As16()
	return b[0]>>5 == 1 && !strings.HasPrefix(a.String(), "2002:") || b[0]&^1 == 0xfc || strings.HasPrefix(a.String(), "64:ff9b::")
}

// FuzzURL: what a URL leads to is allowed, whatever the URL; and what is accepted means to net/url, and when it is
// parsed again, what it was accepted for.
func FuzzURL(f *testing.F) {
	urls, _ := readHostile(f)
	for _, u := range urls {
		f.Add(u.url, u.url)
	}
	f.Add("http://good.example/", "//other.example/x")
	f.Add("https://10.0.0.1:80/a?b#c", "../d")
	p, err := NewPolicy(PolicyConfig{Resolver: anyName{}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw, location string) {
		var d dials
		p := *p
		d.watch(&p, nil)
		c := newClient(t, Config{Policy: &p})
		checked := c.Check(t.Context(), raw)
		_, err := c.Open(t.Context(), Request{URL: raw})
		if err == nil {
			t.Fatalf("%q gave data without a connection", raw)
		}
		if dialled := len(d.all()) > 0; dialled != (checked == nil) {
			t.Errorf("%q: Check = %v, dialled %v", raw, checked, d.all())
		}
		from, err := p.accept(raw)
		if err != nil {
			return
		}
		u, err := url.Parse(raw)
		if err != nil || !strings.EqualFold(strings.TrimSuffix(u.Hostname(), "."), from.host) && !strings.Contains(from.host, ":") {
			t.Errorf("%q has the host %s, to net/url %v, %v", raw, from.host, u, err)
		}
		if again, err := p.accept(from.url.String()); err != nil || again.host != from.host || again.port != from.port || again.url.String() != from.url.String() {
			t.Errorf("%q: %s is read as %+v, %v", raw, from.url, again, err)
		}
		to, err := follow(&p, from, &http.Response{StatusCode: http.StatusFound, Header: http.Header{"Location": {location}}})
		if err == nil {
			c.Open(t.Context(), Request{URL: to.url.String()})
		}
		for _, to := range d.all() {
			if !known(to) {
				t.Errorf("%q redirecting to %q: connected to %v", raw, location, to)
			}
		}
	})
}

// FuzzAddress: an IPv6 address that carries a forbidden IPv4 address in one of the usual ways is forbidden.
func FuzzAddress(f *testing.F) {
	p, err := NewPolicy(PolicyConfig{AllowNetworks: []string{"::/0"}}) // so that only what is embedded counts
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{127, 0, 0, 1}, []byte("\x20\x02"))
	f.Add([]byte{169, 254, 169, 254}, []byte{})
	f.Fuzz(func(t *testing.T, v4, rest []byte) {
		inner, valid := netip.AddrFromSlice(v4[:min(len(v4), 4)])
		if !valid {
			return
		}
		forbidden := p.refusal(inner) != ""
		four := inner.As4()
		var b [16]byte
		copy(b[:12], "\x00\x64\xff\x9b")
		copy(b[12:], four[:])
		check := func(how string) {
			t.Helper()
			if a := netip.AddrFrom16(b); forbidden && p.refusal(a) == "" {
				t.Errorf("%s: %v stands for %v and is allowed", how, a, inner)
			}
		}
		check("NAT64")
		b = [16]byte{10: 0xff, 11: 0xff, 12: four[0], 13: four[1], 14: four[2], 15: four[3]}
		check("mapped")
		b = [16]byte{8: 0xff, 9: 0xff, 12: four[0], 13: four[1], 14: four[2], 15: four[3]}
		check("translated")
		b = [16]byte{}
		copy(b[:], rest)
		copy(b[:], []byte{0x20, 0x02, four[0], four[1], four[2], four[3]})
		check("6to4")
	})
}
