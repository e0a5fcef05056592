package api

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/auth"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
)

func TestPathsAndMethods(t *testing.T) {
	f := newFake()
	id := string(f.add(image.Image{Owner: "p1"}, "data"))
	h := newHandler(t, f)
	vnd := header("Accept", "application/vnd.openstack.images-v2.7")
	for _, tt := range []struct {
		request
		code  int
		allow string
	}{
		{request{"GET", "/", nil, ""}, 300, ""},
		{request{"POST", "/", nil, "{}"}, 300, ""},
		{request{"GET", "/versions", nil, ""}, 200, ""},
		{request{"GET", "/versions/", nil, ""}, 200, ""},
		{request{"GET", "/versions", vnd, ""}, 200, ""},
		{request{"GET", "/v2", nil, ""}, 302, ""},
		{request{"GET", "/v2.3", nil, ""}, 302, ""},
		{request{"GET", "/v2/", nil, ""}, 404, ""},
		{request{"GET", "/v2/images", nil, ""}, 200, ""},
		{request{"GET", "/v2.0/images", nil, ""}, 200, ""},
		{request{"GET", "/v2.18/images", nil, ""}, 200, ""},
		{request{"GET", "/v2.19/images", nil, ""}, 300, ""},
		{request{"GET", "/v2.09/images", nil, ""}, 300, ""},
		{request{"GET", "/v2.-1/images", nil, ""}, 300, ""},
		{request{"GET", "/v1/images", nil, ""}, 300, ""},
		{request{"GET", "/v3/images", nil, ""}, 300, ""},
		{request{"GET", "/anything", nil, ""}, 300, ""},
		{request{"GET", "/images", nil, ""}, 300, ""},
		{request{"GET", "/images", vnd, ""}, 200, ""},
		{request{"GET", "/images", header("Accept", "application/vnd.openstack.images-v3"), ""}, 300, ""},
		{request{"GET", "/v2/images", vnd, ""}, 200, ""},
		{request{"GET", "/v2/images/", nil, ""}, 404, ""},
		{request{"GET", "/v2/nothing", nil, ""}, 404, ""},
		{request{"GET", "/vitrine", nil, ""}, 300, ""},
		{request{"GET", "/vitrine/v1/nothing", nil, ""}, 404, ""},
		{request{"GET", "/vitrine/v1/images/" + id + "/clones", nil, ""}, 405, "POST"},
		{request{"GET", "/vitrine/v1/images/" + id + "/clones", vnd, ""}, 405, "POST"},
		{request{"GET", "/v2/images/" + id + "/nothing", nil, ""}, 404, ""},
		{request{"GET", "/v2/images%2F" + id, nil, ""}, 404, ""},
		{request{"HEAD", "/v2/images", nil, ""}, 405, "GET, POST"},
		{request{"HEAD", "/v2/images/" + id + "/file", nil, ""}, 405, "GET, PUT"},
		{request{"POST", "/v2/images/" + id, nil, ""}, 405, "GET, PATCH, DELETE"},
		{request{"OPTIONS", "/v2/images/" + id + "/tags/x", nil, ""}, 405, "PUT, DELETE"},
		{request{"GET", "/v2/images/" + id + "/actions/deactivate", nil, ""}, 405, "POST"},
		{request{"OPTIONS", "/v2/nothing", nil, ""}, 404, ""},
		{request{"BREW", "/v2/images", nil, ""}, 501, ""},
		{request{"TRACE", "/v2/nothing", nil, ""}, 501, ""},
	} {
		t.Run(tt.method+" "+tt.path, func(t *testing.T) {
			res := do(h, tt.request)
			if res.Code != tt.code || res.Header().Get("Allow") != tt.allow {
				t.Errorf("%d, Allow %q, want %d, %q: %s", res.Code, res.Header().Get("Allow"), tt.code, tt.allow, res.Body)
			}
			if id := res.Header().Get("X-Openstack-Request-Id"); (id == "") != (tt.code == 300 || tt.code == 302 || strings.HasPrefix(tt.path, "/versions")) {
				t.Errorf("request id %q", id)
			}
			if tt.code == 302 && res.Header().Get("Location") != "http://127.0.0.1:9292/v2/" {
				t.Errorf("redirected to %q", res.Header().Get("Location"))
			}
			if res.Header().Get("Cache-Control") != privateCache {
				t.Errorf("a cache may keep the answer: %q", res.Header().Get("Cache-Control"))
			}
		})
	}
}

