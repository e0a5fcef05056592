//go:build ceph

package rbd

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/internal/testservers"
)

func pause(t *testing.T, c *testservers.Ceph) (resume func()) {
	t.Helper()
	resume, err := c.PauseOSD()
	must(t, err)
	t.Cleanup(resume)
	return resume
}

// A call returns when its context ends, and what librbd goes on to write into is nobody's memory.
func TestContextEndsCalls(t *testing.T) {
	c := testservers.SharedCeph(t)
	cluster := connect(t, c, "images", func(cfg *Config) { cfg.Calls = 2 })
	p := cluster.Pool("images")
	i := open(t, p, newImage(t, p), "snap", Watched)
	resume := pause(t, c)
	mine := make([]byte, 1<<20)
	for n := range 4 { // two calls hang in librbd, two wait for their turn
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if read, err := i.ReadAt(ctx, mine, 0); read != 0 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("ReadAt %d while the OSD stands still = %d, %v", n, read, err)
		}
		if _, err := p.List(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("List %d while the OSD stands still = %v", n, err)
		}
		cancel()
	}
	resume()
	other := make([]byte, 1<<20)
	if _, err := i.ReadAt(t.Context(), other, 0); err != nil || !bytes.Equal(other, content()[:1<<20]) {
		t.Errorf("ReadAt when the OSD goes on = %v, or other bytes", err)
	}
	if !bytes.Equal(mine, make([]byte, 1<<20)) {
		t.Error("a read that was given up has written to the caller's memory")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := p.Open(ctx, "nothing", "", Watched)
	wantError(t, "Open with an ended context", err, context.Canceled)
	_, err = connect(t, c, "images", nil).FSID(ctx)
	wantError(t, "FSID with an ended context", err, context.Canceled)
}

// Reads end with their contexts however many bytes, and however many objects, the others wait for.
func TestContextEndsManyReads(t *testing.T) {
	c := testservers.SharedCeph(t)
	for _, objectSize := range []int64{1 << 20, 4 << 10} {
		p := connect(t, c, "images", nil).Pool("images")
		testContextEndsManyReads(t, c, open(t, p, newImageIn(t, p, objectSize), "snap", Watched))
	}
}

func testContextEndsManyReads(t *testing.T, c *testservers.Ceph, i *Image) {
	t.Helper()
	resume := pause(t, c)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	var readers sync.WaitGroup
	for range 100 {
		readers.Go(func() {
			if n, err := i.ReadAt(ctx, make([]byte, 3<<20), 0); n != 0 || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("ReadAt while the OSD stands still = %d, %v", n, err)
			}
		})
	}
	start := time.Now()
	readers.Wait()
	if d := time.Since(start); d > 5*time.Second { // a request that gets no answer fails after 20 s
		t.Errorf("reads whose context ended after 0.5 s took %s", d)
	}
	resume()
	b := make([]byte, 3<<20)
	if _, err := i.ReadAt(t.Context(), b, 0); err != nil || !bytes.HasPrefix(b, content()) {
		t.Errorf("ReadAt when the OSD goes on = %v, or other bytes", err)
	}
}

