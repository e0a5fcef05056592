//go:build ceph

package daemon_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
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

// withoutCache lets every read of the mount go to the cluster.
func withoutCache(t *testing.T, dir string) {
	t.Helper()
	must(t, os.Mkdir(filepath.Join(dir, "conf.d"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "conf.d", "cache.toml"), []byte("[mount]\ncache_size = \"0B\"\n"), 0o644))
}

// openDisk opens an image in the mount, past the kernel's cache.
func openDisk(t *testing.T, d *testdaemon.Daemon, id image.ID) *os.File {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(d.Mount, "by-id", string(id), "disk.raw"), os.O_RDONLY|syscall.O_DIRECT, 0)
	must(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

// readSize is how much readRight reads: less than is read ahead for.
const readSize = 64 << 10

// readRight reads at off, and ends the test if what comes is neither an error nor the bytes that were uploaded.
func readRight(t *testing.T, f *os.File, data []byte, off int) error {
	t.Helper()
	p := make([]byte, readSize)
	n, err := f.ReadAt(p, int64(off))
	if !bytes.Equal(p[:n], data[off:off+n]) || err == nil && n < len(p) {
		t.Fatalf("a read of the mount at %d gives %d other bytes, %v", off, n, err)
	}
	return err
}

// TestClusterThatFails goes through what a cluster can do in the middle of an upload and of a guest's reads: it stands still for
// a while, dies and comes back, goes away for longer than the store waits, and is full.
func TestClusterThatFails(t *testing.T) {
	testservers.Require(t, "fuse")
	c := testservers.OwnCeph(t)
	dir := t.TempDir()
	withoutCache(t, dir)
	cfg := testdaemon.Config{Dir: dir, Mount: true, TOML: strings.ReplaceAll(withCeph(c, dir), `timeout = "3s"`, `timeout = "60s"`)}
	d := launch(t, cfg)
	data := storetest.Random(16 << 20)
	far := newDiskIn(t, d.Client, "ceph", data)
	for _, fail := range []func() error{
		func() error {
			resume, err := c.PauseOSD()
			time.AfterFunc(3*time.Second, resume)
			return err
		},
		func() error { c.KillOSD(); return c.StartOSD() },
	} {
		up, f := beginUpload(t, d, c, data[:9<<20]), openDisk(t, d, far)
		must(t, readRight(t, f, data, 0))
		must(t, fail())
		go func() {
			up.body.Write(data[9<<20:]) // fails with the upload
			up.body.Close()
		}()
		must(t, readRight(t, f, data, 12<<20))
		must(t, <-up.done)
		wantDownload(t, d.Client, up.id, data)
		must(t, f.Close())
	}
	must(t, d.Stop())

	cfg.TOML = withCeph(c, dir)
	d = testdaemon.Start(t, cfg)
	near := newDiskIn(t, d.Client, "local", data)
	up, f := beginUpload(t, d, c, data[:9<<20]), openDisk(t, d, far)
	must(t, readRight(t, f, data, 0))
	must(t, c.StopMon())
	c.KillOSD()
	began := time.Now()
	if err := readRight(t, f, data, 12<<20); !errors.Is(err, syscall.EHOSTDOWN) && !errors.Is(err, syscall.ETIMEDOUT) {
		t.Errorf("a read of the mount while the cluster is away = %v", err)
	}
	_, err := fetchData(t, d.Client, far)
	wantCode(t, "Download while the cluster is away", err, 503)
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("two reads of a cluster that is away took %s", took)
	}
	wantDownload(t, d.Client, near, data)
	began = time.Now()
	up.body.Write(data[9<<20:]) // fails with the upload
	up.body.Close()
	wantCode(t, "Upload while the cluster is away", <-up.done, 503)
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("the upload to a cluster that is away took %s more", took)
	}
	wantStatus(t, d.Client, up.id, image.Queued)

	must(t, c.StartMon(t.Context()))
	must(t, c.StartOSD())
	eventually(t, "the open file is read again", func() bool { return readRight(t, f, data, 12<<20) == nil })
	wantBack(t, d, far, data)
	must(t, upload(t, d, up.id, data))
	wantDownload(t, d.Client, up.id, data)

	spare := newDiskIn(t, d.Client, "ceph", data)
	must(t, c.SetFull(t.Context(), 0.0001))
	refused := wantFull(t, d, data)
	must(t, readRight(t, f, data, 14<<20))
	wantDownload(t, d.Client, far, data)
	must(t, d.Client.Delete(t.Context(), spare))
	if slices.Contains(poolNames(t, c), string(spare)) {
		t.Error("an image that was deleted is still in the full pool")
	}
	must(t, c.SetFull(t.Context(), 0.95))
	eventually(t, "the upload that was refused succeeds", func() bool { return upload(t, d, refused, data) == nil })
	wantDownload(t, d.Client, refused, data)
	eventually(t, "no upload has left anything", func() bool {
		sweepNow(t, d)
		return len(uploading(t, c)) == 0
	})
}

