package metadatatest

import (
	"slices"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadata"
)

func testCreate(t *testing.T, db metadata.DB) {
	full, plain := newImage(), queued()
	create(t, db, full, plain)
	if full.Number <= 0 || plain.Number <= full.Number {
		t.Errorf("numbers are %d and %d, want them to grow from 1", full.Number, plain.Number)
	}
	for _, want := range []*image.Image{full, plain} {
		sameAs(t, read(t, db, want.ID), want)
		view(t, db, func(tx metadata.Tx) error {
			got, err := tx.ImageByNumber(want.Number)
			if err == nil {
				sameAs(t, got, want)
			}
			return err
		})
	}
	view(t, db, func(tx metadata.Tx) error {
		_, err := tx.Image(image.NewID())
		wantError(t, "Image of an unknown id", err, image.ErrNotFound)
		_, err = tx.Image("no-uuid")
		wantError(t, "Image of what is no id", err, image.ErrNotFound)
		_, err = tx.ImageByNumber(plain.Number + 1)
		wantError(t, "ImageByNumber of an unknown number", err, image.ErrNotFound)
		return nil
	})
}

func testCreateConflict(t *testing.T, db metadata.DB) {
	img := newImage()
	create(t, db, img)
	again := queued()
	again.ID = img.ID
	refused := func(state string) {
		t.Helper()
		err := db.Update(ctx, func(tx metadata.WriteTx) error { return tx.CreateImage(again) })
		wantError(t, "CreateImage with the id of "+state+" image", err, image.ErrConflict)
	}
	refused("an")
	img.Status = image.Deleted
	save(t, db, img)
	refused("a deleted")
	next := queued()
	create(t, db, next)
	if next.Number <= img.Number {
		t.Errorf("the number %d came after %d", next.Number, img.Number)
	}
}

func testSave(t *testing.T, db metadata.DB) {
	img, other := newImage(), newImage()
	other.Locations = nil
	create(t, db, img, other)
	img.Name, img.Owner, img.Status, img.Visibility = nil, "", image.Queued, image.Public
	img.Protected, img.Hidden, img.DiskFormat, img.ContainerFormat, img.MinDisk, img.MinRAM = false, false, "", "", 0, 0
	img.Size, img.VirtualSize, img.Checksum, img.HashAlgo, img.HashValue = nil, nil, "", "", ""
	img.Tags, img.Properties, img.Locations = nil, nil, nil
	img.UpdatedAt = epoch.Add(time.Hour)
	save(t, db, img)
	sameAs(t, read(t, db, img.ID), img)

	full := newImage()
	full.ID, full.Number = img.ID, img.Number
	save(t, db, full)
	sameAs(t, read(t, db, img.ID), full)
	sameAs(t, read(t, db, other.ID), other)

	full.CreatedAt = epoch.Add(-time.Hour) // the order of lists follows
	full.Hidden, other.Hidden = false, false
	save(t, db, full)
	save(t, db, other)
	sameAs(t, read(t, db, full.ID), full)
	wantList(t, db, image.Query{Caller: admin, Limit: 9}, other.ID, full.ID)
}

func testSaveRefuses(t *testing.T, db metadata.DB) {
	img := newImage()
	create(t, db, img)
	for _, tt := range []struct {
		what   string
		change func(*image.Image)
		want   error
	}{
		{"an unknown number", func(img *image.Image) { img.Number++ }, image.ErrNotFound},
		{"another image's number", func(img *image.Image) { img.ID = image.NewID() }, image.ErrInvalid},
		{"bytes that are no text", func(img *image.Image) { img.Properties["k"] = "\xff" }, image.ErrInvalid},
	} {
		changed := img.Clone()
		tt.change(changed)
		err := db.Update(ctx, func(tx metadata.WriteTx) error { return tx.SaveImage(changed) })
		wantError(t, "SaveImage with "+tt.what, err, tt.want)
	}
	sameAs(t, read(t, db, img.ID), img)
}

