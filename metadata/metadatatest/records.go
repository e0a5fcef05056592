package metadatatest

import (
	"context"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadata"
)

func testUploads(t *testing.T, db metadata.DB) {
	img, other := queued(), queued()
	create(t, db, img, other)
	u := image.Upload{ID: "upload-1", Number: img.Number, ImageID: img.ID, Store: "local", Object: string(img.ID), Instance: "i1", Bytes: -1, Started: epoch}
	v := image.Upload{ID: "upload-2", Number: other.Number, ImageID: other.ID, Store: "ceph", Object: "o2", Instance: "i2", Bytes: 1 << 50, Started: epoch.Add(time.Second)}
	update(t, db, func(tx metadata.WriteTx) error {
		if err := tx.AddUpload(v); err != nil {
			return err
		}
		return tx.AddUpload(u)
	})
	view(t, db, func(tx metadata.Tx) error {
		uploads, err := tx.Uploads()
		if err != nil {
			return err
		}
		if want := []image.Upload{u, v}; !reflect.DeepEqual(uploads, want) {
			t.Errorf("Uploads = %+v, want %+v", uploads, want)
		}
		if got, err := tx.Upload(img.Number); err != nil || got != u {
			t.Errorf("Upload = %+v, %v, want %+v", got, err, u)
		}
		_, err = tx.Upload(other.Number + 1)
		wantError(t, "Upload of another image", err, image.ErrNotFound)
		return nil
	})
	for _, tt := range []struct {
		what   string
		change func(*image.Upload)
		want   error
	}{
		{"a second upload of an image", func(u *image.Upload) { u.ID = "upload-3" }, image.ErrConflict},
		{"an upload twice", func(u *image.Upload) {}, image.ErrConflict},
		{"an upload of no image", func(u *image.Upload) { u.ID, u.Number = "upload-3", other.Number+1 }, image.ErrNotFound},
	} {
		changed := u
		tt.change(&changed)
		err := db.Update(ctx, func(tx metadata.WriteTx) error { return tx.AddUpload(changed) })
		wantError(t, "AddUpload of "+tt.what, err, tt.want)
	}
	update(t, db, func(tx metadata.WriteTx) error { return tx.ClaimUpload(u.ID, "i3") })
	view(t, db, func(tx metadata.Tx) error {
		got, err := tx.Upload(img.Number)
		if err == nil && got.Instance != "i3" {
			t.Errorf("after ClaimUpload the upload is %+v", got)
		}
		return err
	})
	err := db.Update(ctx, func(tx metadata.WriteTx) error { return tx.ClaimUpload("upload-3", "i3") })
	wantError(t, "ClaimUpload of no upload", err, image.ErrNotFound)
	wantLocation(t, db, "local", "file:///images/"+string(img.ID), true) // the object of an upload
	wantLocation(t, db, "local", "file:///images/"+string(img.ID)+"-2", false)
	wantLocation(t, db, "local", "file:///images/o2", false)
	for range 2 { // removing what is gone is no error
		update(t, db, func(tx metadata.WriteTx) error { return tx.RemoveUpload(u.ID) })
	}
	wantLocation(t, db, "local", "file:///images/"+string(img.ID), false)
	view(t, db, func(tx metadata.Tx) error {
		uploads, err := tx.Uploads()
		if len(uploads) != 1 || uploads[0].ID != v.ID {
			t.Errorf("Uploads after RemoveUpload = %+v", uploads)
		}
		return err
	})
}

func wantLocation(t *testing.T, db metadata.DB, store, url string, want bool) {
	t.Helper()
	view(t, db, func(tx metadata.Tx) error {
		got, err := tx.LocationExists(store, url)
		if err == nil && got != want {
			t.Errorf("LocationExists(%s, %s) = %v, want %v", store, url, got, want)
		}
		return err
	})
}