func TestVersions(t *testing.T) {
	several := []imageservice.StoreInfo{{ID: "a"}, {ID: "b"}}
	for _, tt := range []struct {
		name   string
		change func(*Config)
		base   string
		want   string
	}{
		{"one store", func(*Config) {}, "http://127.0.0.1:9292", "2.17 2.15 2.9 2.7 2.6 2.5 2.4 2.3 2.2 2.1 2.0"},
		{"several stores", func(c *Config) { c.Stores = several }, "http://127.0.0.1:9292",
			"2.17 2.15 2.13 2.12 2.11 2.10 2.9 2.8 2.7 2.6 2.5 2.4 2.3 2.2 2.1 2.0"},
		{"public endpoint", func(c *Config) { c.PublicURL = "https://images.example/glance/" }, "https://images.example/glance",
			"2.17 2.15 2.9 2.7 2.6 2.5 2.4 2.3 2.2 2.1 2.0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			res := do(newHandler(t, newFake(), tt.change), request{"GET", "/", nil, ""})
			var doc wire.Versions
			if err := json.Unmarshal(res.Body.Bytes(), &doc); err != nil {
				t.Fatal(err)
			}
			var got []string
			for i, v := range doc.Versions {
				got = append(got, strings.TrimPrefix(v.ID, "v"))
				if (v.Status == "CURRENT") != (i == 0) || v.Links[0] != (wire.Link{Rel: "self", Href: tt.base + "/v2/"}) {
					t.Errorf("version %+v", v)
				}
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("versions %s, want %s", strings.Join(got, " "), tt.want)
			}
		})
	}
}

func TestHealthcheck(t *testing.T) {
	down := filepath.Join(t.TempDir(), "down")
	var sick error
	h := newHandler(t, newFake(), func(c *Config) {
		c.DisableFile = down
		c.Ready = func(context.Context) error { return sick }
		c.Auth = refusing{} // no token is needed
	})
	check := func(want int, text string) {
		t.Helper()
		if res := do(h, request{"GET", "/healthcheck", nil, ""}); res.Code != want || res.Body.String() != text {
			t.Errorf("healthcheck = %d %q, want %d %q", res.Code, res.Body, want, text)
		}
	}
	check(200, "OK")
	sick = errors.New("no database")
	check(503, "NOT READY")
	sick = nil
	if err := os.WriteFile(down, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	check(503, "DISABLED BY FILE")
	if res := do(h, request{"POST", "/healthcheck", nil, ""}); res.Code != 405 || res.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("POST = %d %v", res.Code, res.Header())
	}
}

// TestHealthcheckDoesNotHang: a database that does not answer is none that is ready.
func TestHealthcheckDoesNotHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHandler(t, newFake(), func(c *Config) {
			c.Logger = nil
			c.Ready = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		})
		started := time.Now()
		if res := do(h, request{"GET", "/healthcheck", nil, ""}); res.Code != 503 || time.Since(started) != readyTime {
			t.Errorf("healthcheck = %d after %s", res.Code, time.Since(started))
		}
	})
}

// refusing lets nobody in.
type refusing struct{}

func (refusing) Authenticate(*http.Request) (image.Caller, error) {
	return image.Caller{}, image.Errorf(image.ErrUnauthorized, "The request you have made requires authentication.")
}
func (refusing) Challenge() string { return `Keystone uri="http://keystone.example"` }