func upload(t *testing.T, d *testdaemon.Daemon, id image.ID, data []byte) error {
	return d.Client.Upload(t.Context(), id, client.Upload{Body: bytes.NewReader(data), Size: int64(len(data)), Store: "ceph"})
}

// wantFull uploads until the store refuses an image for want of room, which is queued again then.
func wantFull(t *testing.T, d *testdaemon.Daemon, data []byte) (refused image.ID) {
	t.Helper()
	eventually(t, "an upload is refused", func() bool { // the cluster notices some seconds later
		refused = newQueued(t, d.Client, "raw")
		err := upload(t, d, refused, data)
		if err == nil {
			must(t, d.Client.Delete(t.Context(), refused))
			return false
		}
		wantCode(t, "Upload to a full store", err, 413)
		return true
	})
	if img, err := d.Client.Get(t.Context(), refused); err != nil || img.Status != image.Queued || img.Size != nil {
		t.Errorf("the image that was refused is %+v, %v, want it queued", img, err)
	}
	return refused
}

// TestPoolQuota is met by uploads, and by nothing else.
func TestPoolQuota(t *testing.T) {
	c := testservers.SharedCeph(t)
	dir := t.TempDir()
	d := testdaemon.Start(t, testdaemon.Config{Dir: dir, TOML: strings.ReplaceAll(withCeph(c, dir), `pool = "images"`, `pool = "small"`)})
	data := storetest.Random(600_000)
	first := newDiskIn(t, d.Client, "ceph", data)
	_, err := c.Ceph(t.Context(), "osd", "pool", "set-quota", "small", "max_bytes", "500000")
	must(t, err)
	quota := func(bytes string) {
		_, err := c.Ceph(context.Background(), "osd", "pool", "set-quota", "small", "max_bytes", bytes)
		must(t, err)
	}
	t.Cleanup(func() { quota("0") })
	refused := wantFull(t, d, data)
	wantDownload(t, d.Client, first, data)
	must(t, d.Client.Delete(t.Context(), first))
	var left []string
	if inPool(t, c, &left, "ls", "small"); len(left) > 0 {
		t.Errorf("the pool holds %v, want nothing", left)
	}
	quota("0")
	eventually(t, "the upload that was refused succeeds", func() bool { return upload(t, d, refused, data) == nil })
	must(t, d.Client.Delete(t.Context(), refused))
}

// TestRemovedUnderTheMount takes the data of an image away by Ceph's own commands while a guest reads it: it gets errors.
func TestRemovedUnderTheMount(t *testing.T) {
	testservers.Require(t, "fuse")
	c := testservers.SharedCeph(t)
	dir := t.TempDir()
	withoutCache(t, dir)
	d := testdaemon.Start(t, testdaemon.Config{Dir: dir, Mount: true, TOML: withCeph(c, dir)})
	data := storetest.Random(16 << 20)
	id := newDiskIn(t, d.Client, "ceph", data)
	f := openDisk(t, d, id)
	must(t, readRight(t, f, data, 0))
	for _, args := range [][]string{{"unprotect"}, {"rm", "--no-progress"}} {
		_, err := c.RBD(t.Context(), "images", slices.Concat([]string{"snap"}, args, []string{"images/" + string(id) + "@snap"})...)
		must(t, err)
	}
	off := 0
	eventually(t, "reads of the mount fail", func() bool {
		off = (off + readSize) % len(data)
		err := readRight(t, f, data, off)
		if err != nil && !errors.Is(err, syscall.ENODATA) {
			t.Errorf("a read of the mount = %v, want %v", err, syscall.ENODATA)
		}
		return err != nil
	})
	_, err := fetchData(t, d.Client, id)
	wantCode(t, "Download of what was removed", err, 503)
	must(t, f.Close())
	must(t, d.Client.Delete(t.Context(), id))
}

