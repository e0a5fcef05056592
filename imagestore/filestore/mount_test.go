package filestore

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/imagestore/storetest"
	"github.com/vitrine-image/vitrine/internal/testservers"
	"golang.org/x/sys/unix"
)

// tmpfs mounts a file system in memory with the given options until the test ends.
func tmpfs(t *testing.T, options string) string {
	t.Helper()
	return memory(t, "tmpfs", options)
}

// memory mounts a file system of the given type, which lies in memory.
func memory(t *testing.T, kind, options string) string {
	t.Helper()
	testservers.Require(t, "root")
	dir := t.TempDir()
	if err := unix.Mount(kind, dir, kind, 0, options); err != nil {
		t.Fatalf("mount a %s: %v", kind, err)
	}
	unmountAtEnd(t, dir)
	return dir
}

// xfs mounts a file system that can share blocks between files.
func xfs(t *testing.T) string {
	t.Helper()
	dir, _ := xfsOn(t)
	return dir
}

// xfsOn returns the file that the file system lies in as well.
func xfsOn(t *testing.T) (dir, image string) {
	t.Helper()
	testservers.Require(t, "root", "xfs")
	mkfs, err := testservers.Program("mkfs.xfs")
	if err != nil {
		t.Fatal(err)
	}
	image, dir = filepath.Join(t.TempDir(), "xfs"), t.TempDir()
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 400<<20); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(mkfs, "-q", "-m", "reflink=1", image).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", mkfs, err, out)
	}
	unmountAtEnd(t, dir)
	mount(t, image, dir)
	return dir, image
}

func mount(t *testing.T, image, dir string) {
	t.Helper()
	if out, err := exec.Command("mount", "-o", "loop", image, dir).CombinedOutput(); err != nil {
		t.Fatalf("mount %s: %v: %s", image, err, out)
	}
}

func unmountAtEnd(t *testing.T, dir string) {
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil && !t.Failed() { // a test that failed may have unmounted it
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
}

// used returns the bytes of the file system that are taken.
func used(t *testing.T, dir string) int64 {
	t.Helper()
	unix.Sync() // file systems may give space back late
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	return int64(st.Blocks-st.Bfree) * st.Frsize
}

// TestLazilyUnmounted: a directory that is held open can be written to after it has left the tree. Nobody would find that data.
func TestLazilyUnmounted(t *testing.T) {
	dir := tmpfs(t, "size=8m")
	s := openIn(t, Config{}, dir)
	store := func() error {
		id := image.NewID()
		_, err := s.Put(t.Context(), imagestore.Object{ImageID: id, Name: string(id)}, storetest.NewSource([]byte("data"), 4))
		return err
	}
	if err := store(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	check := func(what string) {
		t.Helper()
		if err := store(); !errors.Is(err, image.ErrStoreOffline) {
			t.Errorf("Put into a directory %s = %v, want %v", what, err, image.ErrStoreOffline)
		}
	}
	check("that was unmounted")
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=8m"); err != nil { // which is unmounted at the end
		t.Fatal(err)
	}
	check("where an empty disk is mounted")
}
