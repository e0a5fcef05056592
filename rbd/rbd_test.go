//go:build ceph

package rbd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/internal/testservers"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := errors.Join(testservers.StopShared(), goleak.Find()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// connect returns a cluster as one of its users sees it, until the test ends.
func connect(t *testing.T, c *testservers.Ceph, user string, change func(*Config)) *Cluster {
	t.Helper()
	cfg := Config{Conf: c.Conf, User: user, Timeout: 20 * time.Second}
	if change != nil {
		change(&cfg)
	}
	cluster, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cluster.Close()
		cluster.Close() // is nothing
	})
	return cluster
}

var imageNumber atomic.Int64

// content is what image holds in its first mebibyte; the second one is a hole, as is the last.
func content() []byte {
	p := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	return append(append(p, make([]byte, 1<<20)...), p[:100]...)
}

// newImage makes an image of 3 MiB in objects of 1 MiB, with a protected snapshot "snap", and returns its name.
func newImage(t *testing.T, p *Pool) string {
	t.Helper()
	return newImageIn(t, p, 1<<20)
}

// newImageIn is newImage with objects of another size.
func newImageIn(t *testing.T, p *Pool, objectSize int64) string {
	t.Helper()
	ctx := t.Context()
	name := fmt.Sprintf("%s-%d", strings.ToLower(t.Name()), imageNumber.Add(1))
	must(t, p.Create(ctx, name, 3<<20, objectSize))
	i := open(t, p, name, "", Writable)
	must(t, i.WriteAt(ctx, content()[:1<<20], 0))
	must(t, i.WriteAt(ctx, content()[2<<20:], 2<<20))
	must(t, i.Flush(ctx))
	must(t, i.Snapshot(ctx, "snap"))
	must(t, i.Protect(ctx, "snap"))
	must(t, i.Close(ctx))
	return name
}

func open(t *testing.T, p *Pool, name, snapshot string, mode Mode) *Image {
	t.Helper()
	i, err := p.Open(t.Context(), name, snapshot, mode)
	must(t, err)
	t.Cleanup(func() { i.Close(context.Background()) })
	return i
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t *testing.T, act string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s = %v, want %v", act, err, want)
	}
}

func TestReadAt(t *testing.T) {
	p := connect(t, testservers.SharedCeph(t), "images", nil).Pool("images")
	name := newImage(t, p)
	full := append(content(), make([]byte, 1<<20-100)...)
	for _, mode := range []Mode{Watched, Unnoticed} {
		i := open(t, p, name, "snap", mode)
		if i.Size() != int64(len(full)) {
			t.Errorf("Size = %d, want %d", i.Size(), len(full))
		}
		for _, tt := range []struct{ off, n, want int }{
			{0, 1, 1}, {0, 3 << 20, 3 << 20}, {1<<20 - 5, 10, 10}, {2<<20 + 90, 20, 20}, {3<<20 - 10, 10, 10},
			{3<<20 - 10, 11, 10}, {3 << 20, 1, 0}, {1 << 40, 1, 0}, {5, 0, 0},
		} {
			b := make([]byte, tt.n)
			n, err := i.ReadAt(t.Context(), b, int64(tt.off))
			if n != tt.want || (err == io.EOF) != (n < tt.n) || err != nil && err != io.EOF {
				t.Errorf("ReadAt(%d bytes, %d) = %d, %v, want %d", tt.n, tt.off, n, err, tt.want)
			} else if n > 0 && !bytes.Equal(b[:n], full[tt.off:tt.off+n]) {
				t.Errorf("ReadAt(%d bytes, %d) gives other bytes", tt.n, tt.off)
			}
		}
		if n, err := i.ReadAt(t.Context(), make([]byte, 1), -1); n != 0 || err == nil || err == io.EOF {
			t.Errorf("ReadAt at -1 = %d, %v, want an error", n, err)
		}
	}
}

