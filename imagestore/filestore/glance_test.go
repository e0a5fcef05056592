package filestore

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
)

// A directory of Glance, in which files lie beside each other, becomes one of the store where it is allowed to hold things.
func TestDirectoryOfGlance(t *testing.T) {
	dir := t.TempDir()
	id := image.NewID()
	file := filepath.Join(dir, string(id))
	if err := os.WriteFile(file, []byte("data of old"), 0o640); err != nil {
		t.Fatal(err)
	}
	if s, err := tryOpen(Config{}, dir); err == nil {
		s.Close()
		t.Fatal("a directory that holds things is taken for an empty one")
	}
	s := openIn(t, Config{Occupied: true}, dir)
	loc := image.Location{Store: "local", URL: "file://" + file}
	read := func(loc image.Location) string {
		t.Helper()
		r, err := s.Open(t.Context(), loc)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		data := make([]byte, r.Size())
		if _, err := r.ReadAt(t.Context(), data, 0); err != nil && err != io.EOF {
			t.Fatal(err)
		}
		return string(data)
	}
	moved := image.Location{Store: "local", URL: "file:///var/lib/glance/images/" + string(id)}
	for _, l := range []image.Location{loc, moved} {
		if got := read(l); got != "data of old" {
			t.Errorf("%s is %q", l, got)
		}
	}
	var found []string
	err := s.Audit(t.Context(), func(f imagestore.Finding) error {
		found = append(found, f.Location.URL+f.Foreign)
		return nil
	})
	if err != nil || strings.Join(found, " ") != loc.URL {
		t.Errorf("the audit finds %q, %v, want %s", found, err, loc.URL)
	}
	if err := s.Delete(t.Context(), loc); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the deleted file is still there (%v)", err)
	}
	if _, err := s.Open(t.Context(), loc); !errors.Is(err, image.ErrDataMissing) {
		t.Errorf("opening it then: %v", err)
	}
}
