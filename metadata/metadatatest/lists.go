package metadatatest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadata"
)

var admin = image.Caller{ProjectID: "ops", Roles: []string{"admin"}}

func list(t *testing.T, db metadata.DB, q image.Query) []image.ID {
	t.Helper()
	var images []*image.Image
	view(t, db, func(tx metadata.Tx) (err error) {
		images, err = tx.Images(q)
		return err
	})
	ids := make([]image.ID, len(images))
	for i, img := range images {
		ids[i] = img.ID
	}
	return ids
}

func wantList(t *testing.T, db metadata.DB, q image.Query, want ...image.ID) {
	t.Helper()
	if got := list(t, db, q); !slices.Equal(got, want) {
		t.Errorf("Images(%+v) =\n%v\nwant\n%v", q, got, want)
	}
}

// wantListError checks a query that is refused.
func wantListError(t *testing.T, db metadata.DB, q image.Query) {
	t.Helper()
	err := db.View(ctx, func(tx metadata.Tx) error {
		_, err := tx.Images(q)
		return err
	})
	if what := "Images"; err == nil {
		t.Errorf("%s(%+v) gives no error", what, q)
	} else {
		wantError(t, what, err, image.ErrInvalid)
	}
}

// family makes one image of each visibility for the owner, newest last.
func family(t *testing.T, db metadata.DB, owner string) map[image.Visibility]*image.Image {
	t.Helper()
	images := map[image.Visibility]*image.Image{}
	for i, v := range image.Visibilities() {
		img := queued()
		img.Owner, img.Visibility = owner, v
		img.CreatedAt = epoch.Add(time.Duration(i) * time.Second)
		create(t, db, img)
		images[v] = img
	}
	return images
}

func testVisibility(t *testing.T, db metadata.DB) {
	p1 := family(t, db, "project-1")
	p2 := family(t, db, "project-2")
	nobody := family(t, db, "")
	update(t, db, func(tx metadata.WriteTx) error {
		for _, img := range []*image.Image{p1[image.Shared], p1[image.Private]} { // the second membership sleeps
			if err := tx.SaveMember(img.Number, "project-2", "accepted", epoch); err != nil {
				return err
			}
		}
		return nil
	})
	const public, community, shared, private = image.Public, image.Community, image.Shared, image.Private
	all := func(families []map[image.Visibility]*image.Image, visibilities ...image.Visibility) (images []*image.Image) {
		for _, f := range families {
			for _, v := range visibilities {
				images = append(images, f[v])
			}
		}
		return images
	}
	type families = []map[image.Visibility]*image.Image
	everyone := families{p1, p2, nobody}
	member, boss := image.Caller{ProjectID: "project-2"}, image.Caller{ProjectID: "project-2", Roles: []string{"Admin"}}
	for _, tt := range []struct {
		name       string
		caller     image.Caller
		visibility image.Visibility
		want       []*image.Image
	}{
		{"member", member, "", append(all(everyone, public), p2[community], p2[shared], p2[private], p1[shared])},
		{"member, all", member, image.AnyVisibility, append(all(everyone, public, community), p2[shared], p2[private], p1[shared])},
		{"member, public", member, public, all(everyone, public)},
		{"member, community", member, community, all(everyone, community)},
		{"member, shared", member, shared, []*image.Image{p1[shared], p2[shared]}},
		{"member, private", member, private, []*image.Image{p2[private]}},
		{"no project", image.Caller{}, "", all(everyone, public)},
		{"no project, all", image.Caller{}, image.AnyVisibility, all(everyone, public, community)},
		{"unknown project", image.Caller{ProjectID: "project-3"}, "", all(everyone, public)},
		{"admin", boss, "", append(all(everyone, public, shared, private), p2[community])},
		{"admin of no project", image.Caller{Roles: []string{"admin"}}, "", all(everyone, public, shared, private)},
		{"admin, all", boss, image.AnyVisibility, all(everyone, public, community, shared, private)},
		{"admin, private", boss, private, all(everyone, private)},
		{"admin, community", boss, community, all(everyone, community)},
		{"anonymous", image.Caller{Anonymous: true, ProjectID: "project-1"}, "", all(everyone, public)},
		{"anonymous, all", image.Caller{Anonymous: true}, image.AnyVisibility, all(everyone, public)},
		{"anonymous, shared", image.Caller{Anonymous: true}, shared, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var want []image.ID
			slices.SortFunc(tt.want, byAge)
			for _, img := range tt.want {
				want = append(want, img.ID)
			}
			wantList(t, db, image.Query{Caller: tt.caller, Visibility: tt.visibility, Limit: 100}, want...)
		})
	}
}

// byAge puts the newest first.
func byAge(a, b *image.Image) int {
	if c := b.CreatedAt.Compare(a.CreatedAt); c != 0 {
		return c
	}
	return -slices.Compare([]byte(a.ID), []byte(b.ID))
}

