package daemon

import (
	"testing"

	"github.com/vitrine-image/vitrine/image"
)

// TestCopyNumbers differ by all that tells a copy from another: what was cached of a location that was wrong is never taken for data
// at another one.
func TestCopyNumbers(t *testing.T) {
	loc := image.Location{Store: "ceph", URL: "rbd://x", Metadata: map[string]string{image.MetadataVersion: "1", "note": "a"}}
	seen := map[uint64]string{copyNumber(1, loc): "the first"}
	add := func(what string, number int64, edit func(*image.Location)) {
		other := loc
		edit(&other)
		n := copyNumber(number, other)
		if before, taken := seen[n]; taken {
			t.Errorf("%s has the number of %s", what, before)
		}
		seen[n] = what
	}
	add("another image", 2, func(*image.Location) {})
	add("another store", 1, func(l *image.Location) { l.Store = "web" })
	add("another URL", 1, func(l *image.Location) { l.URL = "rbd://y" })
	add("another version", 1, func(l *image.Location) { l.Metadata = map[string]string{image.MetadataVersion: "2"} })
	noted := loc
	noted.Metadata = map[string]string{image.MetadataVersion: "1", "note": "b"}
	if copyNumber(1, noted) != copyNumber(1, loc) {
		t.Error("a note on a location makes its copy another one")
	}
}