func testGarbage(t *testing.T, db metadata.DB) {
	img := newImage()
	create(t, db, img)
	url := img.Locations[0].URL
	wantLocation(t, db, "local", url, true)
	wantLocation(t, db, "ceph", url, false)
	extra := image.Garbage{Location: image.Location{Store: "local", URL: "file:///left"}, Since: epoch}
	update(t, db, func(tx metadata.WriteTx) error { return tx.AddGarbage(extra) })
	dropped := img.Clone()
	dropped.Locations = dropped.Locations[1:]
	save(t, db, dropped)
	wantLocation(t, db, "local", url, true) // now as garbage
	wantLocation(t, db, "local", "file:///left", true)
	var garbage []image.Garbage
	page := func(after int64, limit, want int) {
		t.Helper()
		view(t, db, func(tx metadata.Tx) (err error) {
			garbage, err = tx.Garbage(after, limit)
			return err
		})
		if len(garbage) != want {
			t.Fatalf("Garbage(%d, %d) = %+v, want %d pieces", after, limit, garbage, want)
		}
	}
	page(0, 10, 2)
	first, second := garbage[0], garbage[1]
	if extra.ID = first.ID; !reflect.DeepEqual(first, extra) {
		t.Errorf("garbage is %+v, want %+v", first, extra)
	}
	if !reflect.DeepEqual(second.Location, img.Locations[0]) || second.Number != img.Number || second.ImageID != img.ID || second.Since.IsZero() {
		t.Errorf("garbage of an image is %+v", second)
	}
	page(0, 1, 1)
	page(first.ID, 10, 1)
	for range 2 { // removing what is gone is no error
		update(t, db, func(tx metadata.WriteTx) error { return tx.RemoveGarbage(second.ID) })
	}
	page(0, 10, 1)
	wantLocation(t, db, "local", url, false)
	update(t, db, func(tx metadata.WriteTx) error { return tx.AddGarbage(extra) })
	page(first.ID, 10, 1)
	if garbage[0].ID <= second.ID {
		t.Errorf("the id %d of garbage was used again", garbage[0].ID)
	}
}

func testInstances(t *testing.T, db metadata.DB) {
	beat := func(instance string, at time.Time) {
		update(t, db, func(tx metadata.WriteTx) error { return tx.Beat(instance, at) })
	}
	beat("i1", epoch)
	beat("i2", epoch)
	beat("i1", epoch.Add(time.Minute))
	want := map[string]time.Time{"i1": epoch.Add(time.Minute), "i2": epoch}
	check := func() {
		t.Helper()
		view(t, db, func(tx metadata.Tx) error {
			got, err := tx.Instances()
			if err == nil && !reflect.DeepEqual(got, want) {
				t.Errorf("Instances = %v, want %v", got, want)
			}
			return err
		})
	}
	check()
	for range 2 {
		update(t, db, func(tx metadata.WriteTx) error { return tx.RemoveInstance("i2") })
	}
	delete(want, "i2")
	check()
}

func testStoreIdentities(t *testing.T, db metadata.DB) {
	want := func(store, want string) {
		t.Helper()
		view(t, db, func(tx metadata.Tx) error {
			got, err := tx.StoreIdentity(store)
			if err == nil && got != want {
				t.Errorf("StoreIdentity of %s = %q, want %q", store, got, want)
			}
			return err
		})
	}
	want("local", "")
	for _, uuid := range []string{"u1", "u2"} {
		update(t, db, func(tx metadata.WriteTx) error { return tx.SaveStoreIdentity("local", uuid) })
		want("local", uuid)
	}
	want("ceph", "")
}

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
	img.Name, img.Tags, img.Visibility = pointer("new"), nil, image.Public
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
	drop := func(through int64) {
		update(t, db, func(tx metadata.WriteTx) error { return tx.DropChanges(through) })
	}
	lost := func(after int64, want error) {
		t.Helper()
		err := db.View(ctx, func(tx metadata.Tx) error {
			_, err := tx.Changes(after, 10)
			return err
		})
		wantError(t, fmt.Sprint("Changes after ", after), err, want)
	}
	drop(all[1].Sequence)
	lost(0, metadata.ErrChangesLost)
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
