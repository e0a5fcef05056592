package metadatatest

import (
	"cmp"
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
	wantURL(t, db, "file:///images/"+string(img.ID), true)
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

// wantURL is wantLocation for all stores.
func wantURL(t *testing.T, db metadata.DB, url string, want bool) {
	t.Helper()
	view(t, db, func(tx metadata.Tx) error {
		got, err := tx.URLExists(url)
		if err == nil && got != want {
			t.Errorf("URLExists(%s) = %v, want %v", url, got, want)
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
	for _, loc := range img.Locations {
		wantURL(t, db, loc.URL, true)
	}
	wantURL(t, db, url+"/", false)
	extra := image.Garbage{Location: image.Location{Store: "local", URL: "file:///left"}, Since: epoch}
	update(t, db, func(tx metadata.WriteTx) error { return tx.AddGarbage(extra) })
	dropped := img.Clone()
	dropped.Locations = dropped.Locations[1:]
	save(t, db, dropped)
	wantLocation(t, db, "local", url, true) // now as garbage
	wantLocation(t, db, "local", "file:///left", true)
	for _, store := range []string{"a", "ceph", "z"} {
		wantURL(t, db, store+":///left", false)
		update(t, db, func(tx metadata.WriteTx) error {
			return tx.AddGarbage(image.Garbage{Location: image.Location{Store: store, URL: store + ":///left"}, Since: epoch})
		})
		wantURL(t, db, store+":///left", true)
		update(t, db, func(tx metadata.WriteTx) error {
			return tx.KeepData(image.Location{Store: store, URL: store + ":///left"})
		})
		wantURL(t, db, store+":///left", false)
	}
	wantURL(t, db, "file:///left", true)
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
	update(t, db, func(tx metadata.WriteTx) error {
		return cmp.Or(tx.KeepData(extra.Location), tx.KeepData(image.Location{Store: "local", URL: "file:///no/garbage"}))
	})
	page(0, 10, 0)
	wantURL(t, db, extra.Location.URL, false)
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

func testDatabaseID(t *testing.T, db metadata.DB) {
	var ids [2]string
	for i := range ids {
		view(t, db, func(tx metadata.Tx) (err error) {
			ids[i], err = tx.DatabaseID()
			return err
		})
	}
	if ids[0] == "" || ids[0] != ids[1] {
		t.Errorf("DatabaseID = %q, and then %q", ids[0], ids[1])
	}
}
