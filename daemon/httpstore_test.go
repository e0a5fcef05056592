package daemon_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/client"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore/storetest"
	"github.com/vitrine-image/vitrine/internal/testdaemon"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// withWeb is a configuration with a store on the web, which may be this machine.
func withWeb(dir string) string {
	return fmt.Sprintf(`[stores.local]
path = %q
default = true
[stores.web]
type = "http"
description = "what others serve"
[outgoing]
allow_networks = ["127.0.0.0/8"]
allowed_ports = []
`, filepath.Join(dir, "images"))
}

// newQueued makes an image without data.
func newQueued(t *testing.T, c *client.Client, format string) image.ID {
	t.Helper()
	img, err := c.Create(t.Context(), "", []image.Edit{{Op: image.EditAdd, Name: "disk_format", Value: format},
		{Op: image.EditAdd, Name: "container_format", Value: "bare"}})
	if err != nil {
		t.Fatal(err)
	}
	return img.ID
}

// waitForTask asks until the newest task of an image has ended.
func waitForTask(t *testing.T, c *client.Client, id image.ID) image.Task {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		tasks, err := c.ImageTasks(ctx, id)
		if err == nil && len(tasks) > 0 && tasks[0].Status.Ended() {
			return *tasks[0]
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("the tasks are %+v, %v", tasks, err)
		}
	}
}

// TestDataOnTheWeb reads an image through the mount that lies on a web server, at random places and as a whole.
func TestDataOnTheWeb(t *testing.T) {
	testservers.Require(t, "fuse")
	data := storetest.Random(9<<20 + 777)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	}))
	defer web.Close()
	dir := t.TempDir()
	d := testdaemon.Start(t, testdaemon.Config{Dir: dir, Mount: true, TOML: withWeb(dir)})
	id := newQueued(t, d.Client, "raw")
	if err := d.Client.AddLocation(t.Context(), id, image.NewLocation{URL: web.URL + "/disk.raw"}); err != nil {
		t.Fatal(err)
	}
	if task := waitForTask(t, d.Client, id); task.Status != image.TaskSuccess {
		t.Fatalf("the task is %+v", task)
	}
	path := filepath.Join(d.Mount, "by-id", string(id), "disk.raw")
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	random := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		off := random.Int64N(int64(len(data)) - 1)
		p := make([]byte, 1+random.Int64N(min(100_000, int64(len(data))-off)))
		if n, err := f.ReadAt(p, off); err != nil || !bytes.Equal(p[:n], data[off:off+int64(n)]) {
			t.Fatalf("ReadAt(%d bytes, %d) = %d, %v, or other bytes", len(p), off, n, err)
		}
	}
	check := exec.CommandContext(t.Context(), "timeout", "-s", "KILL", "60", "sha512sum", "-c", "sha512sum")
	check.Dir = filepath.Dir(path)
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("sha512sum: %v\n%s", err, out)
	}
	stores, err := d.Client.Stores(t.Context())
	if err != nil || len(stores) != 2 || stores[0].ReadOnly || !stores[1].ReadOnly || stores[1].ID != "web" {
		t.Errorf("Stores = %+v, %v", stores, err)
	}
	if text := d.Log(); strings.Contains(text, "disk.raw") {
		t.Errorf("the log tells the URL: %s", text)
	}
}

