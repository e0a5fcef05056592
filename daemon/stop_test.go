package daemon_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/client"
	"github.com/vitrine-image/vitrine/daemon"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/testdaemon"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// TestStopFinishesRequests stops a daemon in the middle of an upload, which goes on to its end.
func TestStopFinishesRequests(t *testing.T) {
	dir := t.TempDir()
	d, err := testdaemon.Launch(testdaemon.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	id, half := newRaw(t, d.Client), bytes.Repeat([]byte("x"), 1<<20)
	body, w := io.Pipe()
	uploaded := make(chan error, 1)
	go func() {
		uploaded <- d.Client.Upload(context.Background(), id, client.Upload{Body: body, Size: 2 << 20})
	}()
	if _, err := w.Write(half); err != nil {
		t.Fatal(err)
	}
	waitSaving(t, d.Client, id)
	if err := syscall.Kill(d.Pid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); !strings.Contains(d.Log(), `"msg":"stopping"`) && time.Now().Before(end); {
		runtime.Gosched()
	}
	if _, err := w.Write(half); err != nil {
		t.Fatal(err)
	}
	if err := <-uploaded; err != nil {
		t.Errorf("the upload under way: %v", err)
	}
	<-d.Done()
	if err := d.Stop(); err != nil {
		t.Error(err)
	}
	d = testdaemon.Start(t, testdaemon.Config{Dir: dir})
	if img, err := d.Client.Get(t.Context(), id); err != nil || img.Status != image.Active || *img.Size != 2<<20 {
		t.Errorf("after the restart the image is %+v, %v, want it active", img, err)
	}
}

// TestStopCutsOffWhatHangs stops a daemon in the middle of an upload that sends nothing more. The stop ends in order, and
// nothing is left for the next start to clean up.
func TestStopCutsOffWhatHangs(t *testing.T) {
	cfg := daemon.Default()
	cfg.Data, cfg.API.DrainTimeout = t.TempDir(), daemon.Duration(50*time.Millisecond)
	c, stop := run(t, cfg)
	id := newRaw(t, c)
	body, w := io.Pipe()
	uploaded := make(chan error, 1)
	go func() { uploaded <- c.Upload(context.Background(), id, client.Upload{Body: body, Size: 2 << 20}) }()
	if _, err := w.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	waitSaving(t, c, id)
	stop()
	w.CloseWithError(io.ErrUnexpectedEOF) // which the client may wait for
	if err := <-uploaded; err == nil {
		t.Error("an upload that was cut off succeeded")
	}
	if left := filesOf(t, filepath.Join(cfg.Data, "images")); left != filepath.Join(cfg.Data, "images", ".vitrine-store") {
		t.Errorf("the store holds %s", left)
	}
	c, _ = run(t, cfg)
	if img, err := c.Get(t.Context(), id); err != nil || img.Status != image.Queued {
		t.Errorf("after the restart the image is %+v, %v, want it queued", img, err)
	}
}

// TestGoingOnWithoutTheMount starts a daemon where it cannot mount, and takes the mount away from another one. Both serve
// the API, say why there is no mount, and end in order.
func TestGoingOnWithoutTheMount(t *testing.T) {
	testservers.Require(t, "fuse", "root") // to unmount
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "x"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	never := testdaemon.Start(t, testdaemon.Config{Dir: t.TempDir(), TOML: "[mount]\npath = \"" + full + "\"\n"})
	waitForLog(t, never, `serving without the mount","path":"`+full)
	waitForLog(t, never, `it is not empty, it holds \"x\"`)
	newDisk(t, never.Client, "disk", []byte("data"))

	d := testdaemon.Start(t, testdaemon.Config{Dir: t.TempDir(), Mount: true})
	newDisk(t, d.Client, "disk", []byte("data"))
	if err := syscall.Unmount(d.Mount, 0); err != nil {
		t.Fatal(err)
	}
	waitForLog(t, d, "going on without the mount")
	newDisk(t, d.Client, "disk", []byte("data"))
	if strings.Contains(d.Log(), "the mount is slow to show a change") {
		t.Error("an upload waited for a mount that is gone")
	}
}
