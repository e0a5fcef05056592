package metadatatest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadata"
)

func testPins(t *testing.T, db metadata.DB) {
	img, other := newImage(), newImage()
	create(t, db, img, other)
	wantPins := func(number int64, want ...image.Pin) {
		t.Helper()
		view(t, db, func(tx metadata.Tx) error {
			got, err := tx.Pins(number)
			if err == nil && !slices.EqualFunc(got, want, func(a, b image.Pin) bool { return a.Guest == b.Guest && a.CreatedAt.Equal(b.CreatedAt) }) {
				t.Errorf("Pins = %v, want %v", got, want)
			}
			return err
		})
	}
	wantPins(img.Number)
	first := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	later := first.Add(time.Hour)
	update(t, db, func(tx metadata.WriteTx) error {
		return errors.Join(tx.AddPin(img.Number, "web-1", first), tx.AddPin(img.Number, "a / guest", later), tx.AddPin(other.Number, "web-1", later),
			tx.AddPin(img.Number, "web-1", later)) // is no news
	})
	wantPins(img.Number, image.Pin{Guest: "a / guest", CreatedAt: later}, image.Pin{Guest: "web-1", CreatedAt: first})
	update(t, db, func(tx metadata.WriteTx) error { return tx.RemovePin(img.Number, "a / guest") })
	wantPins(img.Number, image.Pin{Guest: "web-1", CreatedAt: first})

	gone := other.Clone()
	gone.Status = image.Deleted
	save(t, db, gone)
	wantPins(other.Number)
	for what, tt := range map[string]struct {
		change func(tx metadata.WriteTx) error
		want   error
	}{
		"AddPin of a deleted image":      {func(tx metadata.WriteTx) error { return tx.AddPin(other.Number, "web-1", first) }, image.ErrNotFound},
		"AddPin for nobody":              {func(tx metadata.WriteTx) error { return tx.AddPin(img.Number, "", first) }, image.ErrInvalid},
		"RemovePin of what is no guest":  {func(tx metadata.WriteTx) error { return tx.RemovePin(img.Number, "a / guest") }, image.ErrNotFound},
		"RemovePin of what is not there": {func(tx metadata.WriteTx) error { return tx.RemovePin(1<<40, "web-1") }, image.ErrNotFound},
	} {
		wantError(t, what, db.Update(context.Background(), tt.change), tt.want)
	}
	wantPins(img.Number, image.Pin{Guest: "web-1", CreatedAt: first})
}
