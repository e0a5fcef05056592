package imageservice_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadata"
)

// TestTrimChanges drops more changes than one transaction does.
func TestTrimChanges(t *testing.T) {
	dir := t.TempDir()
	db := openDB(t, dir)
	svc := openOn(t, db, dir, nil, false)
	const made, keep = 4500, 300
	err := db.Update(t.Context(), func(tx metadata.WriteTx) error {
		for range made {
			if err := tx.CreateImage(&image.Image{ID: image.NewID(), Status: image.Queued, Visibility: image.Shared}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := svc.TrimChanges(t.Context(), keep); err != nil {
		t.Fatalf("TrimChanges = %v", err)
	}
	err = db.View(t.Context(), func(tx metadata.Tx) error {
		last, err := tx.LastChange()
		if err != nil {
			return err
		}
		if _, err := tx.Changes(last-keep-1, 1); !errors.Is(err, metadata.ErrChangesLost) {
			t.Errorf("a change that should be dropped is there: %v", err)
		}
		kept, err := tx.Changes(last-keep, made)
		if len(kept) != keep {
			t.Errorf("%d changes are kept, want %d", len(kept), keep)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestDropLabels renames an image more often than one transaction drops names.
func TestDropLabels(t *testing.T) {
	dir := t.TempDir()
	db := openDB(t, dir)
	svc := openOn(t, db, dir, nil, false)
	img := active(t, session{svc.As(admin)}, "first", "data")
	const names, keep = 1300, 100
	count := func() (n int) {
		t.Helper()
		err := db.View(t.Context(), func(tx metadata.Tx) error {
			for number := range int64(names + 10) {
				if _, err := tx.LabelByNumber(metadata.LabelName, number); err == nil {
					n++
				} else if !errors.Is(err, image.ErrNotFound) {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	err := db.Update(t.Context(), func(tx metadata.WriteTx) error {
		for i := range names {
			name := fmt.Sprint("name ", i)
			img.Name = &name
			if err := tx.SaveImage(img); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := count(); n != names+1 {
		t.Fatalf("%d names are known, want %d", n, names+1)
	}
	if err := svc.DropLabels(t.Context(), keep); err != nil {
		t.Fatal(err)
	}
	if n := count(); n != keep {
		t.Errorf("%d names are known, want %d", n, keep)
	}
}