func testMarkers(t *testing.T, db metadata.DB) {
	p1 := family(t, db, "project-1")
	p2 := family(t, db, "project-2")
	deleted, pending := queued(), queued()
	deleted.Owner, pending.Owner = "project-2", "project-2"
	pending.Status = image.PendingDelete
	create(t, db, deleted, pending)
	deleted.Status = image.Deleted
	save(t, db, deleted)
	member := image.Caller{ProjectID: "project-2"}
	for _, id := range []image.ID{p1[image.Private].ID, p1[image.Shared].ID, deleted.ID, pending.ID, image.NewID(), "nonsense"} {
		wantListError(t, db, image.Query{Caller: member, Limit: 9, Marker: id})
		wantListError(t, db, image.Query{Caller: member, Limit: 0, Marker: id})
	}
	// What may be seen may be a marker, listed or not.
	update(t, db, func(tx metadata.WriteTx) error {
		return tx.SaveMember(p1[image.Shared].Number, "project-2", "rejected", epoch)
	})
	last := []image.ID{p2[image.Public].ID, p1[image.Public].ID}
	slices.Sort(last)
	slices.Reverse(last)
	after := append([]image.ID{p2[image.Community].ID}, last...)
	if p2[image.Community].ID < p1[image.Community].ID { // equally old
		wantList(t, db, image.Query{Caller: member, Limit: 9, Marker: p1[image.Community].ID}, after...)
	} else {
		wantList(t, db, image.Query{Caller: member, Limit: 9, Marker: p1[image.Community].ID}, last...)
	}
	wantList(t, db, image.Query{Caller: member, Limit: 9, Marker: p1[image.Shared].ID,
		Filters: []image.Filter{{Field: image.FieldCreatedAt, Op: image.OpLess, Time: epoch.Add(2 * time.Second)}}}, after...)
}

func testNull(t *testing.T, db metadata.DB) {
	null, empty, full := queued(), queued(), newImage()
	null.CreatedAt = epoch.Add(time.Second)
	empty.Name, empty.Size = pointer(""), pointer(int64(0))
	empty.DiskFormat = "raw"
	full.Hidden, full.CreatedAt = false, epoch.Add(2*time.Second)
	create(t, db, null, empty, full)
	for _, key := range []image.SortKey{{Field: image.FieldName}, {Field: image.FieldSize}} {
		wantList(t, db, image.Query{Caller: admin, Limit: 9, Sort: []image.SortKey{key}}, null.ID, empty.ID, full.ID)
		key.Desc = true
		wantList(t, db, image.Query{Caller: admin, Limit: 9, Sort: []image.SortKey{key}}, full.ID, null.ID, empty.ID)
	}
	for _, tt := range []struct {
		filter image.Filter
		want   []image.ID
	}{
		{image.Filter{Field: image.FieldName, Op: image.OpEqual, Strings: []string{""}}, []image.ID{empty.ID}},
		{image.Filter{Field: image.FieldName, Op: image.OpIn, Strings: []string{"", "debian-12"}}, []image.ID{full.ID, empty.ID}},
		{image.Filter{Field: image.FieldDiskFormat, Op: image.OpEqual, Strings: []string{""}}, nil},
		{image.Filter{Field: image.FieldContainerFormat, Op: image.OpIn, Strings: []string{"", "bare"}}, []image.ID{full.ID}},
		{image.Filter{Field: image.FieldOwner, Op: image.OpEqual, Strings: []string{""}}, nil},
		{image.Filter{Field: image.FieldChecksum, Op: image.OpEqual, Strings: []string{""}}, nil},
		{image.Filter{Field: image.FieldHashAlgo, Op: image.OpEqual, Strings: []string{""}}, nil},
		{image.Filter{Field: image.FieldSize, Op: image.OpEqual}, []image.ID{empty.ID}},
		{image.Filter{Field: image.FieldSize, Op: image.OpAtLeast}, []image.ID{full.ID, empty.ID}},
		{image.Filter{Field: image.FieldSize, Op: image.OpAtLeast, Int: -1}, []image.ID{full.ID, empty.ID}},
		{image.Filter{Field: image.FieldSize, Op: image.OpAtMost, Int: 2}, []image.ID{empty.ID}},
		{image.Filter{Field: image.FieldSize, Op: image.OpAtMost, Int: -1}, nil},
		{image.Filter{Field: image.FieldVirtualSize, Op: image.OpAtLeast}, []image.ID{full.ID}},
	} {
		for _, sort := range [][]image.SortKey{nil, {{Field: image.FieldStatus, Desc: true}, {Field: image.FieldCreatedAt, Desc: true}}} {
			want := slices.Clone(tt.want)
			wantSet(t, db, image.Query{Caller: admin, Limit: 9, Sort: sort, Filters: []image.Filter{tt.filter}}, want)
		}
	}
}

// wantSet is wantList in any order.
func wantSet(t *testing.T, db metadata.DB, q image.Query, want []image.ID) {
	t.Helper()
	got := list(t, db, q)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("Images(%+v) =\n%v\nwant\n%v", q, got, want)
	}
}

