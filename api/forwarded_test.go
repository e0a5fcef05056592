package api

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/api/wire"
)

func TestForwarded(t *testing.T) {
	for _, tt := range []struct {
		name    string
		proxies string
		peer    string
		header  []string
		base    string
		client  string
	}{
		{"nobody is trusted", "", "10.0.0.1:9", []string{"X-Forwarded-For", "1.2.3.4", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "h"},
			"http://asked", "10.0.0.1:9"},
		{"a stranger", "10.0.0.2", "10.0.0.1:9", []string{"X-Forwarded-For", "1.2.3.4", "X-Forwarded-Proto", "https"}, "http://asked", "10.0.0.1:9"},
		{"a proxy", "10.0.0.1", "10.0.0.1:9", []string{"X-Forwarded-For", "1.2.3.4", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "images:1"},
			"https://images:1", "1.2.3.4"},
		{"a network", "10.0.0.0/8 fd00::/8", "[fd00::1%eth0]:9", []string{"X-Forwarded-For", "[2001:db8::1]"}, "http://asked", "2001:db8::1"},
		{"an IPv4 address in IPv6", "10.0.0.1", "[::ffff:10.0.0.1]:9", []string{"X-Forwarded-For", "1.2.3.4"}, "http://asked", "1.2.3.4"},
		{"what clients say first", "10.0.0.1", "10.0.0.1:9", []string{"X-Forwarded-For", "6.6.6.6, 1.2.3.4", "X-Forwarded-Proto", "https, http",
			"X-Forwarded-Host", "evil, images"}, "http://images", "1.2.3.4"},
		{"two headers", "10.0.0.1", "10.0.0.1:9", []string{"X-Forwarded-For", "6.6.6.6", "X-Forwarded-For", "1.2.3.4"}, "http://asked", "1.2.3.4"},
		{"two proxies", "10.0.0.0/24", "10.0.0.1:9", []string{"X-Forwarded-For", "6.6.6.6, 1.2.3.4, 10.0.0.2"}, "http://asked", "1.2.3.4"},
		{"only proxies", "10.0.0.0/24", "10.0.0.1:9", []string{"X-Forwarded-For", "10.0.0.3, 10.0.0.2"}, "http://asked", "10.0.0.3"},
		{"nonsense", "10.0.0.1", "10.0.0.1:9", []string{"X-Forwarded-For", "somebody", "X-Forwarded-Proto", "gopher", "X-Forwarded-Host", "u:p@evil/x"},
			"http://asked", "10.0.0.1:9"},
		{"a prefix", "10.0.0.1", "10.0.0.1:9", []string{"X-Forwarded-Prefix", "/evil, /cloud/image/", "X-Forwarded-Host", "images"},
			"http://images/cloud/image", "10.0.0.1:9"},
		{"a prefix by a stranger", "10.0.0.2", "10.0.0.1:9", []string{"X-Forwarded-Prefix", "/image"}, "http://asked", "10.0.0.1:9"},
		{"a prefix that is no path", "10.0.0.1", "10.0.0.1:9", []string{"X-Forwarded-Prefix", "image"}, "http://asked", "10.0.0.1:9"},
		{"a prefix that is a host", "10.0.0.1", "10.0.0.1:9", []string{"X-Forwarded-Prefix", "//evil"}, "http://asked", "10.0.0.1:9"},
		{"a prefix that goes up", "10.0.0.1", "10.0.0.1:9", []string{"X-Forwarded-Prefix", "/a/../b"}, "http://asked", "10.0.0.1:9"},
		{"a prefix and more", "10.0.0.1", "10.0.0.1:9", []string{"X-Forwarded-Prefix", "/a?b=c"}, "http://asked", "10.0.0.1:9"},
		{"no header", "10.0.0.1", "10.0.0.1:9", nil, "http://asked", "10.0.0.1:9"},
	} {
		proxies, err := ParseProxies(strings.Fields(tt.proxies))
		if err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		h := newHandler(t, newFake(), func(c *Config) {
			c.Auth, c.Proxies, c.Logger = refusing{}, proxies, slog.New(slog.NewJSONHandler(&log, nil))
		})
		ask := func(path string) *httptest.ResponseRecorder {
			r := httptest.NewRequest("GET", "http://asked"+path, nil)
			r.RemoteAddr, r.Header = tt.peer, header(tt.header...)
			res := httptest.NewRecorder()
			h.ServeHTTP(res, r)
			return res
		}
		if got := ask("/v2").Header().Get("Location"); got != tt.base+"/v2/" {
			t.Errorf("%s: redirected to %s, want %s", tt.name, got, tt.base)
		}
		log.Reset()
		ask("/v2/images")
		var record struct{ Client string }
		if err := json.Unmarshal(log.Bytes(), &record); err != nil || record.Client != tt.client {
			t.Errorf("%s: logged client %q (%v), want %q", tt.name, record.Client, err, tt.client)
		}
	}
	for _, bad := range []string{"proxy.example", "10.0.0.0/99", ""} {
		if _, err := ParseProxies([]string{bad}); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestForwardedThroughASocket(t *testing.T) {
	proxies, err := ParseProxies([]string{"unix"})
	if err != nil {
		t.Fatal(err)
	}
	h := newHandler(t, newFake(), func(c *Config) { c.Proxies = proxies })
	for _, tt := range []struct {
		local net.Addr
		want  string
	}{
		{&net.UnixAddr{Name: "/run/v.sock", Net: "unix"}, "https://images.example/v2/"},
		{&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9292}, "http://localhost/v2/"},
	} {
		r := httptest.NewRequest("GET", "http://localhost/versions", nil)
		r.RemoteAddr = "@"
		r.Header = header("X-Forwarded-Proto", "https", "X-Forwarded-Host", "images.example")
		res := httptest.NewRecorder()
		h.ServeHTTP(res, r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, tt.local)))
		var versions wire.Versions
		if err := json.Unmarshal(res.Body.Bytes(), &versions); err != nil || versions.Versions[0].Links[0].Href != tt.want {
			t.Errorf("over %s: %s (%v), want %s", tt.local.Network(), res.Body, err, tt.want)
		}
	}
}

