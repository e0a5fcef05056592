package imageservice_test

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/imagestore/faultstore"
	"github.com/vitrine-image/vitrine/metadata"
	"github.com/vitrine-image/vitrine/metadata/faultdb"
)

// TestFaultsOfTheStore and TestFaultsOfTheDatabase fail every single step of an upload, a second one and a deletion,
// with and without its effect, and then let another instance sweep, as after a crash. The project has a quota, within which
// the uploads reserve all at once or as they go on.
func TestFaultsOfTheStore(t *testing.T) {
	for _, size := range []int64{int64(len(lifeData)), -1} {
		for _, when := range []faultstore.When{faultstore.Before, faultstore.After} {
			for n := 1; ; n++ {
				dir := t.TempDir()
				db, faulty := openDB(t, dir), faultstore.New(openFiles(t, "local", filepath.Join(dir, "images")), n, when)
				l := life{t: t, what: fmt.Sprintf("call %d of the store fails, %v, size %d", n, when, size), size: size}
				l.live(db, faulty)
				l.verify(db, dir)
				if !faulty.Fired() {
					break
				}
			}
		}
	}
}

func TestFaultsOfTheDatabase(t *testing.T) {
	for _, size := range []int64{int64(len(lifeData)), -1} {
		for _, after := range []bool{false, true} {
			for n := 1; ; n++ {
				dir := t.TempDir()
				db := &faultdb.DB{DB: openDB(t, dir), Nth: n + 1, After: after} // the first registers the instance
				l := life{t: t, what: fmt.Sprintf("update %d of the database fails, after its effect: %v, size %d", n, after, size), size: size}
				l.live(db, openFiles(t, "local", filepath.Join(dir, "images")))
				l.verify(db.DB, dir)
				if !db.Fired {
					break
				}
			}
		}
	}
}

// A life is what two images go through, and what the service said of it.
type life struct {
	t            *testing.T
	what         string
	size         int64 // announced
	ids          [2]image.ID
	stored, gone [2]bool // acknowledged
}

var lifeData = bytes.Repeat([]byte("life"), 50_000)

func (l *life) live(db metadata.DB, store imagestore.Writer) {
	svc := openWith(l.t, imageservice.Config{DB: db, Quotas: quotasOf(imageservice.Quota{Size: mega, Staged: 0, Images: 2, Uploading: 1})},
		imagestore.Entry{ID: "local", Store: store, Default: true, Local: true})
	s := session{svc.As(admin)}
	for i := range l.ids {
		l.ids[i] = image.NewID()
		if _, err := s.Create(l.t.Context(), l.ids[i], []image.Edit{{Op: image.EditAdd, Name: "disk_format", Value: "raw"},
			{Op: image.EditAdd, Name: "container_format", Value: "bare"}}); err != nil && !errors.Is(err, image.ErrUnavailable) {
			l.t.Errorf("%s: create: %v", l.what, err)
		}
		l.stored[i] = s.Upload(l.t.Context(), l.ids[i], bytes.NewReader(lifeData), l.size) == nil
	}
	l.gone[1] = s.Delete(l.t.Context(), l.ids[1]) == nil
}

// verify lets a new instance sweep and compares.
func (l *life) verify(db metadata.DB, dir string) {
	l.t.Helper()
	svc := openOn(l.t, db, dir, nil, false)
	if err := errors.Join(svc.BuryOthers(l.t.Context()), svc.Sweep(l.t.Context(), anyStore)); err != nil {
		l.t.Errorf("%s: sweep: %v", l.what, err)
	}
	s := session{svc.As(admin)}
	var active, there int
	for i, id := range l.ids {
		img, err := s.Get(l.t.Context(), id)
		if err == nil {
			there++
		}
		switch {
		case errors.Is(err, image.ErrNotFound):
			if l.stored[i] && i == 0 {
				l.t.Errorf("%s: image %d was acknowledged and is gone", l.what, i)
			}
		case err != nil:
			l.t.Errorf("%s: %v", l.what, err)
		case l.gone[i]:
			l.t.Errorf("%s: image %d was deleted and is %s", l.what, i, img.Status)
		case img.Status == image.Active:
			active++
			if got, err := s.Download(l.t.Context(), id); err != nil || !bytes.Equal(got, lifeData) {
				l.t.Errorf("%s: image %d is active with %d bytes, %v", l.what, i, len(got), err)
			}
		case img.Status != image.Queued || l.stored[i]:
			l.t.Errorf("%s: image %d is %s, acknowledged %v", l.what, i, img.Status, l.stored[i])
		}
	}
	if got, want := usageOf(l.t, db, "p1"), (image.Usage{Images: int64(there), Bytes: int64(active * len(lifeData))}); got != want {
		l.t.Errorf("%s: usage %+v, want %+v", l.what, got, want)
	}
	if n := files(l.t, dir); n != active {
		l.t.Errorf("%s: %d files of %d active images", l.what, n, active)
	}
	if err := svc.Audit(l.t.Context(), func(f imageservice.Finding) { l.t.Errorf("%s: the audit found %+v", l.what, f) }); err != nil {
		l.t.Errorf("%s: audit: %v", l.what, err)
	}
}
