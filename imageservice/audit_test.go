package imageservice_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/metadata"
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

// TestAuditOfDeactivatedImages takes the data of an image away that comes back when it is reactivated.
func TestAuditOfDeactivatedImages(t *testing.T) {
	dir := t.TempDir()
	svc := open(t, dir, nil)
	s := session{svc.As(admin)}
	img := active(t, s, "disk", "data")
	if err := s.Deactivate(t.Context(), img.ID); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(objectFile(dir, img.ID)); err != nil {
		t.Fatal(err)
	}
	var found []imageservice.Finding
	if err := svc.Audit(t.Context(), func(f imageservice.Finding) { found = append(found, f) }); err != nil {
		t.Error(err)
	}
	if len(found) != 1 || found[0].ImageID != img.ID || !strings.Contains(found[0].Problem, "missing") {
		t.Errorf("the audit found %+v, want image %s without its data", found, img.ID)
	}
}

// removing is a store in which an image loses this copy while the audit looks for it.
type removing struct {
	imagestore.Writer
	remove func()
}

func (r removing) Open(context.Context, image.Location) (imagestore.Reader, error) {
	r.remove()
	return nil, image.ErrDataMissing
}

func TestAuditOfACopyThatIsDeletedMeanwhile(t *testing.T) {
	dir, db := t.TempDir(), openDB(t, t.TempDir())
	img := active(t, session{openOn(t, db, dir, nil, false).As(admin)}, "disk", "data")
	svc := openOn(t, db, dir, func(w imagestore.Writer) imagestore.Writer {
		return removing{w, func() {
			img.Locations[0].URL += "-elsewhere"
			if err := db.Update(t.Context(), func(tx metadata.WriteTx) error { return tx.SaveImage(img) }); err != nil {
				t.Error(err)
			}
		}}
	}, false)
	if err := svc.Audit(t.Context(), func(f imageservice.Finding) {
		if f.ImageID != "" {
			t.Errorf("the audit found %+v", f)
		}
	}); err != nil {
		t.Error(err)
	}
}

// manyImages is a database of nothing but active images, and slow a store that takes a millisecond for each.
type manyImages struct {
	metadata.DB
	metadata.Tx
	n int64
}

func (m manyImages) View(ctx context.Context, fn func(metadata.Tx) error) error { return fn(m) }

func (manyImages) UpdateFreeing(context.Context, func(metadata.WriteTx) error) error { return nil } // of the heart

func (m manyImages) EveryImage(after int64, limit int) (page []*image.Image, err error) {
	for n := after + 1; n <= min(m.n, after+int64(limit)); n++ {
		page = append(page, &image.Image{Number: n, ID: image.NewID(), Status: image.Active, Locations: []image.Location{{Store: "slow"}}})
	}
	return page, nil
}

type slow struct {
	imagestore.Writer
	asked func()
}

func (s slow) Open(context.Context, image.Location) (imagestore.Reader, error) {
	time.Sleep(time.Millisecond) // the bubble's clock
	s.asked()
	return nothing{}, nil
}

type nothing struct{ imagestore.Reader }

func (nothing) Size() int64  { return 0 }
func (nothing) Close() error { return nil }

// TestAuditLeavesTimeToOthers measures how long an audit takes whose work is a second, while callers ask for something and
// while they don't.
func TestAuditLeavesTimeToOthers(t *testing.T) {
	for _, tt := range []struct {
		name     string
		served   bool
		from, to time.Duration
	}{
		{"idle", false, 1900 * time.Millisecond, 2100 * time.Millisecond},
		{"served", true, 9500 * time.Millisecond, 10500 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var svc *imageservice.Service
				store := slow{asked: func() {
					if tt.served {
						svc.As(admin)
					}
				}}
				svc = openWith(t, imageservice.Config{DB: manyImages{n: 1000}}, imagestore.Entry{ID: "slow", Store: store, Default: true})
				start := time.Now()
				if err := svc.Audit(t.Context(), func(f imageservice.Finding) { t.Errorf("the audit found %+v", f) }); err != nil {
					t.Error(err)
				}
				if took := time.Since(start); took < tt.from || took > tt.to {
					t.Errorf("the audit took %v, want %v to %v", took, tt.from, tt.to)
				}
			})
		})
	}
}
