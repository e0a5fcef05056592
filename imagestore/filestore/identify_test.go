package filestore

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/imagestore/storetest"
)

func TestIdentityStays(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "on", "the way")
	first := openIn(t, Config{}, dir)
	if _, ok := image.ParseID(first.UUID()); !ok {
		t.Fatalf("UUID = %q", first.UUID())
	}
	for _, known := range []string{"", first.UUID()} {
		if got := openIn(t, Config{UUID: known}, dir).UUID(); got != first.UUID() {
			t.Errorf("opened again with UUID %q: UUID = %q, want %q", known, got, first.UUID())
		}
	}
}

// A disk that is not mounted leaves an empty directory, or none.
func TestUnmountedDisk(t *testing.T) {
	for _, left := range []string{"an empty directory", "nothing", "a file", "other things"} {
		t.Run(left, func(t *testing.T) {
			parent := t.TempDir()
			dir, away := filepath.Join(parent, "disk"), filepath.Join(parent, "away")
			s := openIn(t, Config{}, dir)
			obj := storetest.NewObject()
			loc, err := s.Put(t.Context(), obj, storetest.NewSource([]byte("data"), 4))
			if err != nil {
				t.Fatal(err)
			}
			s.Close()
			move(t, dir, away)
			switch left {
			case "an empty directory", "other things":
				if err := os.Mkdir(dir, 0o750); err != nil {
					t.Fatal(err)
				}
				if left == "other things" {
					move(t, secret(t), filepath.Join(dir, "secret"))
				}
			case "a file":
				move(t, secret(t), dir)
			}
			s = openIn(t, Config{UUID: s.UUID()}, dir)
			checkOffline(t, s, loc)
			if _, err := os.Stat(filepath.Join(dir, markerName)); err == nil {
				t.Error("the directory was marked anew")
			}
			if got := s.Locate(obj); got.URL != loc.URL {
				t.Errorf("Locate = %v, want %v", got, loc)
			}
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			move(t, away, dir) // mounted
			if r, err := s.Open(t.Context(), loc); err != nil {
				t.Errorf("Open once the disk is there = %v", err)
			} else {
				r.Close()
			}
		})
	}
}

func checkOffline(t *testing.T, s *Store, loc image.Location) {
	t.Helper()
	_, openErr := s.Open(t.Context(), loc)
	_, putErr := s.Put(t.Context(), storetest.NewObject(), storetest.NewSource([]byte("x"), 1))
	_, spaceErr := s.Space(t.Context())
	_, sweepErr := s.Sweep(t.Context())
	for call, err := range map[string]error{
		"Open":   openErr,
		"Put":    putErr,
		"Space":  spaceErr,
		"Sweep":  sweepErr,
		"Delete": s.Delete(t.Context(), loc),
		"Audit": s.Audit(t.Context(), func(f imagestore.Finding) error {
			t.Errorf("Audit of an offline store finds %s", f.Path)
			return nil
		}),
	} {
		if !errors.Is(err, image.ErrStoreOffline) {
			t.Errorf("%s = %v, want %v", call, err, image.ErrStoreOffline)
		}
	}
}