// Reads that wait until they may begin hold no buffers: of a busy mount there are hundreds.
func TestReadsThatWaitHoldNothing(t *testing.T) {
	cluster := connect(t, testservers.SharedCeph(t), "images", func(cfg *Config) { cfg.Calls = 1 })
	p := cluster.Pool("images")
	i := open(t, p, newImage(t, p), "snap", Watched)
	cluster.slots <- struct{}{}
	defer func() { <-cluster.slots }()
	b := make([]byte, 1<<20)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		if _, err := i.ReadAt(ctx, b, 0); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("ReadAt = %v, want that it waits", err)
		}
		cancel()
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 5<<20 {
		t.Errorf("20 reads of 1 MiB that wait took %d bytes", n)
	}
}

// A write over the end is refused, and a snapshot takes none.
func TestWritesThatAreRefused(t *testing.T) {
	p := connect(t, testservers.SharedCeph(t), "images", nil).Pool("images")
	name := newImage(t, p)
	wantError(t, "Create of what exists", p.Create(t.Context(), name, 1, 1<<20), ErrExists)
	i := open(t, p, name, "", Writable)
	if err := i.WriteAt(t.Context(), make([]byte, 10), 3<<20-5); err == nil {
		t.Error("WriteAt over the end succeeds")
	}
	wantError(t, "WriteAt to a snapshot", open(t, p, name, "snap", Watched).WriteAt(t.Context(), make([]byte, 10), 0), ErrReadOnly)
	wantError(t, "WriteAt to an unnoticed image", open(t, p, name, "snap", Unnoticed).WriteAt(t.Context(), make([]byte, 10), 0), ErrReadOnly)
}

// librbd reads zeros, for ever, once another client has removed an image that is open without a watch.
func TestRemovedElsewhereIsNoZeros(t *testing.T) {
	c := testservers.SharedCeph(t)
	cluster := connect(t, c, "images", nil)
	p := cluster.Pool("images")
	for _, mode := range []Mode{Watched, Unnoticed} {
		name := newImage(t, p)
		i := open(t, p, name, "snap", mode)
		b := make([]byte, 1<<20)
		if _, err := i.ReadAt(t.Context(), b, 0); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"snap", "unprotect"}, {"snap", "rm"}} {
			_, err := c.RBD(t.Context(), "images", append(args, "images/"+name+"@snap")...)
			must(t, err)
		}
		_, err := c.RBD(t.Context(), "images", "rm", "--no-progress", "images/"+name)
		if (err != nil) != (mode == Watched) {
			t.Errorf("mode %d: rbd rm = %v, want that it is refused just when the image is watched", mode, err)
		}
		wantNoZeros := func(off int64, n int) (gone bool) {
			n, err := i.ReadAt(t.Context(), b[:n], off)
			if err == nil && !bytes.Equal(b[:n], content()[off:off+int64(n)]) {
				t.Fatalf("mode %d: ReadAt(%d) gives zeros", mode, off)
			}
			return errors.Is(err, ErrNotFound)
		}
		for !wantNoZeros(0, 1<<20) {
			// The objects go in the background.
		}
		if !wantNoZeros(100, 4096) || !wantNoZeros(1<<20, 4096) {
			t.Errorf("mode %d: reads of what is gone succeed", mode)
		}
		extents, err := i.Extents(t.Context(), 0, i.Size())
		wantError(t, fmt.Sprintf("mode %d: Extents of what is gone = %v,", mode, extents), err, ErrNotFound)
	}
}

// Where an image is striped, an object that has gone leaves zeros between what others still hold.
func TestRemovedStripeIsNoZeros(t *testing.T) {
	c := testservers.SharedCeph(t)
	p := connect(t, c, "images", nil).Pool("images")
	_, err := c.RBD(t.Context(), "images", "create", "--size", "1M", "--object-size", "512K", "--stripe-unit", "64K", "--stripe-count", "2", "images/striped")
	must(t, err)
	w := open(t, p, "striped", "", Writable)
	data := content()[:1<<20]
	must(t, w.WriteAt(t.Context(), data, 0))
	must(t, w.Flush(t.Context()))
	must(t, w.Snapshot(t.Context(), "snap"))
	must(t, w.Protect(t.Context(), "snap"))
	i := open(t, p, "striped", "snap", Unnoticed)
	b := make([]byte, len(data))
	if _, err := i.ReadAt(t.Context(), b, 0); err != nil || !bytes.Equal(b, data) {
		t.Fatalf("ReadAt = %v, or other bytes", err)
	}
	must(t, w.Unprotect(t.Context(), "snap")) // as every removal begins
	id, err := w.ID(t.Context())
	must(t, err)
	must(t, exec.CommandContext(t.Context(), "rados", "-c", c.Conf, "--id", "images", "-p", "images", "rm", "rbd_data."+id+".0000000000000001").Run())
	_, err = i.ReadAt(t.Context(), b, 0)
	wantError(t, "ReadAt of what has lost an object", err, ErrNotFound)
}

