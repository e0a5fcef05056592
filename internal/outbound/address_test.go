package outbound

import (
	"net/netip"
	"strings"
	"testing"
)

func TestAddressesRefusedByDefault(t *testing.T) {
	p, _ := newPolicy(t, PolicyConfig{}, nil)
	for _, tt := range []struct {
		addrs   string
		refused bool
	}{
		{"8.8.8.8 93.184.216.34 1.0.0.1 223.255.255.255 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0", false},
		{"169.253.255.255 169.255.0.0 192.0.1.0 192.0.3.0 198.17.255.255 198.20.0.0 168.63.129.15 168.63.129.17", false},
		{"10.0.0.1 172.16.0.1 192.168.1.1 fc00::1 fd00::1 fdff::1", false}, // private: an inner mirror
		{"2001:4860:4860::8888 2606:4700::1111 2a00:1450::1 2400::1 64:ff9b::808:808", false},
		{"::ffff:8.8.8.8", false},
		{"0.0.0.0 0.0.0.1 0.255.255.255 127.0.0.1 127.0.0.2 127.255.255.255", true},
		{"169.254.169.254 169.254.0.1 169.254.255.255 168.63.129.16 100.100.100.200 100.64.0.0 100.127.255.255 192.0.0.192", true},
		{"192.0.2.1 198.51.100.1 203.0.113.1 198.18.0.1 198.19.255.255 192.88.99.1", true},
		{"224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255", true},
		{":: ::1 ::2 ::127.0.0.1 ::8.8.8.8 ::ffff:127.0.0.1 ::ffff:169.254.169.254 ::ffff:0:127.0.0.1", true},
		{"64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b:1::7f00:1 64:ff9b:1::808:808", true},
		{"2002:7f00:1:: 2002:808:808::1 2001::1 2001:0:4136:e378:8000:63bf:80ff:fffe 2001:db8::1 3fff::1", true},
		{"2606:4700::5efe:7f00:1 2606:4700::200:5efe:a9fe:a9fe fd00::5efe:127.0.0.1", true},
		{"100::1 5f00::1 4000::1 fe80::1 febf::1 fec0::1 ff02::1 ff0e::1 fd00:ec2::254 fd20:ce::254 fd00:42::42", true},
		{"fe80::1%eth0 2606:4700::1%1", true},
	} {
		for text := range strings.FieldsSeq(tt.addrs) {
			if why := p.refusal(netip.MustParseAddr(text)); (why != "") != tt.refused {
				t.Errorf("%s: refused with %q, want refused = %v", text, why, tt.refused)
			}
		}
	}
	if p.refusal(netip.Addr{}) == "" {
		t.Error("no address is allowed")
	}
}

func TestTheSmallestNetworkDecides(t *testing.T) {
	p, _ := newPolicy(t, PolicyConfig{
		AllowNetworks:   []string{"127.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "::1", "2002::/16", "10.9.0.0/16"},
		DenyNetworks:    []string{"10.0.0.0/8", "10.1.2.0/24", "127.0.0.53", "fc00::/7", "10.9.0.0/16"},
		DisallowedHosts: []string{"192.168.7.7", "FD00::0007", "inner.example"},
	}, nil)
	for text, refused := range map[string]bool{
		"127.0.0.1": false, "127.0.0.53": true, "10.0.0.1": true, "10.1.0.1": false, "10.1.2.1": true, "10.1.2.3": false,
		"::1": false, "169.254.169.254": true, "fd00::1": true, "192.168.7.7": true, "192.168.7.8": false,
		"10.9.1.1": true, "64:ff9b::10.0.0.1": true, "64:ff9b::10.1.0.1": false, "::ffff:10.0.0.1": true,
		"2002:7f00:1::": false, "2002:a9fe:a9fe::": true, // what is embedded is judged for itself
	} {
		if why := p.refusal(netip.MustParseAddr(text)); (why != "") != refused {
			t.Errorf("%s: refused with %q, want refused = %v", text, why, refused)
		}
	}
}

func TestWhatTeredoEmbeds(t *testing.T) {
	p, _ := newPolicy(t, PolicyConfig{AllowNetworks: []string{"2001::/32"}}, nil)
	for text, refused := range map[string]bool{
		"2001:0:808:808::f7f7:f7f7": false, // server and client 8.8.8.8
		"2001:0:7f00:1::f7f7:f7f7":  true,
		"2001:0:808:808::80ff:fffe": true, // client 127.0.0.1
		"2001:0:808:808::5601:5601": true, // client 169.254.169.254
	} {
		if why := p.refusal(netip.MustParseAddr(text)); (why != "") != refused {
			t.Errorf("%s: refused with %q, want refused = %v", text, why, refused)
		}
	}
}

func TestTheOperatorsPageNamesEveryNetwork(t *testing.T) {
	page := readFile(t, "../../docs/explanation/outgoing-requests.md")
	for _, s := range special {
		text := s.prefix.String()
		if s.prefix.IsSingleIP() {
			text = s.prefix.Addr().String()
		}
		if !strings.Contains(page, "`"+text+"`") {
			t.Errorf("the page does not name %s (%s)", text, s.why)
		}
	}
	for _, name := range metadataNames {
		if !strings.Contains(page, "`"+name+"`") {
			t.Errorf("the page does not name the host %s", name)
		}
	}
}