func TestUnauthorized(t *testing.T) {
	h := newHandler(t, newFake(), func(c *Config) { c.Auth = refusing{} })
	for _, path := range []string{"/v2/images", "/v2/nothing", "/v2/schemas/image"} {
		res := do(h, request{"GET", path, nil, ""})
		if res.Code != 401 || res.Header().Get("WWW-Authenticate") != (refusing{}).Challenge() {
			t.Errorf("GET %s = %d %v", path, res.Code, res.Header())
		}
	}
}

func TestRequestIDs(t *testing.T) {
	h := newHandler(t, newFake())
	made := regexp.MustCompile(`^req-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	for _, tt := range []struct{ sent, want string }{
		{"req-1", "req-1"},
		{"abc", "req-abc"},
		{strings.Repeat("x", 64), "req-" + strings.Repeat("x", 64)},
		{"", ""},
		{"a b\x7f", ""},
	} {
		got := do(h, request{"GET", "/v2/images", header("X-Openstack-Request-Id", tt.sent), ""}).Header().Get("X-Openstack-Request-Id")
		if got != tt.want && (tt.want != "" || !made.MatchString(got)) {
			t.Errorf("request id for %q = %q, want %q", tt.sent, got, tt.want)
		}
	}
	if res := do(h, request{"GET", "/v2/images", header("X-Openstack-Request-Id", strings.Repeat("x", 65)), ""}); res.Code != 431 || !made.MatchString(res.Header().Get("X-Openstack-Request-Id")) {
		t.Errorf("a long request id = %d with the id %q", res.Code, res.Header().Get("X-Openstack-Request-Id"))
	}
}

func TestErrorBodies(t *testing.T) {
	h := newHandler(t, newFake())
	const message = "No image found with ID &lt;x'&gt;"
	for _, tt := range []struct{ accept, contentType, body string }{
		{"", "text/plain; charset=UTF-8", "404 Not Found\n\nNo image found with ID <x'>\n"},
		{"text/plain", "text/plain; charset=UTF-8", "404 Not Found\n\nNo image found with ID <x'>\n"},
		{"application/json", "application/json", `{"message":"No image found with ID \u003cx'\u003e","code":"404 Not Found","title":"Not Found"}`},
		{"application/*;q=0.5, text/plain", "application/json", `{"message":"No image found with ID \u003cx'\u003e","code":"404 Not Found","title":"Not Found"}`},
		{"text/html;q=0.1, */*;q=0.2", "application/json", `{"message":"No image found with ID \u003cx'\u003e","code":"404 Not Found","title":"Not Found"}`},
		{"application/json;q=0", "text/plain; charset=UTF-8", "404 Not Found\n\nNo image found with ID <x'>\n"},
		{"*/*", "text/html; charset=UTF-8", "<html>\n <head>\n  <title>404 Not Found</title>\n </head>\n <body>\n  <h1>404 Not Found</h1>\n  " + message + "<br /><br />\n </body>\n</html>\n"},
		{"text/html", "text/html; charset=UTF-8", "<html>\n <head>\n  <title>404 Not Found</title>\n </head>\n <body>\n  <h1>404 Not Found</h1>\n  " + message + "<br /><br />\n </body>\n</html>\n"},
	} {
		t.Run(tt.accept, func(t *testing.T) {
			req := request{"GET", "/v2/images/%3Cx'%3E", nil, ""}
			if tt.accept != "" {
				req.header = header("Accept", tt.accept)
			}
			res := do(h, req)
			if got := res.Header().Get("Content-Type"); got != tt.contentType || res.Body.String() != tt.body {
				t.Errorf("%s\n%s\nwant %s\n%s", got, res.Body, tt.contentType, tt.body)
			}
		})
	}
}

func FuzzPreferred(f *testing.F) {
	for _, s := range []string{"", "*/*", "text/html;q=0.5,application/json", "a/b;q=x", ";;", `text/html;a="b,c"`, "text/*;q=NaN"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, accept string) {
		got := preferred([]string{accept}, "text/html", "application/json")
		if got != "" && got != "text/html" && got != "application/json" {
			t.Errorf("preferred(%q) = %q", accept, got)
		}
		if q, ok := qualityOf(accept, got); got != "" && ok && q <= 0 {
			t.Errorf("preferred(%q) = %q, which it does not take", accept, got)
		}
	})
}

func TestGate(t *testing.T) {
	h := newHandler(t, newFake(), func(c *Config) {
		c.AllowedHosts = []string{"Images.Example"}
		c.PublicURL = "https://public.example:9292"
	})
	for _, tt := range []struct {
		name, host string
		header     http.Header
		code       int
	}{
		{"address", "127.0.0.1:9292", nil, 200},
		{"address of version 6", "[::1]:9292", nil, 200},
		{"localhost", "LocalHost:9292", nil, 200},
		{"allowed", "images.example", nil, 200},
		{"public endpoint", "public.example", nil, 200},
		{"rebound name", "evil.example:9292", nil, 403},
		{"name that looks like an address", "127.0.0.1.evil.example", nil, 403},
		{"same origin", "127.0.0.1:9292", header("Origin", "http://127.0.0.1:9292"), 200},
		{"other origin", "127.0.0.1:9292", header("Origin", "https://evil.example"), 403},
		{"other port", "127.0.0.1:9292", header("Origin", "http://127.0.0.1:8000"), 403},
		{"opaque origin", "127.0.0.1:9292", header("Origin", "null"), 403},
		{"image in a page", "127.0.0.1:9292", header("Sec-Fetch-Site", "cross-site"), 403},
		{"page of a sibling", "127.0.0.1:9292", header("Sec-Fetch-Site", "same-site"), 403},
		{"own page", "127.0.0.1:9292", header("Sec-Fetch-Site", "same-origin", "Origin", "http://127.0.0.1:9292"), 200},
		{"typed by hand", "127.0.0.1:9292", header("Sec-Fetch-Site", "none"), 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if res := doHost(h, tt.host, tt.header); res.Code != tt.code || res.Header().Get("X-Openstack-Request-Id") == "" {
				t.Errorf("%d %s, %v, want %d", res.Code, res.Body, res.Header(), tt.code)
			}
		})
	}
	socket := httptest.NewRequest("GET", "http://whatever.example/v2/images", nil)
	socket = socket.WithContext(context.WithValue(t.Context(), http.LocalAddrContextKey, &net.UnixAddr{Name: "/run/api.sock", Net: "unix"}))
	rec := httptest.NewRecorder()
	if h.ServeHTTP(rec, socket); rec.Code != 200 {
		t.Errorf("through a unix socket = %d %s", rec.Code, rec.Body)
	}
	guarded := newHandler(t, newFake(), func(c *Config) { c.Auth = tokens{"t": {ProjectID: "p1"}} })
	if res := doHost(guarded, "evil.example", header("X-Auth-Token", "t", "Origin", "https://evil.example")); res.Code != 200 {
		t.Errorf("with authentication = %d %s", res.Code, res.Body)
	}
}

// tokens is an authenticator with fixed tokens; without one, callers are anonymous.
type tokens map[string]image.Caller

func (t tokens) Authenticate(r *http.Request) (image.Caller, error) {
	token := r.Header.Get("X-Auth-Token")
	if token == "" {
		return image.Caller{Anonymous: true}, nil
	}
	caller, ok := t[token]
	if !ok {
		return image.Caller{}, image.ErrUnauthorized
	}
	return caller, nil
}

func (t tokens) AnonymousReads() bool { return true }

func TestNewChecksTheConfig(t *testing.T) {
	f := newFake()
	for _, cfg := range []Config{{}, {Images: f.as}, {Auth: auth.NewNone("")}, {Images: f.as, Auth: auth.NewNone(""), PublicURL: "images.example"},
		{Images: f.as, Auth: auth.NewNone(""), PublicURL: "https://images.example/?a=b"}, {Images: f.as, Auth: auth.NewNone(""), PublicURL: "https://u:p@images.example"}} {
		if _, err := New(cfg); err == nil {
			t.Errorf("New(%+v) succeeds", cfg)
		}
	}
}
