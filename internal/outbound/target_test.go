package outbound

import (
	"fmt"
	"strings"
	"testing"
)

func TestParseNormalises(t *testing.T) {
	long := strings.Repeat("a", 63)
	for _, tt := range []struct {
		raw, url, host string
		port           uint16
	}{
		{"http://example.org", "http://example.org", "example.org", 80},
		{"HTTP://Example.ORG./a?b=c#d", "http://example.org/a?b=c", "example.org", 80},
		{"https://example.org:443/", "https://example.org/", "example.org", 443},
		{"https://example.org:80/", "https://example.org:80/", "example.org", 80},
		{"http://93.184.216.34:8080/x", "http://93.184.216.34:8080/x", "93.184.216.34", 8080},
		{"http://[2606:4700:0::1111]/", "http://[2606:4700::1111]/", "2606:4700::1111", 80},
		{"http://[2606:4700::A]:8080/", "http://[2606:4700::a]:8080/", "2606:4700::a", 8080},
		{"http://xn--bcher-kva.example/", "http://xn--bcher-kva.example/", "xn--bcher-kva.example", 80},
		{"http://my_host.example/%2e%2e/%00", "http://my_host.example/%2e%2e/%00", "my_host.example", 80},
		{"http://example.org/a:b@c//d?x=http://y/", "http://example.org/a:b@c//d?x=http://y/", "example.org", 80},
		{"http://127.0.0.1.example.org/", "http://127.0.0.1.example.org/", "127.0.0.1.example.org", 80},
		{"http://3com.example0x1/", "http://3com.example0x1/", "3com.example0x1", 80},
		{"http://" + long + ".org/", "http://" + long + ".org/", long + ".org", 80},
		{"http://h?q", "http://h?q", "h", 80},
	} {
		got, err := parse(tt.raw)
		if err != nil {
			t.Errorf("parse(%q): %v", tt.raw, err)
			continue
		}
		if got.url.String() != tt.url || got.host != tt.host || got.port != tt.port {
			t.Errorf("parse(%q) = %s, host %s, port %d; want %s, %s, %d", tt.raw, got.url, got.host, got.port, tt.url, tt.host, tt.port)
		}
	}
}

func TestParseSaysWhatIsWrong(t *testing.T) {
	for raw, want := range map[string]string{
		"":                         "neither with http://",
		"ftp://example.org/":       "neither with http://",
		"http:example.org":         "neither with http://",
		"http://u@example.org/":    "user name",
		"http://example.org /":     "percent-encoded",
		"http://ex\u00e4mple.org/": "percent-encoded",
		"http://example.org/\\":    "percent-encoded",
		"http:///etc/passwd":       "its host",
		"http://2130706433/":       "its host",
		"http://" + strings.Repeat("a.", 127) + "a/": "its host",
		"http://" + strings.Repeat("a", 64) + "/":    "its host",
		"http://example.org:0/":                      "its port",
		"http://example.org:/":                       "its port",
		"http://example.org/%zz":                     "malformed",
		"http://h/" + strings.Repeat("a", maxURL):    fmt.Sprint(maxURL),
	} {
		_, err := parse(raw)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("parse(%.60q) = %v, want an error with %q", raw, err, want)
		}
	}
}
