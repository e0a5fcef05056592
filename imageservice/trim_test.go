package imageservice_test

import (
	"errors"
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