// TestDeletedByASecondDaemon: two daemons know the same images, as when one was started from a copy of the other's data. What one
// deletes the other one goes on reading, and so does a cluster that takes a dead daemon for one that reads. It waits in the trash.
func TestDeletedByASecondDaemon(t *testing.T) {
	testservers.Require(t, "fuse")
	c := testservers.SharedCeph(t)
	dir, copied := t.TempDir(), t.TempDir()
	withoutCache(t, dir)
	cfg := testdaemon.Config{Dir: dir, Mount: true, TOML: withCeph(c, dir)}
	first := launch(t, cfg)
	data := storetest.Random(16 << 20)
	id := newDiskIn(t, first.Client, "ceph", data)
	must(t, first.Stop())
	must(t, os.CopyFS(filepath.Join(copied, "data"), os.DirFS(filepath.Join(dir, "data"))))
	must(t, os.CopyFS(filepath.Join(copied, "images"), os.DirFS(filepath.Join(dir, "images"))))
	first = launch(t, cfg)
	second := testdaemon.Start(t, testdaemon.Config{Dir: copied, TOML: withCeph(c, copied)})
	f := openDisk(t, first, id)
	must(t, readRight(t, f, data, 0))
	reader, err := c.Watcher(t.Context(), string(id))
	must(t, err)
	must(t, second.Client.Delete(t.Context(), id))
	wantTrashed := func() {
		t.Helper()
		if names := trashNames(t, c); !slices.Contains(names, string(id)) || slices.Contains(poolNames(t, c), string(id)) {
			t.Errorf("the trash holds %v, want the image that is read", names)
		}
	}
	wantTrashed()
	for off := 0; off < len(data); off += 1 << 20 {
		must(t, readRight(t, f, data, off))
	}
	cut, writer := killInUpload(t, first, c)
	sweepNow(t, second)
	first = testdaemon.Start(t, cfg)
	wantStatus(t, first.Client, cut.id, image.Queued)
	wantTrashed()
	if names := uploading(t, c); !slices.Contains(names, cut.name) {
		t.Errorf("the pool holds %v, want what a writer is doing who may be alive", names)
	}
	must(t, upload(t, first, cut.id, data)) // need not wait for that
	wantDownload(t, first.Client, cut.id, data)
	must(t, c.ShutOut(t.Context(), reader))
	if reader != writer {
		must(t, c.ShutOut(t.Context(), writer))
	}
	eventually(t, "what the dead daemon held is gone", func() bool {
		sweepNow(t, second)
		return !slices.Contains(trashNames(t, c), string(id)) && !slices.Contains(uploading(t, c), cut.name)
	})
	wantDownload(t, first.Client, cut.id, data)
}

// TestTwoDaemonsAtWork on one pool, each with a database of its own: what one does, sweeps included, leaves alone what the
// other one has and is just writing.
func TestTwoDaemonsAtWork(t *testing.T) {
	c := testservers.SharedCeph(t)
	var daemons []*testdaemon.Daemon
	for range 2 {
		dir := t.TempDir()
		daemons = append(daemons, testdaemon.Start(t, testdaemon.Config{Dir: dir, TOML: withCeph(c, dir)}))
	}
	data := storetest.Random(5 << 20)
	kept := make([][]image.ID, len(daemons))
	deleted := make([][]image.ID, len(daemons))
	var g sync.WaitGroup
	for i, d := range daemons {
		var ids []image.ID
		for range 8 {
			ids = append(ids, newQueued(t, d.Client, "raw"))
		}
		g.Go(func() {
			for round, id := range ids {
				body := io.MultiReader(bytes.NewReader(data[:4<<20]), readerFunc(func() { sweepNow(t, daemons[1-i]) }), bytes.NewReader(data[4<<20:]))
				if err := d.Client.Upload(t.Context(), id, client.Upload{Body: body, Size: -1, Store: "ceph"}); err != nil {
					t.Errorf("Upload beside another daemon = %v", err)
				}
				if round%2 == 0 {
					kept[i] = append(kept[i], id)
					continue
				}
				if err := d.Client.Delete(t.Context(), id); err != nil {
					t.Errorf("Delete beside another daemon = %v", err)
				}
				deleted[i] = append(deleted[i], id)
			}
		})
	}
	g.Wait()
	names := poolNames(t, c)
	for i, d := range daemons {
		for _, id := range kept[i] {
			wantDownload(t, d.Client, id, data)
		}
		for _, id := range deleted[i] {
			if slices.Contains(names, string(id)) {
				t.Errorf("image %s was deleted and is in the pool", id)
			}
		}
	}
}

// readerFunc is a source that does something and has no bytes.
type readerFunc func()

func (f readerFunc) Read([]byte) (int, error) {
	f()
	return 0, io.EOF
}
