package client_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/client"
	"github.com/vitrine-image/vitrine/image"
)

// TestCache talks to what stands in for a Glance that has a cache, and keeps what it is asked for.
func TestCache(t *testing.T) {
	id := image.NewID()
	var asked []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		line := r.Method + " " + r.URL.Path
		if target := r.Header.Get("x-image-cache-clear-target"); target != "" {
			line += " " + target
		}
		asked = append(asked, line)
		switch r.Method {
		case http.MethodGet:
			io.WriteString(w, `{"cached_images":[{"image_id":"`+string(id)+`","hits":3,"last_accessed":1700000000.5,"last_modified":1600000000.25,"size":7}],"queued_images":["q"]}`)
		case http.MethodPut:
			w.WriteHeader(http.StatusAccepted)
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	}))
	defer srv.Close()
	c, err := client.New(client.Config{Endpoint: srv.URL, Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got, err := c.Cache(t.Context())
	want := wire.Cache{Cached: []wire.CachedImage{{ID: id, Hits: 3, Size: 7, LastAccessed: 1700000000.5, LastModified: 1600000000.25}}, Queued: []image.ID{"q"}}
	if have, _ := json.Marshal(got); err != nil || string(have) != mustJSON(t, want) {
		t.Errorf("Cache = %s, %v, want %s", have, err, mustJSON(t, want))
	}
	for _, err := range []error{
		c.QueueForCache(t.Context(), id), c.RemoveFromCache(t.Context(), id), c.ClearCache(t.Context(), client.WholeCache),
		c.ClearCache(t.Context(), client.CachedImages), c.ClearCache(t.Context(), client.QueuedImages),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	path := "/v2/cache/" + string(id)
	if want := []string{"GET /v2/cache", "PUT " + path, "DELETE " + path, "DELETE /v2/cache", "DELETE /v2/cache cache", "DELETE /v2/cache queue"}; !slices.Equal(asked, want) {
		t.Errorf("the server was asked for %q, want %q", asked, want)
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	doc, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(doc)
}

// TestNoCache: a server without a cache says 404 to everything about it.
func TestNoCache(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	c, err := client.New(client.Config{Endpoint: srv.URL, Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = c.Cache(t.Context())
	for _, err := range []error{err, c.QueueForCache(t.Context(), image.NewID()), c.ClearCache(t.Context(), client.WholeCache)} {
		if !errors.Is(err, client.ErrNoCache) || !errors.Is(err, image.ErrNotFound) {
			t.Errorf("a server without a cache: %v", err)
		}
	}
}
