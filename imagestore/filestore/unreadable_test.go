package filestore

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/imagestore/storetest"
	"golang.org/x/sys/unix"
)

// asOwner calls fn without the rights of root over files, as the owner of all below dir.
func asOwner(t *testing.T, dir string, fn func()) {
	t.Helper()
	if os.Getuid() != 0 {
		fn()
		return
	}
	const nobody = 65534
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, nobody, nobody)
	})
	if err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if _, err := unix.SetfsuidRetUid(nobody); err != nil {
		t.Fatal(err)
	}
	defer unix.SetfsuidRetUid(0)
	fn()
}

// putData stores a few bytes as an object of a new image.
func putData(t *testing.T, s *Store) (imagestore.Object, image.Location) {
	t.Helper()
	obj := storetest.NewObject()
	loc, err := s.Put(t.Context(), obj, storetest.NewSource([]byte("data"), 4))
	if err != nil {
		t.Fatal(err)
	}
	return obj, loc
}

func checkOpens(t *testing.T, s *Store, loc image.Location) {
	t.Helper()
	r, err := s.Open(t.Context(), loc)
	if err != nil {
		t.Errorf("Open = %v", err)
		return
	}
	r.Close()
}

// checkLost makes sure that the data of one object is lost, and not the whole store.
func checkLost(t *testing.T, s *Store, loc image.Location) {
	t.Helper()
	_, err := s.Open(t.Context(), loc)
	if !errors.Is(err, image.ErrDataMissing) || errors.Is(err, image.ErrStoreOffline) {
		t.Errorf("Open of what cannot be read = %v, want %v", err, image.ErrDataMissing)
	}
}

// A file that may not be read is that image's trouble: the store goes on.
func TestAFileThatMayNotBeRead(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, Config{}, dir)
	obj, lost := putData(t, s)
	_, kept := putData(t, s)
	file := filepath.Join(dir, shardOf(obj.Name), obj.Name)
	if err := os.Chmod(file, 0); err != nil {
		t.Fatal(err)
	}
	asOwner(t, dir, func() {
		checkLost(t, s, lost)
		checkOpens(t, s, kept)
	})
	if err := os.Chmod(file, fileMode); err != nil {
		t.Fatal(err)
	}
	checkOpens(t, s, lost)
}

// A shard that may not be read is so, too, and the audit says which it is.
func TestAShardThatMayNotBeRead(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, Config{}, dir)
	obj, lost := putData(t, s)
	shard := filepath.Join(dir, shardOf(obj.Name))
	if err := os.Chmod(shard, 0); err != nil {
		t.Fatal(err)
	}
	asOwner(t, dir, func() {
		checkLost(t, s, lost)
		elsewhere := image.Location{Store: "local", URL: "file:///before" + lost.URL[len("file://"+dir):]}
		checkLost(t, s, elsewhere) // recorded when the directory was another one
		checkFindings(t, s, map[string]string{shard: "directory that cannot be read"})
		if err := s.Delete(t.Context(), lost); !errors.Is(err, image.ErrStoreOffline) {
			t.Errorf("Delete = %v, want %v", err, image.ErrStoreOffline)
		}
	})
	if err := os.Chmod(shard, dirMode); err != nil {
		t.Fatal(err)
	}
	checkOpens(t, s, lost)
}

// What an error at opening a file says of the store depends on whether the marker can be read.
func TestUnreadable(t *testing.T) {
	s := openIn(t, Config{}, t.TempDir())
	d := s.dirs[0]
	for _, tt := range []struct {
		err  error
		want error
	}{
		{unix.EIO, image.ErrDataMissing},
		{unix.ENOENT, image.ErrDataMissing},
		{unix.ESTALE, image.ErrDataMissing},
		{unix.EMFILE, image.ErrStoreOffline}, // nobody can tell
		{unix.ENOMEM, image.ErrStoreOffline},
	} {
		if err := s.unreadable(d, d.root, &os.PathError{Op: "open", Err: tt.err}); !errors.Is(err, tt.want) || !errors.Is(err, tt.err) {
			t.Errorf("unreadable(%v) = %v, want %v", tt.err, err, tt.want)
		}
	}
	if d.root == nil {
		t.Error("the directory is offline")
	}
}

// Somebody may take the marker away, or the whole directory, while the store is open: then nothing counts as missing.
func TestTheMarkerIsTakenAway(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, Config{}, dir)
	_, kept := putData(t, s)
	missing := s.Locate(storetest.NewObject())
	file, away := filepath.Join(dir, markerName), filepath.Join(t.TempDir(), "marker")
	for name, call := range map[string]func() error{
		"Open":   func() error { _, err := s.Open(t.Context(), missing); return err },
		"Delete": func() error { return s.Delete(t.Context(), missing) },
	} {
		move(t, file, away)
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if err := call(); !errors.Is(err, image.ErrStoreOffline) {
			t.Errorf("%s of what is not there = %v, want %v", name, err, image.ErrStoreOffline)
		}
		checkOffline(t, s, kept)
		move(t, away, file)
		checkOpens(t, s, kept)
	}
}