// TestWebServersLeadNowhere: what may name other files is opened in the mount only from servers that are trusted.
func TestWebServersLeadNowhere(t *testing.T) {
	testservers.Require(t, "fuse")
	disk := filepath.Join(t.TempDir(), "disk.qcow2")
	if out, err := exec.CommandContext(t.Context(), "qemu-img", "create", "-q", "-f", "qcow2", disk, "1M").CombinedOutput(); err != nil {
		t.Fatalf("qemu-img: %v\n%s", err, out)
	}
	data, err := os.ReadFile(disk)
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	}))
	defer web.Close()
	for _, trusted := range []bool{false, true} {
		t.Run(fmt.Sprintf("trusted=%v", trusted), func(t *testing.T) {
			dir := t.TempDir()
			config := strings.Replace(withWeb(dir), `type = "http"`, fmt.Sprintf("type = \"http\"\ntrusted = %v", trusted), 1)
			d := testdaemon.Start(t, testdaemon.Config{Dir: dir, Mount: true, TOML: config})
			id := newQueued(t, d.Client, "qcow2")
			if err := d.Client.AddLocation(t.Context(), id, image.NewLocation{URL: web.URL + "/disk"}); err != nil {
				t.Fatal(err)
			}
			if task := waitForTask(t, d.Client, id); task.Status != image.TaskSuccess {
				t.Fatalf("the task is %+v", task)
			}
			got, err := os.ReadFile(filepath.Join(d.Mount, "by-id", string(id), "image.qcow2"))
			if trusted && (err != nil || !bytes.Equal(got, data)) {
				t.Errorf("reading it gives %d bytes, %v", len(got), err)
			}
			if !trusted && !errors.Is(err, fs.ErrPermission) {
				t.Errorf("reading it gives %d bytes, %v, want a refusal", len(got), err)
			}
			view, err := os.ReadFile(filepath.Join(d.Mount, "by-id", string(id), "disk.raw")) // leads nowhere: the daemon reads it
			if err != nil || !bytes.Equal(view, make([]byte, 1<<20)) {
				t.Errorf("reading its raw view gives %d bytes, %v", len(view), err)
			}
			sent, err := d.Client.Download(t.Context(), id, client.DownloadOptions{})
			if err != nil {
				t.Fatalf("downloading it gives %v", err)
			}
			defer sent.Close()
			if got, err := io.ReadAll(sent); err != nil || !bytes.Equal(got, data) {
				t.Errorf("downloading it gives %d bytes, %v", len(got), err)
			}
		})
	}
}

// TestWebServerAway answers that the store is offline, and goes on with all else.
func TestWebServerAway(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader("data"))
	}))
	defer web.Close()
	dir := t.TempDir()
	d := testdaemon.Start(t, testdaemon.Config{Dir: dir, TOML: withWeb(dir) + "[images]\nhttp_retries = 0\n"})
	id := newQueued(t, d.Client, "raw")
	if err := d.Client.AddLocation(t.Context(), id, image.NewLocation{URL: web.URL}); err != nil {
		t.Fatal(err)
	}
	waitForTask(t, d.Client, id)
	web.Close()
	if _, err := d.Client.Download(t.Context(), id, client.DownloadOptions{}); err == nil || !strings.Contains(err.Error(), "offline") {
		t.Errorf("Download = %v, want that the store is offline", err)
	}
	if _, err := d.Client.Get(t.Context(), id); err != nil {
		t.Errorf("Get = %v", err)
	}
	newDisk(t, d.Client, "other", []byte("data"))
}

// TestLocationAfterAKill takes up what the daemon was about to do when it was killed.
func TestLocationAfterAKill(t *testing.T) {
	data := storetest.Random(4 << 20)
	asked, killed := make(chan struct{}, 100), make(chan struct{})
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.Header.Get("Range"), "bytes=3145728-") { // the last piece
			asked <- struct{}{}
			<-killed
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	}))
	defer web.Close()
	dir := t.TempDir()
	cfg := testdaemon.Config{Dir: dir, TOML: withWeb(dir)}
	d, err := testdaemon.Launch(cfg)
	if err != nil {
		t.Fatal(err)
	}
	id := newQueued(t, d.Client, "raw")
	if err := d.Client.AddLocation(t.Context(), id, image.NewLocation{URL: web.URL}); err != nil {
		t.Fatal(err)
	}
	<-asked
	if err := d.Kill(); err != nil {
		t.Error(err)
	}
	close(killed)
	d = testdaemon.Start(t, cfg)
	if task := waitForTask(t, d.Client, id); task.Status != image.TaskSuccess {
		t.Errorf("the task is %+v", task)
	}
	if img, err := d.Client.Get(t.Context(), id); err != nil || img.Status != image.Active || img.HashValue == "" {
		t.Errorf("the image is %+v, %v", img, err)
	}
}