// TestBehindAPrefix: what is absolute names the prefix, whether the proxy or the configuration tells it. What documents link
// to does not, since clients append that to the address of the API.
func TestBehindAPrefix(t *testing.T) {
	proxies, err := ParseProxies([]string{"192.0.2.1"}) // that of httptest
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		change func(*Config)
		header []string
	}{
		"of a proxy": {func(c *Config) { c.Proxies = proxies },
			[]string{"X-Forwarded-Prefix", "/cloud/image", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "images.example"}},
		"as configured": {func(c *Config) { c.PublicURL = "https://images.example/cloud/image/" }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			const base, link = "https://images.example/cloud/image", "/v2/images/" + anID
			h := newHandler(t, newFake(), tt.change)
			ask := func(method, path, body string) *httptest.ResponseRecorder {
				t.Helper()
				r := httptest.NewRequest(method, path, strings.NewReader(body))
				r.Host = "localhost"
				r.Header = header(append(tt.header, "Content-Type", "application/json")...)
				res := httptest.NewRecorder()
				h.ServeHTTP(res, r)
				if res.Code >= 400 {
					t.Fatalf("%s %s = %d %s", method, path, res.Code, res.Body)
				}
				return res
			}
			if got := ask("POST", "/v2/images", `{"id":"`+anID+`"}`).Header().Get("Location"); got != base+link {
				t.Errorf("the image is at %q, want %q", got, base+link)
			}
			var doc struct{ Self, File, Schema string }
			if err := json.Unmarshal(ask("GET", link, "").Body.Bytes(), &doc); err != nil || doc.Self != link || doc.File != link+"/file" ||
				doc.Schema != "/v2/schemas/image" {
				t.Errorf("the image links to %+v, %v", doc, err)
			}
			var page struct{ First, Next, Schema string }
			if err := json.Unmarshal(ask("GET", "/v2/images?limit=1", "").Body.Bytes(), &page); err != nil || page.First != "/v2/images?limit=1" ||
				page.Next != "/v2/images?limit=1&marker="+anID || page.Schema != "/v2/schemas/images" {
				t.Errorf("the list links to %+v, %v", page, err)
			}
			var versions wire.Versions
			if err := json.Unmarshal(ask("GET", "/", "").Body.Bytes(), &versions); err != nil || versions.Versions[0].Links[0].Href != base+"/v2/" {
				t.Errorf("the versions are at %+v, %v", versions.Versions, err)
			}
			if got := ask("GET", "/v2", "").Header().Get("Location"); got != base+"/v2/" {
				t.Errorf("redirected to %q", got)
			}
		})
	}
}