func TestRemoval(t *testing.T) {
	c := testservers.SharedCeph(t)
	p := connect(t, c, "images", nil).Pool("images")
	ctx := t.Context()
	name := newImage(t, p)
	watched := open(t, p, name, "snap", Watched)
	if children, err := watched.Children(ctx, "snap"); err != nil || len(children) != 0 {
		t.Errorf("Children = %v, %v, want none", children, err)
	}
	_, err := c.RBD(ctx, "vms", "clone", "images/"+name+"@snap", "vms/"+name)
	must(t, err)
	i := open(t, p, name, "", Writable)
	snapshots, err := i.Snapshots(ctx)
	if err != nil || len(snapshots) != 1 || snapshots[0] != (SnapshotInfo{"snap", 3 << 20, true}) {
		t.Errorf("Snapshots = %v, %v", snapshots, err)
	}
	wantError(t, "Snapshot of a name that exists", i.Snapshot(ctx, "snap"), ErrExists)
	wantError(t, "RemoveSnapshot of a protected one", i.RemoveSnapshot(ctx, "snap"), ErrBusy)
	wantError(t, "Unprotect with a clone in a pool that may not be read", i.Unprotect(ctx, "snap"), ErrBusy)
	_, err = watched.Children(ctx, "snap")
	wantError(t, "Children in a pool that may not be read", err, ErrDenied)
	byAdmin := open(t, connect(t, c, "admin", nil).Pool("images"), name, "snap", Unnoticed)
	children, err := byAdmin.Children(ctx, "snap")
	if err != nil || len(children) != 1 || children[0] != "vms/"+name {
		t.Errorf("Children = %v, %v", children, err)
	}
	must(t, i.Close(ctx))

	must(t, p.Trash(ctx, name, 0))
	b := make([]byte, 100)
	if _, err := watched.ReadAt(ctx, b, 0); err != nil || !bytes.Equal(b, content()[:100]) {
		t.Errorf("ReadAt of what is in the trash = %v, or other bytes", err)
	}
	_, err = p.Open(ctx, name, "snap", Watched)
	wantError(t, "Open of what is in the trash", err, ErrNotFound)
	must(t, watched.Close(ctx))

	trashed, err := p.Trashed(ctx)
	if err != nil || len(trashed) != 1 || trashed[0].Name != name {
		t.Fatalf("Trashed = %v, %v, want %s", trashed, err, name)
	}
	id := trashed[0].ID
	i, err = p.OpenTrashed(ctx, id)
	must(t, err)
	_, err = i.Children(ctx, "snap")
	wantError(t, "Children of what is in the trash", err, ErrDenied)
	must(t, i.Close(ctx))
	wantError(t, "RemoveTrashed with a clone", p.RemoveTrashed(ctx, id), ErrSnapshots)
	_, err = c.RBD(ctx, "vms", "rm", "--no-progress", "vms/"+name)
	must(t, err)
	i, err = p.OpenTrashed(ctx, id)
	must(t, err)
	must(t, i.Unprotect(ctx, "snap"))
	must(t, i.RemoveSnapshot(ctx, "snap"))
	must(t, i.Close(ctx))
	must(t, p.RemoveTrashed(ctx, id))
	wantError(t, "RemoveTrashed of what is gone", p.RemoveTrashed(ctx, id), ErrNotFound)
	wantError(t, "Remove of what is gone", p.Remove(ctx, name), ErrNotFound)
}