// With one of two disks away the other one serves on, also when no database remembers the store.
func TestOneOfTwoDisksIsUnmounted(t *testing.T) {
	parent := t.TempDir()
	one, two, away := filepath.Join(parent, "one"), filepath.Join(parent, "two"), filepath.Join(parent, "away")
	s := openIn(t, Config{}, one)
	s.Close()
	s = openIn(t, Config{UUID: s.UUID()}, one, two) // the second one is new
	obj := storetest.NewObject()
	s.dirs[0].priority, s.dirs[1].priority = 0, 1
	s.dirs[0], s.dirs[1] = s.dirs[1], s.dirs[0]
	lost, err := s.Put(t.Context(), obj, storetest.NewSource([]byte("on two"), 4))
	if err != nil || !strings.Contains(lost.URL, two) {
		t.Fatalf("Put = %v, %v, want it in %s", lost, err, two)
	}
	s.Close()
	move(t, two, away)
	if err := os.Mkdir(two, 0o750); err != nil {
		t.Fatal(err)
	}
	for _, known := range []string{"", s.UUID()} {
		s := openIn(t, Config{UUID: known}, one, two)
		if _, err := s.Open(t.Context(), lost); !errors.Is(err, image.ErrStoreOffline) {
			t.Errorf("Open on the disk that is away = %v, want %v", err, image.ErrStoreOffline)
		}
		if got := s.Locate(obj); got.URL != lost.URL {
			t.Errorf("Locate of what is not on the disk that is there = %v, want %v", got, lost)
		}
		if err := s.Audit(t.Context(), func(imagestore.Finding) error { return nil }); !errors.Is(err, image.ErrStoreOffline) {
			t.Errorf("Audit = %v, want %v", err, image.ErrStoreOffline)
		}
		if space, err := s.Space(t.Context()); err != nil || space.Total <= 0 {
			t.Errorf("Space = %+v, %v, want that of the disk that is there", space, err)
		}
		loc, err := s.Put(t.Context(), storetest.NewObject(), storetest.NewSource([]byte("on one"), 4))
		if err != nil || !strings.Contains(loc.URL, one) {
			t.Errorf("Put = %v, %v, want it in %s", loc, err, one)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	parent := t.TempDir()
	mine, other, used, damaged, linked := filepath.Join(parent, "mine"), filepath.Join(parent, "other"),
		filepath.Join(parent, "used"), filepath.Join(parent, "damaged"), filepath.Join(parent, "linked")
	openIn(t, Config{}, mine)
	openIn(t, Config{}, other)
	for _, dir := range []string{used, damaged, linked} {
		if err := os.Mkdir(dir, 0o750); err != nil {
			t.Fatal(err)
		}
	}
	move(t, secret(t), filepath.Join(used, "precious"))
	move(t, secret(t), filepath.Join(damaged, markerName))
	plant(t, "symbolic link", filepath.Join(linked, markerName), filepath.Join(mine, markerName))
	for name, dirs := range map[string][]string{
		"no directory":              {},
		"an empty path":             {""},
		"a directory twice":         {mine, mine + "/."},
		"a directory in another":    {mine, mine + "/sub"},
		"two stores":                {mine, other},
		"a directory in use":        {used},
		"a damaged marker":          {damaged},
		"a marker that is a link":   {linked},
		"a file":                    {filepath.Join(used, "precious")},
		"what lies below a file":    {filepath.Join(used, "precious", "x")},
		"one more directory in use": {mine, used},
	} {
		if s, err := tryOpen(Config{}, dirs...); err == nil {
			s.Close()
			t.Errorf("Open of %s succeeds", name)
		}
	}
	if s, err := tryOpen(Config{MinFree: -1}, mine); err == nil {
		s.Close()
		t.Error("Open with negative space to keep succeeds")
	}
	checkSecret(t, filepath.Join(used, "precious"))
}

// The marker of another store means that the wrong disk is mounted.
func TestWrongDisk(t *testing.T) {
	dir := t.TempDir()
	openIn(t, Config{}, dir).Close()
	s := openIn(t, Config{UUID: string(image.NewID())}, dir)
	checkOffline(t, s, s.Locate(storetest.NewObject()))
}

// Freshly made file systems and first starts that were cut off count as empty.
func TestFirstUseOfAnUnfinishedDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "lost+found"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, markerName+".new"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := openIn(t, Config{}, dir)
	checkEmpty(t, s, "at first")
}

func move(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.Stat(from)
	if err == nil && !data.IsDir() { // perhaps to another file system
		var b []byte
		if b, err = os.ReadFile(from); err == nil {
			err = os.WriteFile(to, b, 0o600)
		}
	} else if err == nil {
		err = os.Rename(from, to)
	}
	if err != nil {
		t.Fatal(err)
	}
}