// Who waits for a monitor keeps nobody from what the cluster does without one.
func TestMonitorThatStandsStill(t *testing.T) {
	c := testservers.SharedCeph(t)
	cluster := connect(t, c, "images", nil)
	p := cluster.Pool("images")
	name := newImage(t, p)
	resume, err := c.PauseMon()
	must(t, err)
	var waiting sync.WaitGroup
	t.Cleanup(waiting.Wait)
	t.Cleanup(resume)
	waiting.Go(func() { cluster.Pool("nothing").List(context.Background()) })
	for len(cluster.slots) == 0 {
		runtime.Gosched()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for range 3 {
		i, err := p.Open(ctx, name, "snap", Watched)
		must(t, err)
		must(t, i.Close(ctx))
	}
}

// Nothing waits longer than the timeout, and all goes on when the OSD does.
func TestTimeout(t *testing.T) {
	c := testservers.SharedCeph(t)
	name := newImage(t, connect(t, c, "images", nil).Pool("images"))
	p := connect(t, c, "images", func(cfg *Config) { cfg.Timeout = 3 * time.Second }).Pool("images")
	i := open(t, p, name, "snap", Watched)
	w := open(t, p, name, "", Writable)
	must(t, w.WriteAt(t.Context(), []byte("x"), 0)) // takes the lock
	resume := pause(t, c)
	_, err := i.ReadAt(t.Context(), make([]byte, 10), 0)
	wantError(t, "ReadAt", err, ErrAway)
	wantError(t, "WriteAt", w.WriteAt(t.Context(), make([]byte, 10), 0), ErrAway)
	_, err = p.Open(t.Context(), name, "snap", Watched)
	wantError(t, "Open", err, ErrAway)
	resume()
	if _, err := i.ReadAt(t.Context(), make([]byte, 10), 0); err != nil {
		t.Errorf("ReadAt when the OSD goes on = %v", err)
	}
}

// A write to a pool that is full fails, at the latest when it is flushed, and images in it can still be removed.
func TestFullPool(t *testing.T) {
	c := testservers.SharedCeph(t)
	ctx := t.Context()
	cluster := connect(t, c, "images", nil)
	images, p := cluster.Pool("images"), cluster.Pool("small")
	parent := newImage(t, images)
	must(t, p.Create(ctx, "full", 1<<40, 8<<20))
	i := open(t, p, "full", "", Writable)
	_, err := c.Ceph(ctx, "osd", "pool", "set-quota", "small", "max_bytes", "1000000")
	must(t, err)
	t.Cleanup(func() { c.Ceph(context.Background(), "osd", "pool", "set-quota", "small", "max_bytes", "0") })
	block := bytes.Repeat([]byte("x"), 4096)
	for off := int64(0); err == nil; off += 8 << 20 { // a new object each time: what takes no more space is still allowed
		if err = i.WriteAt(ctx, block, off); err == nil {
			err = i.Flush(ctx)
		}
	}
	wantError(t, "a write", err, ErrFull)
	wantError(t, "Create", p.Create(ctx, "another", 1<<20, 1<<20), ErrFull)
	wantError(t, "Clone", images.Clone(ctx, parent, "snap", p, "another"), ErrFull)
	again := open(t, p, "full", "", Writable)
	must(t, again.Close(ctx))
	must(t, i.Close(ctx))
	must(t, p.Remove(ctx, "full"))
}

// A client that the cluster has shut out connects anew.
func TestBlocklisted(t *testing.T) {
	c := testservers.SharedCeph(t)
	cluster := connect(t, c, "images", nil)
	p := cluster.Pool("images")
	name := newImage(t, p)
	i := open(t, p, name, "snap", Watched)
	address, err := i.session.conn.GetAddrs()
	must(t, err)
	_, err = c.Ceph(t.Context(), "osd", "blocklist", "add", address)
	must(t, err)
	for err == nil { // until the OSD has heard of it
		_, err = i.ReadAt(t.Context(), make([]byte, 10), 0)
	}
	wantError(t, "ReadAt", err, ErrBlocklisted)
	i = open(t, p, name, "snap", Watched)
	if _, err := i.ReadAt(t.Context(), make([]byte, 10), 0); err != nil {
		t.Errorf("ReadAt through a new connection = %v", err)
	}
}

// The cluster away at the start, and killed later.
func TestClusterThatComesAndGoes(t *testing.T) {
	c := testservers.OwnCeph(t)
	cluster := connect(t, c, "images", nil)
	p := cluster.Pool("images")
	name := newImage(t, p)
	i := open(t, p, name, "snap", Watched)
	must(t, c.StopMon())
	late := connect(t, c, "images", func(cfg *Config) { cfg.Timeout = time.Second }).Pool("images")
	_, err := late.List(t.Context())
	wantError(t, "List without a monitor", err, ErrAway)
	b := make([]byte, 100)
	if _, err := i.ReadAt(t.Context(), b, 0); err != nil || !bytes.Equal(b, content()[:100]) {
		t.Errorf("ReadAt without a monitor = %v, or other bytes", err)
	}
	must(t, c.StartMon(t.Context()))
	for { // until the monitor has a quorum
		if _, err = late.List(t.Context()); err == nil {
			break
		}
		wantError(t, "List when the monitor is starting", err, ErrAway)
	}
	w := open(t, p, name, "", Writable)
	must(t, w.WriteAt(t.Context(), []byte("written"), 1<<20))
	must(t, w.Flush(t.Context()))
	c.KillOSD()
	must(t, c.StartOSD())
	n, err := w.ReadAt(t.Context(), b[:7], 1<<20)
	if err != nil || string(b[:n]) != "written" {
		t.Errorf("after the OSD was killed ReadAt = %q, %v, want what was flushed", b[:n], err)
	}
	if _, err := i.ReadAt(t.Context(), b, 0); err != nil || !bytes.Equal(b, content()[:100]) {
		t.Errorf("after the OSD was killed ReadAt of the snapshot = %v, or other bytes", err)
	}
}