func TestRename(t *testing.T) {
	p := connect(t, testservers.SharedCeph(t), "images", nil).Pool("images")
	ctx := t.Context()
	name, other := newImage(t, p), newImage(t, p)
	wantError(t, "Rename to a name that is taken", p.Rename(ctx, name, other), ErrExists)
	wantError(t, "Rename of nothing", p.Rename(ctx, "nothing", name+"-new"), ErrNotFound)
	before := open(t, p, name, "snap", Unnoticed).Version()
	must(t, p.Rename(ctx, name, name+"-new"))
	_, err := p.Open(ctx, name, "", Unnoticed)
	wantError(t, "Open by the old name", err, ErrNotFound)
	i := open(t, p, name+"-new", "snap", Unnoticed)
	if id, err := i.ID(ctx); err != nil || i.Version() != before || !strings.HasPrefix(before, id+"@") {
		t.Errorf("the image is %s, %s, %v, want %s", i.Version(), id, err, before)
	}
	if later := open(t, p, other, "snap", Unnoticed).Version(); later == before {
		t.Errorf("two images are %s", later)
	}
}

// librbd kills the process where it is asked for the time of a snapshot that is not there: here nothing asks for it.
func TestUnknownNames(t *testing.T) {
	c := testservers.SharedCeph(t)
	cluster := connect(t, c, "images", nil)
	p := cluster.Pool("images")
	name := newImage(t, p)
	for _, mode := range []Mode{Watched, Unnoticed, Writable} {
		_, err := p.Open(t.Context(), "nothing", "", mode)
		wantError(t, "Open of an unknown image", err, ErrNotFound)
		_, err = p.Open(t.Context(), name, "nothing", mode)
		wantError(t, "Open of an unknown snapshot", err, ErrNotFound)
	}
	i := open(t, p, name, "", Writable)
	wantError(t, "Protect of an unknown snapshot", i.Protect(t.Context(), "nothing"), ErrNotFound)
	wantError(t, "RemoveSnapshot of an unknown snapshot", i.RemoveSnapshot(t.Context(), "nothing"), ErrNotFound)
	_, err := p.OpenTrashed(t.Context(), "nothing")
	wantError(t, "OpenTrashed of an unknown image", err, ErrNotFound)
	_, err = cluster.Pool("nothing").List(t.Context())
	wantError(t, "List of an unknown pool", err, ErrNoPool)
	_, err = cluster.Pool("nothing").Space(t.Context())
	wantError(t, "Space of an unknown pool", err, ErrNoPool)
	must(t, i.Close(t.Context()))
	wantError(t, "Flush of what is closed", i.Flush(t.Context()), ErrClosed)
	cluster.Close()
	_, _, err = i.Watchers(t.Context())
	wantError(t, "Watchers of what is closed", err, ErrClosed)
}

func TestWhyThereIsNoConnection(t *testing.T) {
	c := testservers.SharedCeph(t)
	dir := t.TempDir()
	wrong := dir + "/wrong"
	must(t, os.WriteFile(wrong, []byte("[client.images]\n\tkey = AQBzM1JlAAAAABAAhw8kQ2NAWWzZZz5uQbVJmQ==\n"), 0o600))
	for _, tt := range []struct {
		name   string
		user   string
		change func(*Config)
		want   error
	}{
		{"a wrong key", "images", func(cfg *Config) { cfg.Keyring = wrong }, ErrDenied},
		{"no keyring", "images", func(cfg *Config) { cfg.Keyring = dir + "/nothing" }, ErrNoKeyring},
		{"a keyring that cannot be read", "images", func(cfg *Config) { cfg.Keyring = dir }, ErrNoKeyring},
		{"an unknown user", "nobody", nil, ErrNoKeyring},
		{"no configuration", "images", func(cfg *Config) { cfg.Conf = dir + "/nothing" }, ErrNoConfig},
		{"no capabilities", "stranger", nil, ErrDenied},
	} {
		_, err := connect(t, c, tt.user, tt.change).Pool("images").List(t.Context())
		wantError(t, "List with "+tt.name, err, tt.want)
	}
	reader := connect(t, c, "reader", nil).Pool("images")
	wantError(t, "Create by a reader", reader.Create(t.Context(), "new", 1<<20, 1<<20), ErrDenied)
	name := newImage(t, connect(t, c, "images", nil).Pool("images"))
	_, err := reader.Open(t.Context(), name, "snap", Watched)
	wantError(t, "Open with a watch by a reader", err, ErrDenied)
	open(t, reader, name, "snap", Unnoticed)
	for _, cfg := range []Config{{}, {User: "images", Timeout: time.Millisecond}, {User: "images", Calls: -1}} {
		if _, err := New(cfg); err == nil {
			t.Errorf("New(%+v) succeeds", cfg)
		}
	}
}