func testSortKeys(t *testing.T, db metadata.DB) {
	small, large := newImage(), newImage()
	small.ID, large.ID = "00000000-0000-4000-8000-000000000000", "10000000-0000-4000-8000-000000000000"
	large.Name, large.Status, large.DiskFormat, large.ContainerFormat, large.Size = pointer("é"), image.Saving, "raw", "ova", pointer(int64(20))
	small.Name, small.Status, small.Size = pointer("Z"), image.Active, pointer(int64(3)) // binary order: Z before a, é last
	large.CreatedAt, large.UpdatedAt = small.CreatedAt.Add(time.Microsecond), small.UpdatedAt.Add(time.Microsecond)
	small.Hidden, large.Hidden = false, false
	create(t, db, large, small)
	for _, field := range image.SortFields() {
		wantList(t, db, image.Query{Caller: admin, Limit: 9, Sort: []image.SortKey{{Field: field}}}, small.ID, large.ID)
		wantList(t, db, image.Query{Caller: admin, Limit: 9, Sort: []image.SortKey{{Field: field, Desc: true}}}, large.ID, small.ID)
		wantList(t, db, image.Query{Caller: admin, Limit: 1, Sort: []image.SortKey{{Field: field}}, Marker: small.ID}, large.ID)
		wantList(t, db, image.Query{Caller: admin, Limit: 1, Sort: []image.SortKey{{Field: field, Desc: true}}, Marker: large.ID}, small.ID)
	}
}

func testListRefuses(t *testing.T, db metadata.DB) {
	for _, q := range []image.Query{
		{Visibility: "secret"},
		{MemberStatus: "maybe"},
		{Sort: []image.SortKey{{Field: image.FieldChecksum}}},
		{Sort: []image.SortKey{{Field: "nonsense"}}},
		{Filters: []image.Filter{{Field: "nonsense", Op: image.OpEqual, Strings: []string{"x"}}}},
		{Filters: []image.Filter{{Field: image.FieldName, Op: image.OpNotEqual, Strings: []string{"x"}}}},
		{Filters: []image.Filter{{Field: image.FieldName, Op: image.OpEqual}}},
		{Filters: []image.Filter{{Property: "k", Op: image.OpAtLeast, Strings: []string{"x"}}}},
		{Filters: []image.Filter{{Field: image.FieldOwner, Op: image.OpLess, Strings: []string{"x"}}}},
		{Filters: []image.Filter{{Field: image.FieldSize, Op: image.OpGreater}}},
		{Filters: []image.Filter{{Field: image.FieldProtected, Op: image.OpIn}}},
		{Filters: []image.Filter{{Field: image.FieldCreatedAt, Op: image.OpIn}}},
		{Tags: slices.Repeat([]string{"x"}, 10_000)},
	} {
		q.Caller, q.Limit = admin, 9
		wantListError(t, db, q)
	}
}

// testManyValues asks for any of many values, more than can be read each for itself.
func testManyValues(t *testing.T, db metadata.DB) {
	var want []image.ID
	var values, ids []string
	for i := range 100 {
		values = append(values, fmt.Sprint("v", i))
		ids = append(ids, string(image.NewID()))
	}
	for i := range 12 {
		img := queued()
		img.Visibility, img.CreatedAt = image.Visibilities()[i%2], epoch.Add(-time.Duration(i)*time.Second)
		img.Owner, img.Name, img.Size = "project-1", &values[i*7], pointer(int64(i%3))
		img.Checksum, img.Properties = values[i*5], map[string]string{"k": values[i*3]}
		create(t, db, img)
		want, ids = append(want, img.ID), append(ids, string(img.ID))
	}
	create(t, db, newImage(), queued())
	bySize := slices.Clone(want)
	slices.SortStableFunc(bySize, func(a, b image.ID) int { return slices.Index(want, a)%3 - slices.Index(want, b)%3 })
	for _, f := range []image.Filter{
		{Property: "k", Op: image.OpIn, Strings: values},
		{Field: image.FieldChecksum, Op: image.OpIn, Strings: values},
		{Field: image.FieldName, Op: image.OpIn, Strings: values},
		{Field: image.FieldID, Op: image.OpIn, Strings: ids},
	} {
		for _, caller := range []image.Caller{admin, {ProjectID: "project-1"}} {
			q := image.Query{Caller: caller, Limit: 7, Visibility: image.AnyVisibility, Filters: []image.Filter{f}}
			q.Filters = append(q.Filters, image.Filter{Field: image.FieldOwner, Op: image.OpEqual, Strings: []string{"project-1"}})
			wantList(t, db, q, want[:7]...)
			q.Marker = want[6]
			wantList(t, db, q, want[7:]...)
			q.Marker, q.Sort = "", []image.SortKey{{Field: image.FieldSize}}
			wantList(t, db, q, bySize[:7]...)
		}
	}
}
