package imageservice_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/imagestore/faultstore"
	"github.com/vitrine-image/vitrine/metadata"
	"github.com/vitrine-image/vitrine/metadata/faultdb"
)

// TestStagingIsHidden keeps clients from naming the staging area.
func TestStagingIsHidden(t *testing.T) {
	svc := openImports(t, openDB(t, t.TempDir()), t.TempDir(), nil)
	for _, store := range svc.Stores() {
		if store.ID != "local" && store.ID != "second" {
			t.Errorf("the store %s is shown", store.ID)
		}
	}
	s := session{svc.As(admin)}
	img := queued(t, s)
	err := s.Session.Upload(t.Context(), img.ID, imageservice.Upload{Body: readsNothing{t}, ContentLength: 1, ExpectedSize: -1, Store: imagestore.Staging})
	if !errors.Is(err, image.ErrInvalid) {
		t.Errorf("Upload to the staging area = %v, want %v", err, image.ErrInvalid)
	}
	_, err = s.Open(t.Context(), img.ID, imageservice.OpenOptions{Prefer: []string{imagestore.Staging}})
	if !errors.Is(err, image.ErrInvalid) {
		t.Errorf("Open from the staging area = %v, want %v", err, image.ErrInvalid)
	}
}

// TestStageRefuses says no before a byte is read.
func TestStageRefuses(t *testing.T) {
	db := openDB(t, t.TempDir())
	svc := openImports(t, db, t.TempDir(), nil)
	without := openOn(t, db, t.TempDir(), nil, false)
	img := queued(t, session{svc.As(admin)})
	reader := image.Caller{ProjectID: admin.ProjectID, Roles: []string{"reader"}}
	for _, tt := range []struct {
		name string
		s    *imageservice.Session
		size int64
		want error
	}{
		{"glance-direct is off", without.As(admin), 1, image.ErrNotFound},
		{"too much", svc.As(admin), imageservice.DefaultLimits.ImageSize + 1, image.ErrTooLarge},
		{"a reader", svc.As(reader), 1, image.ErrForbidden},
	} {
		err := tt.s.Stage(t.Context(), img.ID, imageservice.Upload{Body: readsNothing{t}, ContentLength: tt.size, ExpectedSize: -1})
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: Stage = %v, want %v", tt.name, err, tt.want)
		}
	}
	checkStatus(t, session{svc.As(admin)}, img.ID, image.Queued)
}

// TestImportsNeedAStagingArea refuses a configuration that could not work.
func TestImportsNeedAStagingArea(t *testing.T) {
	for _, methods := range [][]string{{image.ImportStaged}, {"by-mail"}} {
		stores, err := imagestore.NewSet(imagestore.Entry{ID: "local", Store: openFiles(t, "local", t.TempDir()), Default: true})
		if err != nil {
			t.Fatal(err)
		}
		_, err = imageservice.New(imageservice.Config{DB: openDB(t, t.TempDir()), Stores: stores, Ingest: newIngester(t), Instance: "i",
			Import: imageservice.ImportConfig{Methods: methods}})
		if err == nil {
			t.Errorf("methods %q are accepted without a staging area", methods)
		}
	}
}

// TestFaultsOfStaging fails every step of staging twice and deleting one of both, and then lets another instance sweep.
func TestFaultsOfStaging(t *testing.T) {
	for _, when := range []faultstore.When{faultstore.Before, faultstore.After} {
		for n := 1; ; n++ {
			dir, db := t.TempDir(), openDB(t, t.TempDir())
			var faulty *faultstore.Store
			stageLife(t, fmt.Sprintf("call %d of the store fails, %v", n, when), db, db, dir, func(id string, w imagestore.Writer) imagestore.Writer {
				if id != imagestore.Staging {
					return w
				}
				faulty = faultstore.New(w, n, when)
				return faulty
			})
			if !faulty.Fired() {
				break
			}
		}
	}
	for _, after := range []bool{false, true} {
		for n := 1; ; n++ {
			db := &faultdb.DB{DB: openDB(t, t.TempDir()), Nth: n + 1, After: after}
			stageLife(t, fmt.Sprintf("update %d of the database fails, after its effect: %v", n, after), db, db.DB, t.TempDir(), nil)
			if !db.Fired {
				break
			}
		}
	}
}

// stageLife works on a database that may fail, and compares what another instance makes of it on one that does not.
func stageLife(t *testing.T, what string, faulty, db metadata.DB, dir string, wrap func(string, imagestore.Writer) imagestore.Writer) {
	t.Helper()
	s := session{openImports(t, faulty, dir, wrap).As(admin)}
	var ids [2]image.ID
	var staged [2]bool
	for i := range ids {
		ids[i] = image.NewID()
		s.Create(t.Context(), ids[i], rawFormats)
		staged[i] = s.Stage(t.Context(), ids[i], bytes.NewReader(lifeData), -1) == nil
	}
	gone := s.Delete(t.Context(), ids[1]) == nil

	svc := openImports(t, db, dir, nil)
	if err := errors.Join(svc.BuryOthers(t.Context()), svc.Sweep(t.Context(), anyStore)); err != nil {
		t.Errorf("%s: sweep: %v", what, err)
	}
	waiting := 0
	for i, id := range ids {
		img, err := svc.As(admin).Get(t.Context(), id)
		switch {
		case errors.Is(err, image.ErrNotFound):
			if staged[i] && i == 0 {
				t.Errorf("%s: image %d was staged and is gone", what, i)
			}
		case err != nil:
			t.Errorf("%s: %v", what, err)
		case gone && i == 1:
			t.Errorf("%s: image %d was deleted and is %s", what, i, img.Status)
		case img.Status == image.Uploading:
			waiting++
		case img.Status != image.Queued || staged[i]:
			t.Errorf("%s: image %d is %s, acknowledged %v", what, i, img.Status, staged[i])
		}
	}
	if n := files(t, dir); n != waiting {
		t.Errorf("%s: %d files of %d images whose data is staged", what, n, waiting)
	}
	if err := svc.Audit(t.Context(), func(f imageservice.Finding) { t.Errorf("%s: the audit found %+v", what, f) }); err != nil {
		t.Errorf("%s: audit: %v", what, err)
	}
	err := db.View(t.Context(), func(tx metadata.Tx) error {
		uploads, err := tx.Uploads()
		if !slices.Equal(uploads, nil) {
			t.Errorf("%s: reservations are left: %+v", what, uploads)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