func testTombstone(t *testing.T, db metadata.DB) {
	img := newImage()
	img.Hidden = false
	create(t, db, img)
	update(t, db, func(tx metadata.WriteTx) error { return tx.SaveMember(img.Number, "project-2", "accepted", epoch) })
	gone := img.Clone()
	gone.Status = image.Deleted
	save(t, db, gone)
	view(t, db, func(tx metadata.Tx) error {
		_, err := tx.Image(img.ID)
		wantError(t, "Image of a deleted image", err, image.ErrNotFound)
		_, err = tx.ImageByNumber(img.Number)
		wantError(t, "ImageByNumber of a deleted image", err, image.ErrNotFound)
		if member, err := tx.IsMember(img.Number, "project-2"); member || err != nil {
			t.Errorf("IsMember of a deleted image = %v, %v", member, err)
		}
		garbage, err := tx.Garbage(0, 10)
		if err != nil {
			return err
		}
		if len(garbage) != 2 || garbage[0].Location.URL != "file:///images/1" || garbage[0].Location.Metadata["k"] != "v" ||
			garbage[0].Number != img.Number || garbage[0].ImageID != img.ID || garbage[1].Location.Store != "ceph" {
			t.Errorf("garbage of a deleted image: %+v", garbage)
		}
		return nil
	})
	err := db.Update(ctx, func(tx metadata.WriteTx) error { return tx.SaveImage(img) })
	wantError(t, "SaveImage of a deleted image", err, image.ErrNotFound)
	err = db.Update(ctx, func(tx metadata.WriteTx) error { return tx.SaveMember(img.Number, "p", "pending", epoch) })
	wantError(t, "SaveMember of a deleted image", err, image.ErrNotFound)
	for _, caller := range []image.Caller{admin, {ProjectID: "project-1"}, {ProjectID: "project-2"}} {
		wantList(t, db, image.Query{Caller: caller, Limit: 9, Visibility: image.AnyVisibility})
		wantList(t, db, image.Query{Caller: caller, Limit: 9, Tags: []string{"lts"}})
	}
}

// testEveryImage reads the records in pages, with those that no list shows.
func testEveryImage(t *testing.T, db metadata.DB) {
	images := []*image.Image{newImage(), queued(), newImage(), newImage()}
	create(t, db, images...)
	images[2].Status = image.Deactivated
	save(t, db, images[2])
	gone := images[3].Clone()
	gone.Status = image.Deleted
	save(t, db, gone)
	view(t, db, func(tx metadata.Tx) error {
		page, err := tx.EveryImage(0, 3)
		if err != nil || len(page) != 3 {
			t.Fatalf("a page of three has %d images, %v", len(page), err)
		}
		for i, img := range page {
			sameAs(t, img, images[i])
		}
		page, err = tx.EveryImage(page[2].Number, 3)
		if err != nil || len(page) != 1 || page[0].ID != gone.ID || page[0].Number != gone.Number || page[0].Status != image.Deleted {
			t.Errorf("the page after it = %+v, %v, want the deleted image", page, err)
		}
		if page, err = tx.EveryImage(gone.Number, 3); len(page) != 0 || err != nil {
			t.Errorf("the last page = %+v, %v", page, err)
		}
		return nil
	})
}

func testSharedLocation(t *testing.T, db metadata.DB) {
	one, two := newImage(), newImage()
	create(t, db, one, two)
	one.Locations = one.Locations[1:]
	save(t, db, one)
	count := func() (n int) {
		view(t, db, func(tx metadata.Tx) error {
			garbage, err := tx.Garbage(0, 10)
			n = len(garbage)
			return err
		})
		return n
	}
	if n := count(); n != 0 {
		t.Errorf("%d pieces of garbage, although another image has its data there", n)
	}
	two.Locations = two.Locations[1:]
	save(t, db, two)
	if n := count(); n != 1 {
		t.Errorf("%d pieces of garbage after the last image gave its location up, want 1", n)
	}
	one.Locations = newImage().Locations
	save(t, db, one)
	if n := count(); n != 0 {
		t.Errorf("%d pieces of garbage after an image got the location again, want none", n)
	}
}

func testText(t *testing.T, db metadata.DB) {
	for _, s := range []string{"", "a\"b\\c", "new\nline\tand\x01control\x7f", "naïve 日本 \U0001f600", "<&>\u2028", "nul\x00inside", "'; DROP TABLE images; --", "%_*[]{}"} {
		img := newImage()
		img.Name, img.Owner, img.Hidden = pointer(s), "o"+s, false
		img.Tags = []string{s}
		img.Properties = map[string]string{"k" + s: s}
		img.Locations = []image.Location{{Store: "local", URL: "file:///" + s, Metadata: map[string]string{s: s}}}
		create(t, db, img)
		sameAs(t, read(t, db, img.ID), img)
		for _, q := range []image.Query{
			{Tags: []string{s}},
			{Filters: []image.Filter{{Property: "k" + s, Op: image.OpEqual, Strings: []string{s}}}},
			{Filters: []image.Filter{{Field: image.FieldName, Op: image.OpEqual, Strings: []string{s}}}},
			{Filters: []image.Filter{{Field: image.FieldName, Op: image.OpIn, Strings: []string{"x", s}}}},
			{Filters: []image.Filter{{Field: image.FieldOwner, Op: image.OpIn, Strings: []string{"x", "o" + s}}}},
		} {
			q.Caller, q.Limit = admin, 9
			wantList(t, db, q, img.ID)
		}
	}
}

