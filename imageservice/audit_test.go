package imageservice_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
	"github.com/vitrine-image/vitrine/imagestore"
)

// TestAudit puts what does not belong there into a store's directory, and takes away what does.
func TestAudit(t *testing.T) {
	dir := t.TempDir()
	svc := open(t, dir, nil)
	s := session{svc.As(admin)}
	kept, lost := active(t, s, "kept", "data"), active(t, s, "lost", "data")
	if err := os.Remove(objectFile(dir, lost.ID)); err != nil {
		t.Fatal(err)
	}
	orphan := objectFile(dir, image.NewID())
	link := filepath.Join(dir, "images", "link")
	if err := os.MkdirAll(filepath.Dir(orphan), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(orphan, []byte("whose?"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", link); err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	if err := svc.Audit(t.Context(), func(f imageservice.Finding) { found[f.Path+string(f.ImageID)] = f.Problem }); err != nil {
		t.Fatal(err)
	}
	for what, want := range map[string]string{orphan: "no image has this data", link: "link", string(lost.ID): "missing"} {
		if !strings.Contains(found[what], want) {
			t.Errorf("of %s the audit says %q, want %q", what, found[what], want)
		}
	}
	if len(found) != 3 {
		t.Errorf("the audit found %q", found)
	}
	if _, err := os.Stat(objectFile(dir, kept.ID)); err != nil {
		t.Errorf("the audit touched an image: %v", err)
	}
}

// TestStoresCanBeMoved opens the service on directories that lie somewhere else than when the data was stored.
func TestStoresCanBeMoved(t *testing.T) {
	before, after := filepath.Join(t.TempDir(), "before"), filepath.Join(t.TempDir(), "after")
	db := openDB(t, t.TempDir())
	img := active(t, session{openOn(t, db, before, nil, false).As(admin)}, "disk", "data")
	if err := os.Rename(before, after); err != nil {
		t.Fatal(err)
	}
	svc := openOn(t, db, after, nil, false)
	s := session{svc.As(admin)}
	if got, err := s.Download(t.Context(), img.ID); string(got) != "data" {
		t.Errorf("Download = %q, %v", got, err)
	}
	if err := svc.Audit(t.Context(), func(f imageservice.Finding) { t.Errorf("the audit found %+v", f) }); err != nil {
		t.Error(err)
	}
	if err := s.Delete(t.Context(), img.ID); err != nil {
		t.Error(err)
	}
	if n := files(t, after); n != 0 {
		t.Errorf("%d files after the deletion", n)
	}
}

// offline is a store whose disk is not mounted.
type offline struct{ imagestore.Writer }

func (offline) Open(context.Context, image.Location) (imagestore.Reader, error) {
	return nil, image.Errorf(image.ErrStoreOffline, "the disk is not mounted")
}

// TestAuditWhileADiskIsAway wants one finding for all the images that one disk keeps from being read.
func TestAuditWhileADiskIsAway(t *testing.T) {
	dir, db := t.TempDir(), openDB(t, t.TempDir())
	svc := openOn(t, db, dir, nil, false)
	for _, name := range []string{"a", "b", "c"} {
		active(t, session{svc.As(admin)}, name, "data")
	}
	svc = openOn(t, db, dir, func(w imagestore.Writer) imagestore.Writer { return offline{w} }, false)
	var found []imageservice.Finding
	if err := svc.Audit(t.Context(), func(f imageservice.Finding) { found = append(found, f) }); err != nil {
		t.Error(err)
	}
	if len(found) != 1 || found[0].Problem != "the disk is not mounted (and the data of 2 more images)" {
		t.Errorf("the audit found %+v, want one finding for all images", found)
	}
}
