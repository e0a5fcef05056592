//go:build ceph

package daemon_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/client"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore/storetest"
	"github.com/vitrine-image/vitrine/internal/testdaemon"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// eventually asks until the answer is yes.
func eventually(t *testing.T, what string, ask func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ask(); {
		if time.Now().After(deadline) {
			t.Fatalf("it did not come to this: %s", what)
		}
	}
}

// wantBack downloads an image as soon as its store is back, which says until then that it is away.
func wantBack(t *testing.T, d *testdaemon.Daemon, id image.ID, data []byte) {
	t.Helper()
	eventually(t, "the cluster is back", func() bool {
		_, err := fetchData(t, d.Client, id)
		if err != nil && !errors.Is(err, image.ErrStoreOffline) {
			t.Fatalf("Download from a cluster that comes back = %v", err)
		}
		return err == nil
	})
	wantDownload(t, d.Client, id, data)
}

// trashNames returns what waits in the pool's trash.
func trashNames(t *testing.T, c *testservers.Ceph) (names []string) {
	t.Helper()
	var list []struct{ Name string }
	inPool(t, c, &list, "trash", "ls", "images")
	for _, e := range list {
		names = append(names, e.Name)
	}
	return names
}

// wantGone waits until an image is no longer in the pool, nor in its trash.
func wantGone(t *testing.T, c *testservers.Ceph, name string) {
	t.Helper()
	eventually(t, "the pool holds nothing of "+name, func() bool {
		return !slices.Contains(poolNames(t, c), name) && !slices.Contains(trashNames(t, c), name)
	})
}

// sweepNow lets a daemon look for what can be removed.
func sweepNow(t *testing.T, d *testdaemon.Daemon) {
	t.Helper()
	if err := syscall.Kill(d.Pid(), syscall.SIGUSR1); err != nil {
		t.Error(err)
	}
}

// wantStatus waits until an image has the status.
func wantStatus(t *testing.T, c *client.Client, id image.ID, want image.Status) {
	t.Helper()
	eventually(t, "image "+string(id)+" is "+string(want), func() bool {
		img, err := c.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return img.Status == want
	})
}

// wantCode compares the status of an answer.
func wantCode(t *testing.T, what string, err error, code int) {
	t.Helper()
	var refused *client.Error
	if !errors.As(err, &refused) || refused.Status != code {
		t.Errorf("%s = %v, want %d", what, err, code)
	}
}

// uploading returns the names of what is being uploaded to the pool, or was left by an upload.
func uploading(t *testing.T, c *testservers.Ceph) []string {
	t.Helper()
	return slices.DeleteFunc(poolNames(t, c), func(name string) bool { return !strings.HasPrefix(name, "vitrine-upload-") })
}

// A half is an upload to Ceph of which a part lies there.
type half struct {
	id   image.ID
	name string // in the pool
	body io.WriteCloser
	done <-chan error
}

// beginUpload uploads the beginning of an image. What is written to its body is the rest.
func beginUpload(t *testing.T, d *testdaemon.Daemon, c *testservers.Ceph, beginning []byte) half {
	t.Helper()
	before := uploading(t, c)
	h := half{id: newQueued(t, d.Client, "raw")}
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := d.Client.Upload(context.WithoutCancel(t.Context()), h.id, client.Upload{Body: r, Size: -1, Store: "ceph"})
		r.CloseWithError(errors.New("the upload has ended"))
		ended <- err
	}()
	h.body, h.done = w, ended
	if _, err := w.Write(beginning); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the upload lies in the pool", func() bool {
		for _, name := range uploading(t, c) {
			if !slices.Contains(before, name) {
				h.name = name
			}
		}
		return h.name != ""
	})
	return h
}

// killInUpload leaves half an image in the pool, and returns the address of its dead writer, too, which the cluster remembers.
func killInUpload(t *testing.T, d *testdaemon.Daemon, c *testservers.Ceph) (h half, writer string) {
	t.Helper()
	h = beginUpload(t, d, c, storetest.Random(9<<20))
	writer, err := c.Watcher(t.Context(), h.name)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Kill(); err != nil {
		t.Error(err)
	}
	h.body.Close()
	if err := <-h.done; err == nil {
		t.Error("an upload to a daemon that is killed succeeds")
	}
	return h, writer
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func launch(t *testing.T, cfg testdaemon.Config) *testdaemon.Daemon {
	t.Helper()
	d, err := testdaemon.Launch(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestStartWithoutCluster: the daemon waits for nothing in Ceph, and once the cluster is there it cleans up by itself after what
// was before.
func TestStartWithoutCluster(t *testing.T) {
	c := testservers.SharedCeph(t)
	dir := t.TempDir()
	cfg := testdaemon.Config{Dir: dir, TOML: strings.ReplaceAll(withCeph(c, dir), `timeout = "3s"`, `timeout = "30s"`)}
	d := launch(t, cfg)
	data := storetest.Random(1 << 20)
	near, far, deleted := newDiskIn(t, d.Client, "local", data), newDiskIn(t, d.Client, "ceph", data), newDiskIn(t, d.Client, "ceph", data)
	cut, writer := killInUpload(t, d, c)
	must(t, c.ShutOut(t.Context(), writer))
	resume, err := c.PauseMon()
	must(t, err)
	t.Cleanup(resume)
	began := time.Now()
	d = launch(t, cfg)
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("the start took %s", took)
	}
	wantDownload(t, d.Client, near, data)
	wantStatus(t, d.Client, cut.id, image.Saving)
	resume()
	wantBack(t, d, far, data)
	wantStatus(t, d.Client, cut.id, image.Queued)
	wantGone(t, c, cut.name)
	must(t, d.Stop())

	must(t, c.StopMon())
	cfg.TOML = withCeph(c, dir)
	d = testdaemon.Start(t, cfg)
	wantDownload(t, d.Client, near, data)
	_, err = fetchData(t, d.Client, far)
	wantCode(t, "Download from a cluster that is away", err, 503)
	images := 0
	for _, err := range d.Client.List(t.Context(), image.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		images++
	}
	if images != 4 {
		t.Errorf("%d images are listed, want 4", images)
	}
	newDiskIn(t, d.Client, "local", data)
	if err := d.Client.Delete(t.Context(), deleted); err != nil {
		t.Errorf("Delete while the cluster is away = %v", err)
	}
	waitForLog(t, d, `"job":"sweep ceph"`)
	must(t, c.StartMon(t.Context()))
	wantBack(t, d, far, data)
	wantGone(t, c, string(deleted))
	newDiskIn(t, d.Client, "ceph", data)
	waitForLog(t, d, `"msg":"a job works again","job":"sweep ceph"`)
}