func testMembers(t *testing.T, db metadata.DB) {
	img := newImage()
	img.Hidden = false
	create(t, db, img)
	set := func(status string) {
		t.Helper()
		update(t, db, func(tx metadata.WriteTx) error { return tx.SaveMember(img.Number, "project-2", status, epoch) })
	}
	member := func(project string) (is bool) {
		view(t, db, func(tx metadata.Tx) (err error) {
			is, err = tx.IsMember(img.Number, project)
			return err
		})
		return is
	}
	q := image.Query{Caller: image.Caller{ProjectID: "project-2"}, Limit: 9}
	if member("project-2") {
		t.Error("a member before anybody said so")
	}
	for _, status := range []string{"pending", "rejected", "accepted", "pending", "accepted"} {
		set(status)
		if !member("project-2") || member("project-1") || member("") {
			t.Errorf("members are wrong once the status is %s", status)
		}
		for _, asked := range []string{"", "accepted", "pending", "rejected", "all"} {
			q.MemberStatus = asked
			if asked == status || asked == "all" || asked == "" && status == "accepted" {
				wantList(t, db, q, img.ID)
			} else {
				wantList(t, db, q)
			}
		}
	}
	update(t, db, func(tx metadata.WriteTx) error {
		return tx.SaveMember(img.Number, "project-0", "pending", epoch.Add(time.Second))
	})
	update(t, db, func(tx metadata.WriteTx) error {
		return tx.SaveMember(img.Number, "project-2", "accepted", epoch.Add(time.Minute))
	})
	view(t, db, func(tx metadata.Tx) error {
		members, err := tx.Members(img.Number)
		if err != nil {
			return err
		}
		for i := range members {
			members[i].CreatedAt, members[i].UpdatedAt = members[i].CreatedAt.UTC(), members[i].UpdatedAt.UTC()
		}
		want := []image.Member{{ImageID: img.ID, Project: "project-0", Status: "pending", CreatedAt: epoch.Add(time.Second), UpdatedAt: epoch.Add(time.Second)},
			{ImageID: img.ID, Project: "project-2", Status: "accepted", CreatedAt: epoch, UpdatedAt: epoch.Add(time.Minute)}}
		if !slices.Equal(members, want) {
			t.Errorf("Members = %+v, want %+v", members, want)
		}
		if one, err := tx.Member(img.Number, "project-2"); err != nil || one.Status != "accepted" {
			t.Errorf("Member = %+v, %v", one, err)
		}
		_, err = tx.Member(img.Number, "project-1")
		wantError(t, "Member of another project", err, image.ErrNotFound)
		return nil
	})
	q.MemberStatus = ""
	img.Visibility = image.Private // keeps the members for the day when it is shared again
	save(t, db, img)
	wantList(t, db, q)
	img.Visibility = image.Shared
	save(t, db, img)
	wantList(t, db, q, img.ID)
	img.Owner = "project-2" // shared with its owner: listed once
	save(t, db, img)
	wantList(t, db, q, img.ID)
	img.Owner = "project-1"
	save(t, db, img)
	update(t, db, func(tx metadata.WriteTx) error { return tx.RemoveMember(img.Number, "project-2") })
	wantList(t, db, q)
	if member("project-2") {
		t.Error("still a member after RemoveMember")
	}
	err := db.Update(ctx, func(tx metadata.WriteTx) error { return tx.RemoveMember(img.Number, "project-2") })
	wantError(t, "RemoveMember of no member", err, image.ErrNotFound)
	for _, tt := range []struct{ project, status string }{{"", "accepted"}, {"project-2", ""}, {"project-2", "Accepted"}} {
		err := db.Update(ctx, func(tx metadata.WriteTx) error { return tx.SaveMember(img.Number, tt.project, tt.status, epoch) })
		wantError(t, "SaveMember of "+tt.project+" as "+tt.status, err, image.ErrInvalid)
	}
}