// A directory that was removed and restored from a copy is found again.
func TestTheDirectoryIsRestored(t *testing.T) {
	dir, backup := filepath.Join(t.TempDir(), "store"), filepath.Join(t.TempDir(), "copy")
	s := openIn(t, Config{}, dir)
	_, loc := putData(t, s)
	if out, err := exec.Command("cp", "-a", dir, backup).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v: %s", err, out)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	checkOffline(t, s, loc)
	if err := os.Rename(backup, dir); err != nil {
		t.Fatal(err)
	}
	checkOpens(t, s, loc)
	putData(t, s)
}

// What was written into a directory that is not the store's any more is not stored.
func TestTheDirectoryIsReplacedDuringAWrite(t *testing.T) {
	dir, backup := filepath.Join(t.TempDir(), "store"), filepath.Join(t.TempDir(), "copy")
	s := openIn(t, Config{}, dir)
	if out, err := exec.Command("cp", "-a", dir, backup).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v: %s", err, out)
	}
	s.fault = func(step string, do func() error) error {
		if step == stepSyncFile {
			if err := os.Remove(filepath.Join(dir, markerName)); err != nil {
				t.Error(err)
			}
			if err := os.Rename(dir, dir+" old"); err != nil {
				t.Error(err)
			}
			if err := os.Rename(backup, dir); err != nil {
				t.Error(err)
			}
		}
		return do()
	}
	obj := storetest.NewObject()
	if loc, err := s.Put(t.Context(), obj, storetest.NewSource([]byte("data"), 4)); !errors.Is(err, image.ErrStoreOffline) {
		t.Errorf("Put = %v, %v, want %v", loc, err, image.ErrStoreOffline)
	}
	s.fault = nil
	checkEmpty(t, s, "after the failure")
	if _, err := os.Stat(filepath.Join(dir+" old", shardOf(obj.Name), obj.Name)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in the old directory the object is left: %v", err)
	}
	if _, err := s.Put(t.Context(), obj, storetest.NewSource([]byte("data"), 4)); err != nil {
		t.Errorf("the next Put = %v", err)
	}
}

// xfsGoingDown makes an XFS fail everything with EIO, as when its disk is pulled out.
const xfsGoingDown = 0x8004587d

func TestADiskThatDies(t *testing.T) {
	dir, device := xfsOn(t)
	s := openIn(t, Config{}, filepath.Join(dir, "store"))
	_, loc := putData(t, s)
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	checkOpens(t, s, loc)
	if err := unix.IoctlSetPointerInt(int(f.Fd()), xfsGoingDown, 1); err != nil { // with what is in the log
		t.Fatal(err)
	}
	checkOffline(t, s, loc)
	if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	f.Close()
	checkOffline(t, s, loc)
	mount(t, device, dir)
	checkOpens(t, s, loc)
	putData(t, s)
}

// Who cleans up removes empty directories; the next write makes them again, durably.
func TestAnEmptyShardIsRemoved(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, Config{}, dir)
	obj, loc := putData(t, s)
	if err := s.Delete(t.Context(), loc); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, shardOf(obj.Name))); err != nil {
		t.Fatal(err)
	}
	steps := &faulty{}
	s.fault = steps.step
	if _, err := s.Put(t.Context(), obj, storetest.NewSource([]byte("data"), 4)); err != nil {
		t.Fatal(err)
	}
	if want := []string{stepMakeShard, stepSyncRoot}; len(steps.seen) < 2 || steps.seen[0] != want[0] || steps.seen[1] != want[1] {
		t.Errorf("steps %q, want them to begin with %q", steps.seen, want)
	}
	checkOpens(t, s, loc)
}

// One temporary file that cannot be removed keeps no other one.
func TestSweepGoesOn(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, Config{}, dir)
	tmp := filepath.Join(dir, tmpName)
	if err := os.Mkdir(tmp, dirMode); err != nil {
		t.Fatal(err)
	}
	for i, mode := range []os.FileMode{0o600, 0, 0o600, 0, 0o600} {
		if err := os.WriteFile(filepath.Join(tmp, tmpPrefix+string(rune('a'+i))), nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	asOwner(t, dir, func() {
		if n, err := s.Sweep(t.Context()); n != 3 || !errors.Is(err, fs.ErrPermission) {
			t.Errorf("Sweep = %d, %v, want 3 and %v", n, err, fs.ErrPermission)
		}
	})
	if n, err := s.Sweep(t.Context()); n != 2 && os.Getuid() == 0 || (err != nil) != (os.Getuid() != 0) {
		t.Errorf("Sweep once they can be removed = %d, %v, want 2", n, err)
	}
}
