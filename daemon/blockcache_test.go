//go:build ceph

package daemon_test

import (
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore/storetest"
	"github.com/vitrine-image/vitrine/internal/testdaemon"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// readFromCeph returns how many bytes the cluster has given to clients.
func readFromCeph(t *testing.T, c *testservers.Ceph) int64 {
	t.Helper()
	n, err := c.BytesRead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestSecondReaderOfCeph reads an image through the mount twice, past the page cache and through it: the second time hardly
// anything comes from the cluster, unless there is no cache, and through the page cache nothing even from the daemon.
func TestSecondReaderOfCeph(t *testing.T) {
	testservers.Require(t, "fuse")
	c := testservers.SharedCeph(t)
	data := storetest.Random(32<<20 + 4096)
	sum := sha512.Sum512(data)
	few := int64(len(data) / 20)
	for _, size := range []string{"1GiB", "0B"} {
		t.Run(size, func(t *testing.T) {
			dir := t.TempDir()
			mountSays(t, dir, fmt.Sprintf("cache_size = %q\n", size))
			d := testdaemon.Start(t, testdaemon.Config{Dir: dir, Mount: true, TOML: withCeph(c, dir)})
			id := newDiskIn(t, d.Client, "ceph", data)
			path := filepath.Join(d.Mount, "by-id", string(id), "disk.raw")
			read := func(flags ...string) (fromCeph, written int64) {
				t.Helper()
				ceph, daemon := readFromCeph(t, c), writtenBy(t, d)
				if got := sumOf(t, path, flags...); got != hex.EncodeToString(sum[:]) {
					t.Errorf("the mount gives data with the hash %s", got)
				}
				return readFromCeph(t, c) - ceph, writtenBy(t, d) - daemon
			}
			if n, _ := read("iflag=direct"); n < int64(len(data)) {
				t.Errorf("the first reader took %d bytes from the cluster, of %d", n, len(data))
			}
			if n, _ := read("iflag=direct"); size != "0B" && n > few || size == "0B" && n < int64(len(data)) {
				t.Errorf("the second reader took %d bytes from the cluster, of %d", n, len(data))
			}
			if _, n := read(); n < int64(len(data)) {
				t.Errorf("the first reader through the page cache took %d bytes from the daemon, of %d", n, len(data))
			}
			if ceph, n := read(); ceph > few || n > few {
				t.Errorf("the second reader through the page cache took %d bytes from the cluster and %d from the daemon", ceph, n)
			}
			deleteClosed(t, d.Client, id)
		})
	}
}

// TestCopyOfWhatIsOpen copies an image from the cluster to a file while a guest reads it, and takes the copy away again. The guest
// reads on where it began; others get what is best when they open it.
func TestCopyOfWhatIsOpen(t *testing.T) {
	testservers.Require(t, "fuse", "passthrough")
	c := testservers.SharedCeph(t)
	dir := t.TempDir()
	mountSays(t, dir, "cache_size = \"0B\"\n")
	d := testdaemon.Start(t, testdaemon.Config{Dir: dir, Mount: true, TOML: withCeph(c, dir)})
	data := storetest.Random(32<<20 + 4096)
	size := int64(len(data))
	id := newDiskIn(t, d.Client, "ceph", data)
	path := filepath.Join(d.Mount, "by-id", string(id), "disk.raw")
	sum := sha512.Sum512(data)
	// want lets a guest read the rest and compares where it comes from.
	want := func(who string, g *guest, fromCeph, fromDaemon int64) {
		t.Helper()
		ceph, daemon := readFromCeph(t, c), writtenBy(t, d)
		if got := g.end(t); got != hex.EncodeToString(sum[:]) {
			t.Errorf("%s reads data with the hash %s", who, got)
		}
		if n := readFromCeph(t, c) - ceph; n < fromCeph || fromCeph == 0 && n > size/20 {
			t.Errorf("%s took %d bytes from the cluster, want %d", who, n, fromCeph)
		}
		if n := writtenBy(t, d) - daemon; n < fromDaemon || fromDaemon == 0 && n > size/20 {
			t.Errorf("%s took %d bytes from the daemon, want %d", who, n, fromDaemon)
		}
	}
	before := startGuest(t, path, 8, "iflag=direct")
	wantTask(t, d.Client, id, d.Client.Import(t.Context(), id, image.Import{Method: image.ImportCopy, Stores: []string{"local"}}))
	during := startGuest(t, path, 0, "iflag=direct")
	want("who opens it with a local copy", during, 0, 0)
	during = startGuest(t, path, 8, "iflag=direct")
	if err := d.Client.DeleteCopy(t.Context(), "local", id); err != nil {
		t.Fatal(err)
	}
	rest := size - 16<<20 // some of it was read ahead
	want("who opened it before", before, rest, size-8<<20)
	want("who opens it without the copy", startGuest(t, path, 0, "iflag=direct"), size, size)
	want("who opened it with a local copy, which is deleted", during, 0, 0)
	deleteClosed(t, d.Client, id)
}

// TestHotRawViewOnCeph reads a qcow2 on a cluster until it is kept as a file: then nothing comes from the cluster, nor from the daemon.
func TestHotRawViewOnCeph(t *testing.T) {
	testservers.Require(t, "fuse", "qemu", "passthrough")
	c := testservers.SharedCeph(t)
	dir := t.TempDir()
	d := testdaemon.Start(t, testdaemon.Config{Dir: dir, Mount: true, TOML: withCeph(c, dir)})
	h := newHotDisk(t, d, "ceph", "qcow2 -c", 16)
	h.heatUp(t)
	before := readFromCeph(t, c)
	if !h.passed(t) {
		t.Error("what is read often still comes through the daemon")
	}
	if n := readFromCeph(t, c) - before; n > h.size/20 {
		t.Errorf("%d bytes still come from the cluster", n)
	}
	deleteClosed(t, d.Client, h.id)
	h.logged(t, noLongerFile, 1)
}
