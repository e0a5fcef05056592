package daemon_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/client"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/testdaemon"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// TestKillImports kills the daemon at random moments of imports, again and again on the same data. Every import that was
// accepted ends with an active image, and nothing is left in the staging area but what waits for one.
func TestKillImports(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write(dataOf(image.ID(r.URL.Path[1:]), 1<<20))
	}))
	defer srv.Close()
	dir := t.TempDir()
	cfg := testdaemon.Config{Dir: dir, TOML: `
[outgoing]
allow_networks = ["127.0.0.1"]
allowed_ports = []
[stores.one]
type = "file"
path = "` + filepath.Join(dir, "one") + `"
default = true
[stores.two]
type = "file"
path = "` + filepath.Join(dir, "two") + `"
`}
	accepted := map[image.ID]bool{}
	for range testservers.Rounds(t, 5) {
		d, err := testdaemon.Launch(cfg)
		if err != nil {
			t.Fatal(err)
		}
		settleImports(t, d, accepted, dir)
		if t.Failed() {
			t.Fatalf("the daemon's log:\n%s", d.Log())
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan []image.ID, 1)
		go func() { done <- importUntilItEnds(ctx, d.Client, srv.URL) }()
		<-time.After(time.Duration(rand.Int64N(int64(400 * time.Millisecond))))
		if err := d.Kill(); err != nil {
			t.Error(err)
		}
		stop()
		for _, id := range <-done {
			accepted[id] = true
		}
	}
	settleImports(t, testdaemon.Start(t, cfg), accepted, dir)
}

// importUntilItEnds imports images one after the other, by each method, and returns those whose import was accepted.
func importUntilItEnds(ctx context.Context, c *client.Client, url string) (accepted []image.ID) {
	for i := 0; ; i++ {
		id := image.NewID()
		var err error
		if i%4 == 3 {
			_, err = c.CreateTask(ctx, image.TaskImport, map[string]any{"import_from": url + "/" + string(id), "import_from_format": "raw",
				"image_properties": map[string]any{"id": id}})
		} else {
			err = createAndImport(ctx, c, id, i, url)
		}
		if err != nil {
			return accepted
		}
		accepted = append(accepted, id)
	}
}

// createAndImport imports an image into one store or into both, from a URL or from the staging area.
func createAndImport(ctx context.Context, c *client.Client, id image.ID, i int, url string) error {
	_, err := c.Create(ctx, id, []image.Edit{{Op: image.EditAdd, Name: "disk_format", Value: "raw"},
		{Op: image.EditAdd, Name: "container_format", Value: "bare"}})
	if err != nil {
		return err
	}
	imp := image.Import{Method: image.ImportURL, URL: url + "/" + string(id), AllStores: i%2 == 0}
	if i%3 == 0 {
		imp.Method, imp.URL = image.ImportStaged, ""
		if err := c.Stage(ctx, id, client.Upload{Body: bytes.NewReader(dataOf(id, 1<<20)), Size: 1 << 20}); err != nil {
			return err
		}
	}
	return c.Import(ctx, id, imp)
}

// settleImports waits until every import has ended, and looks at what there is then.
func settleImports(t *testing.T, d *testdaemon.Daemon, accepted map[image.ID]bool, dir string) {
	t.Helper()
	stores := map[string]map[string]bool{"one": {}, "two": {}, "data/staging": {}}
	listed := 0
	for img, err := range d.Client.List(t.Context(), image.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(time.Minute); img.Status == image.Importing && time.Now().Before(end); {
			if img, err = d.Client.Get(t.Context(), img.ID); err != nil {
				t.Fatal(err)
			}
		}
		e := expected{size: 1 << 20}
		switch {
		case img.Status == image.Uploading:
			stores["data/staging"][string(img.ID)] = true
		case img.Status == image.Active:
			if problem := e.compareBytes(t.Context(), d.Client, img.ID); problem != "" {
				t.Errorf("image %s: %s", img.ID, problem)
			}
			for _, loc := range img.Locations {
				stores[loc.Store][string(img.ID)] = true
			}
		}
		if accepted[img.ID] {
			listed++
			if img.Status != image.Active {
				t.Errorf("image %s is %s, and its import was accepted: %q", img.ID, img.Status, img.Properties)
			}
		}
	}
	if listed != len(accepted) {
		t.Errorf("%d imports were accepted, and %d of their images are there", len(accepted), listed)
	}
	for store, objects := range stores {
		wantObjects(t, filepath.Join(dir, store), objects)
	}
}
