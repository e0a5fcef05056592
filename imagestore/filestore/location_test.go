package filestore

import (
	"path"
	"path/filepath"
	"slices"
	"testing"

	"github.com/vitrine-image/vitrine/image"
)

// Whatever a location says, it leads to the path of an object below a directory of the store, or nowhere.
func FuzzResolve(f *testing.F) {
	dir := f.TempDir()
	s, err := tryOpen(Config{}, filepath.Join(dir, "a b"), filepath.Join(dir, "ü%?#"))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Close() })
	id := "1b4e28ba-2fa1-11d2-883f-0016d3cca427"
	for _, d := range s.dirs {
		f.Add("local", s.location(d, "1b/"+id).URL)
	}
	for _, url := range []string{"", "file:///srv/a b/1b/" + id, "file:///srv/../1b/" + id, "file://host/srv/1b/" + id,
		"file:///srv/1b/" + id + "%2f..", "FILE:///srv/1b/" + id, "file:/srv/1b/" + id, "file:///srv//1b/" + id, "file:///1b/" + id} {
		f.Add("local", url)
	}
	f.Fuzz(func(t *testing.T, store, url string) {
		d, p, err := s.resolve(image.Location{Store: store, URL: url})
		if err != nil {
			return
		}
		if store != "local" || !slices.Contains(s.dirs, d) || !isObjectPath(p) || path.Base(url) != path.Base(p) {
			t.Errorf("resolve(%s, %q) = %s, %q", store, url, d.path, p)
		}
	})
}

func TestResolveWhatLocationGives(t *testing.T) {
	s := &Store{id: "local", dirs: []*directory{{path: "/srv/a b"}, {path: "/srv/ü%?#"}, {path: "/"}}}
	for _, d := range s.dirs {
		const p = "1b/1b4e28ba-2fa1-11d2-883f-0016d3cca427.2"
		if got, gotPath, err := s.resolve(s.location(d, p)); got != d || gotPath != p || err != nil {
			t.Errorf("resolve(%v) = %v, %s, %v, want %s, %s", s.location(d, p), got, gotPath, err, d.path, p)
		}
	}
}