func TestExtents(t *testing.T) {
	p := connect(t, testservers.SharedCeph(t), "images", nil).Pool("images")
	i := open(t, p, newImage(t, p), "snap", Watched)
	for _, tt := range []struct {
		off, n int64
		want   string
	}{
		{0, 3 << 20, "[{0 1048576} {2097152 1048576}]"},
		{1 << 20, 1 << 20, "[]"},
		{0, 1 << 20, "[{0 1048576}]"},
	} {
		got, err := i.Extents(t.Context(), tt.off, tt.n)
		if err != nil || fmt.Sprint(got) != tt.want {
			t.Errorf("Extents(%d, %d) = %v, %v, want %s", tt.off, tt.n, got, err, tt.want)
		}
	}
	must(t, p.Create(t.Context(), "wide", 1<<40, 8<<20))
	wide := open(t, p, "wide", "", Writable)
	must(t, wide.WriteAt(t.Context(), []byte("end"), 1<<40-3))
	got, err := wide.Extents(t.Context(), 0, wide.Size())
	if err != nil || fmt.Sprint(got) != fmt.Sprint([]Extent{{1<<40 - 8<<20, 8 << 20}}) {
		t.Errorf("Extents of 1 TiB = %v, %v, want its last object", got, err)
	}
}

func TestSpace(t *testing.T) {
	c := testservers.SharedCeph(t)
	p := connect(t, c, "images", nil).Pool("small")
	s, err := p.Space(t.Context())
	if err != nil || s.Free <= 0 || s.Total < s.Free {
		t.Errorf("Space = %+v, %v", s, err)
	}
	_, err = c.Ceph(t.Context(), "osd", "pool", "set-quota", "small", "max_bytes", "10000000")
	must(t, err)
	t.Cleanup(func() { c.Ceph(context.Background(), "osd", "pool", "set-quota", "small", "max_bytes", "0") })
	if s, err := p.Space(t.Context()); err != nil || s.Total != 10_000_000 {
		t.Errorf("Space with a quota = %+v, %v, want 10000000 in all", s, err)
	}
	fsid, err := p.cluster.FSID(t.Context())
	if err != nil || fsid != c.FSID {
		t.Errorf("FSID = %q, %v, want %s", fsid, err, c.FSID)
	}
}

func TestNotesAndWatchers(t *testing.T) {
	c := testservers.SharedCeph(t)
	p := connect(t, c, "images", nil).Pool("images")
	name := newImage(t, p)
	i := open(t, p, name, "", Writable)
	for _, text := range []string{"", "one", "two", ""} {
		if text != "" {
			must(t, i.Note(t.Context(), "key", text))
		}
		if got, err := i.Noted(t.Context(), "key"); err != nil || got != text {
			t.Errorf("Noted = %q, %v, want %q", got, err, text)
		}
		if text == "two" {
			must(t, i.Note(t.Context(), "key", ""))
		}
	}
	open(t, p, name, "snap", Watched)
	open(t, p, name, "snap", Unnoticed)
	open(t, connect(t, c, "images", nil).Pool("images"), name, "snap", Watched)
	if others, own, err := i.Watchers(t.Context()); err != nil || others != 1 || own != 2 {
		t.Errorf("Watchers = %d, %d, %v, want 1 other and 2 own", others, own, err)
	}
}
