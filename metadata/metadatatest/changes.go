package metadatatest

import (
	"context"
	"fmt"
	"reflect"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadata"
)

func changes(t *testing.T, db metadata.DB, after int64, limit int) (found []image.Change) {
	t.Helper()
	view(t, db, func(tx metadata.Tx) (err error) {
		found, err = tx.Changes(after, limit)
		return err
	})
	return found
}

func lastChange(t *testing.T, db metadata.DB) (last int64) {
	t.Helper()
	view(t, db, func(tx metadata.Tx) (err error) {
		last, err = tx.LastChange()
		return err
	})
	return last
}

func testChanges(t *testing.T, db metadata.DB) {
	if n := lastChange(t, db); n != 0 {
		t.Errorf("LastChange of an empty feed = %d", n)
	}
	img := newImage()
	create(t, db, img)
	before := img.Listed()
	img.Name, img.Tags, img.Visibility, img.Locations = pointer("new"), nil, image.Public, img.Locations[1:] // without the file
	save(t, db, img)
	after := img.Listed()
	save(t, db, img)
	gone := img.Clone()
	gone.Status = image.Deleted
	save(t, db, gone)
	got := changes(t, db, 0, 100)
	want := []struct{ before, after *image.Listed }{{nil, before}, {before, after}, {after, after}, {after, nil}}
	if len(got) != len(want) {
		t.Fatalf("%d changes, want %d: %+v", len(got), len(want), got)
	}
	last := int64(0)
	for i, c := range got {
		if c.Sequence <= last || c.Number != img.Number || c.ID != img.ID || c.Time.IsZero() {
			t.Errorf("change %d is %+v after sequence %d", i, c, last)
		}
		last = c.Sequence
		if !reflect.DeepEqual(c.Before, want[i].before) || !reflect.DeepEqual(c.After, want[i].after) {
			t.Errorf("change %d is from %+v to %+v, want from %+v to %+v", i, c.Before, c.After, want[i].before, want[i].after)
		}
	}
	if n := lastChange(t, db); n != last {
		t.Errorf("LastChange = %d, want %d", n, last)
	}
	if rest := changes(t, db, got[1].Sequence, 1); len(rest) != 1 || rest[0].Sequence != got[2].Sequence {
		t.Errorf("one change after the second = %+v", rest)
	}
	if none := changes(t, db, last, 10); len(none) != 0 {
		t.Errorf("changes after the last = %+v", none)
	}
	if err := db.Update(ctx, func(tx metadata.WriteTx) error {
		if err := tx.CreateImage(queued()); err != nil {
			return err
		}
		return image.ErrConflict
	}); err == nil || lastChange(t, db) != last {
		t.Errorf("an update that failed with %v moved the feed to %d", err, lastChange(t, db))
	}
}

func testChangesDropped(t *testing.T, db metadata.DB) {
	for range 4 {
		create(t, db, queued())
	}
	all := changes(t, db, 0, 10)
	dropSome := func(through int64, limit int, wantMore bool) {
		t.Helper()
		update(t, db, func(tx metadata.WriteTx) error {
			more, err := tx.DropChanges(through, limit)
			if more != wantMore {
				t.Errorf("DropChanges(%d, %d) says that more to remove is %v", through, limit, more)
			}
			return err
		})
	}
	drop := func(through int64) {
		t.Helper()
		dropSome(through, 1000, false)
	}
	lost := func(after int64, want error) {
		t.Helper()
		err := db.View(ctx, func(tx metadata.Tx) error {
			_, err := tx.Changes(after, 10)
			return err
		})
		wantError(t, fmt.Sprint("Changes after ", after), err, want)
	}
	dropSome(all[1].Sequence, 1, true)
	lost(0, metadata.ErrChangesLost)
	lost(all[0].Sequence, nil)
	dropSome(all[1].Sequence, 1, false)
	lost(all[0].Sequence, metadata.ErrChangesLost)
	lost(all[1].Sequence, nil)
	lost(all[3].Sequence+1, metadata.ErrChangesLost) // from another past
	drop(all[0].Sequence)
	if got := changes(t, db, all[1].Sequence, 10); len(got) != 2 {
		t.Errorf("changes that stay: %+v", got)
	}
	drop(all[3].Sequence + 1000)
	if last := lastChange(t, db); last != all[3].Sequence {
		t.Errorf("LastChange = %d once all are dropped, want %d", last, all[3].Sequence)
	}
	lost(all[3].Sequence, nil)
	lost(all[2].Sequence, metadata.ErrChangesLost)
	create(t, db, queued())
	if got := changes(t, db, all[3].Sequence, 10); len(got) != 1 || got[0].Sequence <= all[3].Sequence {
		t.Errorf("the change after all were dropped: %+v", got)
	}
}

func testWaitChange(t *testing.T, db metadata.DB) {
	create(t, db, queued())
	last := lastChange(t, db)
	if err := db.WaitChange(ctx, last-1); err != nil {
		t.Errorf("WaitChange for what happened = %v", err)
	}
	ended, end := context.WithCancel(ctx)
	end()
	wantError(t, "WaitChange with an ended context", db.WaitChange(ended, last), ended.Err())
	done := make(chan error)
	for range 3 {
		go func() { done <- db.WaitChange(ctx, last+1) }()
	}
	create(t, db, queued()) // not enough
	select {
	case err := <-done:
		t.Errorf("WaitChange came back early: %v", err)
	default:
	}
	create(t, db, queued())
	for range 3 {
		if err := <-done; err != nil {
			t.Errorf("WaitChange = %v", err)
		}
	}
	if n := lastChange(t, db); n != last+2 {
		t.Errorf("LastChange = %d, want %d", n, last+2)
	}
	if err := db.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
	wantError(t, "WaitChange of a closed database", db.WaitChange(ctx, last+2), image.ErrUnavailable)
	wantError(t, "View of a closed database", db.View(ctx, func(metadata.Tx) error { return nil }), image.ErrUnavailable)
	wantError(t, "Update of a closed database", db.Update(ctx, func(metadata.WriteTx) error { return nil }), image.ErrUnavailable)
}
