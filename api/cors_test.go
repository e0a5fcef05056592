package api

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/auth"
	"github.com/vitrine-image/vitrine/image"
)

const dashboard = "https://dashboard.example"

func TestCORS(t *testing.T) {
	one := CORS{Origins: []string{dashboard}, MaxAge: time.Hour}
	asked := func(origin string) []string { // with a token that would be refused
		return []string{"Origin", origin, "Access-Control-Request-Method", "PATCH", "X-Auth-Token", "bad"}
	}
	for _, tt := range []struct {
		name       string
		cors       CORS
		method     string
		header     []string
		code       int
		origin     string // Access-Control-Allow-Origin
		vary, more string // another header, NAME=part of it
	}{
		{"no origin", one, "GET", nil, 200, "", "Origin", ""},
		{"preflight", one, "OPTIONS", asked(dashboard), 204, dashboard, "Origin", "Access-Control-Allow-Methods=PATCH"},
		{"its headers", one, "OPTIONS", asked(dashboard), 204, dashboard, "Origin", "Access-Control-Allow-Headers=X-Auth-Token"},
		{"its age", one, "OPTIONS", asked(dashboard), 204, dashboard, "Origin", "Access-Control-Max-Age=3600"},
		{"preflight of a stranger", one, "OPTIONS", asked("https://evil.example"), 403, "", "Origin", ""},
		{"of another port", one, "OPTIONS", asked(dashboard + ":8443"), 403, "", "Origin", ""},
		{"of a file", one, "OPTIONS", asked("null"), 403, "", "Origin", ""},
		{"in capitals", one, "OPTIONS", asked(strings.ToUpper(dashboard)), 204, strings.ToUpper(dashboard), "Origin", ""},
		{"no preflight", one, "OPTIONS", []string{"Origin", dashboard}, 405, dashboard, "Origin", ""},
		{"an answer", one, "GET", []string{"Origin", dashboard, "X-Auth-Token", "t"}, 200, dashboard, "Origin",
			"Access-Control-Expose-Headers=X-Openstack-Request-Id"},
		{"a refusal", one, "GET", []string{"Origin", dashboard, "X-Auth-Token", "bad"}, 401, dashboard, "Origin", "Access-Control-Expose-Headers=Content-MD5"},
		{"an answer for a stranger", one, "GET", []string{"Origin", "https://evil.example", "X-Auth-Token", "t"}, 200, "", "Origin", ""},
		{"credentials", CORS{Origins: []string{dashboard}, Credentials: true}, "GET", []string{"Origin", dashboard}, 200, dashboard, "Origin",
			"Access-Control-Allow-Credentials=true"},
		{"everybody", CORS{Origins: []string{"*"}}, "OPTIONS", asked("null"), 204, "*", "", "Access-Control-Max-Age=0"},
		{"not configured", CORS{}, "OPTIONS", asked(dashboard), 401, "", "", ""},
	} {
		h := newHandler(t, newFake(), func(c *Config) { c.Auth, c.CORS = tokens{"t": image.Caller{ProjectID: "p1"}}, tt.cors })
		res := do(h, request{tt.method, "/v2/images", header(tt.header...), ""})
		got := res.Header()
		if res.Code != tt.code || got.Get("Access-Control-Allow-Origin") != tt.origin || got.Get("Vary") != tt.vary {
			t.Errorf("%s: %d, allowed %q, vary %q, want %d, %q, %q", tt.name, res.Code, got.Get("Access-Control-Allow-Origin"), got.Get("Vary"),
				tt.code, tt.origin, tt.vary)
		}
		if name, part, _ := strings.Cut(tt.more, "="); name != "" && !strings.Contains(got.Get(name), part) {
			t.Errorf("%s: %s is %q, without %s", tt.name, name, got.Get(name), part)
		}
	}
	for _, bad := range []CORS{
		{Origins: []string{"dashboard.example"}}, {Origins: []string{dashboard + "/"}}, {Origins: []string{"ftp://x"}},
		{Origins: []string{"*", dashboard}}, {Origins: []string{"*"}, Credentials: true}, {Origins: []string{"https://u@x"}},
	} {
		if _, err := New(Config{Images: newFake().as, Auth: tokens{}, CORS: bad}); err == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
	if _, err := New(Config{Images: newFake().as, Auth: auth.NewNone(""), CORS: one}); err == nil {
		t.Error("pages of other sites were let in without authentication")
	}
}

// TestStrangersCannotUseWhatTheBrowserKnows sends what the page of a stranger could let a browser send, which adds the
// password that it remembers.
func TestStrangersCannotUseWhatTheBrowserKnows(t *testing.T) {
	f := newFake()
	id := string(f.add(image.Image{Owner: "p1"}, "data"))
	trusted, err := auth.NewTrusted(auth.TrustedConfig{})
	if err != nil {
		t.Fatal(err)
	}
	proxies, err := ParseProxies([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	h := newHandler(t, f, func(c *Config) { c.Auth, c.CORS, c.Proxies = trusted, CORS{Origins: []string{dashboard}}, proxies })
	path := "/v2/images/" + id
	for _, tt := range []struct {
		name   string
		method string
		path   string
		header []string
		code   int
	}{
		{"a program", "POST", path + "/actions/deactivate", nil, 204},
		{"a stranger's form", "POST", path + "/actions/reactivate", []string{"Origin", "https://evil.example"}, 403},
		{"in a newer browser", "POST", path + "/actions/reactivate", []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, 403},
		{"from a file", "POST", path + "/actions/reactivate", []string{"Origin", "null"}, 403},
		{"a link", "GET", path, []string{"Sec-Fetch-Site", "cross-site"}, 200},
		{"an own page", "POST", path + "/actions/reactivate", []string{"Origin", "http://images.example", "Sec-Fetch-Site", "same-origin"}, 204},
		{"in an older browser", "POST", path + "/actions/deactivate", []string{"Origin", "http://images.example"}, 204},
		{"through a proxy", "POST", path + "/actions/reactivate", []string{"Origin", "https://public.example", "X-Forwarded-Host", "public.example"}, 204},
		{"a stranger's through a proxy", "POST", path + "/actions/reactivate", []string{"Origin", "http://images.example", "X-Forwarded-Host", "public.example"}, 403},
		{"an allowed page", "POST", path + "/actions/reactivate", []string{"Origin", dashboard, "Sec-Fetch-Site", "cross-site"}, 204},
	} {
		r := httptest.NewRequest(tt.method, "http://images.example"+tt.path, nil)
		r.RemoteAddr = "127.0.0.1:1234"
		r.Header = header(append(tt.header, "X-Identity-Status", "Confirmed", "X-User-Id", "olga", "X-Project-Id", "p1")...)
		res := httptest.NewRecorder()
		h.ServeHTTP(res, r)
		if res.Code != tt.code {
			t.Errorf("%s: %d, want %d: %s", tt.name, res.Code, tt.code, res.Body)
		}
	}
}
