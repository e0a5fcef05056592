package api

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"testing"

	"github.com/vitrine-image/vitrine/image"
)

// TestRecordable refuses to write anything down: every operation that has a record is refused before it is carried out, and
// what is only looked at goes on.
func TestRecordable(t *testing.T) {
	f := newFake()
	id := string(f.add(image.Image{Owner: "p1"}, "data"))
	h := newHandler(t, f, func(c *Config) {
		c.Recordable = func() error { return image.Errorf(image.ErrUnavailable, "No paper.") }
	})
	refused := 0
	for _, rt := range slices.Concat(routes, metadefRoutes, cacheRoutes) {
		path := regexp.MustCompile(`:[a-z]+`).ReplaceAllString(rt.path, id)
		want := rt.method != "GET" || slices.Contains([]string{"/v2/images/:image/file", "/v2/images/:image/locations"}, rt.path)
		res := do(h, request{rt.method, path, nil, ""})
		if got := res.Code == http.StatusServiceUnavailable; got != want {
			t.Errorf("%s %s: %d %s, want it refused: %v", rt.method, rt.path, res.Code, res.Body, want)
		}
		if want {
			refused++
		}
	}
	if refused < 30 {
		t.Errorf("only %d operations are refused", refused)
	}
	if img := f.images[image.ID(id)]; img == nil {
		t.Error("the image was deleted")
	}
}

func TestClientAddress(t *testing.T) {
	proxies, err := ParseProxies([]string{"10.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ peer, forwarded, want string }{
		{"192.0.2.1:9", "", "192.0.2.1"},
		{"[2001:db8::1]:9", "", "2001:db8::1"},
		{"192.0.2.1:9", "6.6.6.6", "192.0.2.1"},
		{"10.0.0.1:9", "192.0.2.7", "192.0.2.7"},
		{"@", "", "invalid IP"}, // a unix socket
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = tt.peer
		r.Header.Set("X-Forwarded-For", tt.forwarded)
		if got := proxies.address(r).String(); got != tt.want {
			t.Errorf("the client at %s, forwarded for %q, is %s, want %s", tt.peer, tt.forwarded, got, tt.want)
		}
	}
}
