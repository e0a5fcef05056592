package api

import (
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// TestVarnish puts a cache that knows nothing of tokens before the API: it may keep what everybody may read, and
// nothing else, whoever asks first.
func TestVarnish(t *testing.T) {
	testservers.Require(t, "varnish")
	f := newFake()
	owner := image.Caller{ProjectID: "p1"}
	srv := serve(t, newHandler(t, f, func(c *Config) { c.Auth = tokens{"owner": owner, "other": {ProjectID: "p2"}} }))
	dir, err := os.MkdirTemp("", "varnish") // short enough for a unix socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	cache, err := testservers.Varnish(t.Context(), dir, srv.Listener.Addr().String(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cache.Stop(); err != nil {
			t.Error(err)
		}
	})
	get := func(path, token, byteRange string) (int, string) {
		t.Helper()
		req, err := http.NewRequest("GET", cache.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			req.Header.Set("X-Auth-Token", token)
		}
		if byteRange != "" {
			req.Header.Set("Range", byteRange)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(body)
	}
	opens := func() int {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.opens
	}

	t.Run("what is public is kept", func(t *testing.T) {
		id := f.add(image.Image{Visibility: image.Public, Owner: "p1"}, "public data")
		path, before := "/v2/images/"+string(id)+"/file", opens()
		for _, token := range []string{"", "owner", "other", ""} {
			if code, body := get(path, token, ""); code != 200 || body != "public data" {
				t.Errorf("token %q: %d %q", token, code, body)
			}
		}
		if code, body := get(path, "", "bytes=7-"); code != 206 || body != "data" {
			t.Errorf("a range = %d %q", code, body)
		}
		if n := opens() - before; n != 1 {
			t.Errorf("the cache asked %d times for the data", n)
		}
	})

	for _, visibility := range []image.Visibility{image.Private, image.Shared, image.Community} {
		t.Run("what is "+string(visibility)+" is not", func(t *testing.T) {
			id := f.add(image.Image{Visibility: visibility, Owner: "p1", Properties: map[string]string{"secret": "yes"}}, "secret data")
			path := "/v2/images/" + string(id)
			for round := range 2 {
				for _, first := range []string{"", "owner"} { // neither the refusal nor the data may be kept
					for _, token := range []string{first, "owner", "", "other", ""} {
						mayRead := token == "owner" || token == "other" && visibility == image.Community
						for _, what := range []string{path, path + "/file"} {
							code, body := get(what, token, "")
							if (code == 200) != mayRead || mayRead != strings.Contains(body, "secret") {
								t.Errorf("round %d, token %q: GET %s = %d %q", round, token, what, code, body)
							}
						}
					}
				}
				for token, sees := range map[string]bool{"owner": true, "": false} {
					if _, body := get("/v2/images", token, ""); strings.Contains(body, string(id)) != sees {
						t.Errorf("the list for token %q: %s", token, body)
					}
				}
			}
		})
	}

	t.Run("deactivated data is not", func(t *testing.T) {
		id := f.add(image.Image{Visibility: image.Public, Owner: "p1", Status: image.Deactivated}, "bad data")
		for range 2 {
			if code, _ := get("/v2/images/"+string(id)+"/file", "owner", ""); code != http.StatusForbidden {
				t.Errorf("a member downloads it: %d", code)
			}
		}
	})

	t.Run("a wrong token is not", func(t *testing.T) {
		for range 2 {
			if code, _ := get("/v2/images", "forged", ""); code != http.StatusUnauthorized {
				t.Errorf("a forged token = %d", code)
			}
			if code, _ := get("/v2/images", "", ""); code != http.StatusOK {
				t.Errorf("nobody's list = %d", code)
			}
		}
	})
}
