package filestore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/imagestore/storetest"
	"golang.org/x/sys/unix"
)

// plant puts something other than a file at path.
func plant(t *testing.T, kind, path, outside string) {
	t.Helper()
	var err error
	switch kind {
	case "symbolic link":
		err = os.Symlink(outside, path)
	case "named pipe":
		err = unix.Mkfifo(path, 0o600)
	case "directory":
		err = os.Mkdir(path, 0o700)
	case "socket":
		err = unix.Mknod(path, unix.S_IFSOCK|0o600, 0)
	case "device":
		err = unix.Mknod(path, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 5))) // /dev/zero
	}
	if err == unix.EPERM {
		t.Skipf("cannot make a %s: %v", kind, err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

var kinds = []string{"symbolic link", "named pipe", "directory", "socket", "device"}

func TestWhatIsNoFileIsNotOpened(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			dir, outside := t.TempDir(), secret(t)
			s := openIn(t, Config{}, dir)
			obj := storetest.NewObject()
			shard := filepath.Join(dir, shardOf(obj.Name))
			if err := os.Mkdir(shard, 0o750); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(shard, obj.Name)
			plant(t, kind, path, outside)
			if r, err := s.Open(t.Context(), s.Locate(obj)); !errors.Is(err, image.ErrDataMissing) {
				t.Errorf("Open = %v, %v, want %v", r, err, image.ErrDataMissing)
			}
			if _, err := s.Put(t.Context(), obj, storetest.NewSource([]byte("x"), 1)); !errors.Is(err, image.ErrConflict) {
				t.Errorf("Put = %v, want %v", err, image.ErrConflict)
			}
			checkFindings(t, s, map[string]string{path: kind})
			if err := s.Delete(t.Context(), s.Locate(obj)); (err != nil) != (kind == "directory") {
				t.Errorf("Delete = %v", err)
			}
			checkSecret(t, outside)
		})
	}
}

// A link in the place of a directory leads nowhere either.
func TestLinkedDirectoriesAreNotEntered(t *testing.T) {
	dir, outside := t.TempDir(), secret(t)
	s := openIn(t, Config{}, dir)
	obj := storetest.NewObject()
	shard, tmp := filepath.Join(dir, shardOf(obj.Name)), filepath.Join(dir, tmpName)
	for _, link := range []string{shard, tmp} {
		plant(t, "symbolic link", link, filepath.Dir(outside))
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(outside), obj.Name), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(outside), tmpPrefix+"x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{shard, filepath.Join(dir, "..")} {
		r, err := s.Open(t.Context(), image.Location{Store: "local", URL: "file://" + path + "/" + obj.Name})
		if !errors.Is(err, image.ErrDataMissing) {
			t.Errorf("Open below %s = %v, %v, want %v", path, r, err, image.ErrDataMissing)
		}
	}
	if _, err := s.Put(t.Context(), obj, storetest.NewSource([]byte("x"), 1)); err == nil {
		t.Error("Put into a linked directory succeeds")
	}
	if err := s.Delete(t.Context(), image.Location{Store: "local", URL: "file://" + shard + "/" + obj.Name}); err == nil {
		t.Error("Delete in a linked directory succeeds")
	}
	s.fault = withoutUnnamed
	if _, err := s.Put(t.Context(), storetest.NewObject(), storetest.NewSource([]byte("x"), 1)); err == nil {
		t.Error("Put with a linked directory for temporary files succeeds")
	}
	if n, err := s.Sweep(t.Context()); n != 0 || err == nil {
		t.Errorf("Sweep of a linked directory = %d, %v, want an error", n, err)
	}
	checkSecret(t, outside)
	if names, err := os.ReadDir(filepath.Dir(outside)); len(names) != 3 || err != nil {
		t.Errorf("the other directory holds %v, %v, want the 3 files that were there", names, err)
	}
}

func TestForeignThingsAreReported(t *testing.T) {
	dir, outside := t.TempDir(), secret(t)
	s := openIn(t, Config{}, dir)
	want := map[string]string{}
	for _, at := range []string{".", "ab", tmpName} {
		if err := os.MkdirAll(filepath.Join(dir, at), 0o750); err != nil {
			t.Fatal(err)
		}
		for _, kind := range kinds {
			path := filepath.Join(dir, at, "a "+kind)
			plant(t, kind, path, outside)
			want[path] = kind
		}
		for _, name := range []string{"file", "..data", "ab\n", string(image.NewID())[:35], "cd" + string(image.NewID())[2:]} {
			path := filepath.Join(dir, at, name)
			if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
			if want[path] = "file that is no object"; at == "." && imagestore.IsObjectName(name) {
				want[path] = "" // as Glance has it
			}
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "lost+found", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	checkFindings(t, s, want)
	if n, err := s.Sweep(t.Context()); n != 0 || err != nil {
		t.Errorf("Sweep = %d, %v, want it to leave foreign things", n, err)
	}
	checkFindings(t, s, want)
	checkSecret(t, outside)
}

func checkFindings(t *testing.T, s *Store, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	for _, f := range audit(t, s) {
		got[f.Path] = f.Foreign
		if f.Location.Store != "" && f.Foreign != "" {
			t.Errorf("%s is foreign, and has the location %v", f.Path, f.Location)
		}
	}
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		t.Errorf("Audit finds\n%q, want\n%q", got, want)
	}
}

func TestObjectNames(t *testing.T) {
	s := openIn(t, Config{}, t.TempDir())
	id := image.NewID()
	for _, obj := range []imagestore.Object{
		{},
		{ImageID: id},
		{ImageID: "..", Name: ".."},
		{ImageID: "../../etc", Name: "../../etc/passwd"},
		{ImageID: id, Name: string(image.NewID())},
		{ImageID: id, Name: string(id) + "/x"},
		{ImageID: id, Name: string(id) + "/../../x"},
		{ImageID: id, Name: string(id) + "\x00"},
		{ImageID: id, Name: string(id) + " "},
		{ImageID: id, Name: string(id) + string(make([]byte, 300))},
		{ImageID: "1B4E28BA-2FA1-11D2-883F-0016D3CCA427", Name: "1B4E28BA-2FA1-11D2-883F-0016D3CCA427"},
	} {
		if _, err := s.Put(t.Context(), obj, storetest.NewSource([]byte("x"), 1)); !errors.Is(err, image.ErrInvalid) {
			t.Errorf("Put of %q = %v, want %v", obj, err, image.ErrInvalid)
		}
		if loc := s.Locate(obj); loc.URL != "" {
			t.Errorf("Locate(%q) = %v, want no URL", obj, loc)
		}
	}
	checkEmpty(t, s, "afterwards")
}

// secret makes a file that nobody may read or change through the store.
func secret(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func checkSecret(t *testing.T, path string) {
	t.Helper()
	if b, err := os.ReadFile(path); string(b) != "secret" || err != nil {
		t.Errorf("the file outside holds %q, %v", b, err)
	}
}
