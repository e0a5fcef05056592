package metadatatest

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadata"
)

// Few values each, so that they meet.
var (
	someProjects   = []string{"", "p1", "p2", "p3"}
	someNames      = []*string{nil, pointer(""), pointer("a"), pointer("b"), pointer("B"), pointer("日本")}
	someSizes      = []*int64{nil, pointer(int64(0)), pointer(int64(1)), pointer(int64(1 << 40))}
	someTags       = []string{"t1", "t2", "t3"}
	someFormats    = []string{"", "raw", "qcow2"}
	someContainers = []string{"", "bare", "ova"}
	someTimes      = []time.Time{epoch, epoch.Add(time.Microsecond), epoch.Add(time.Second), epoch.Add(2 * time.Second), epoch.Add(-time.Hour)}
	someMembers    = []string{"pending", "accepted", "rejected"}
	someStatuses   = []image.Status{image.Active, image.Active, image.Active, image.Queued, image.Saving, image.Deactivated, image.Killed, image.PendingDelete}
)

func oneOf[T any](t *rapid.T, name string, values []T) T {
	return rapid.SampledFrom(values).Draw(t, name)
}

func drawImage(t *rapid.T, img *image.Image) {
	img.Name, img.Owner = oneOf(t, "name", someNames), oneOf(t, "owner", someProjects)
	img.Status, img.Visibility = oneOf(t, "status", someStatuses), oneOf(t, "visibility", image.Visibilities())
	img.Protected, img.Hidden = rapid.Bool().Draw(t, "protected"), rapid.IntRange(0, 4).Draw(t, "hidden") == 0
	img.DiskFormat, img.ContainerFormat = oneOf(t, "disk_format", someFormats), oneOf(t, "container_format", someContainers)
	img.MinDisk = rapid.Int64Range(0, 2).Draw(t, "min_disk")
	img.Size, img.VirtualSize = oneOf(t, "size", someSizes), oneOf(t, "virtual_size", someSizes)
	img.Checksum = oneOf(t, "checksum", []string{"", "c1", "c2"})
	img.HashAlgo, img.HashValue = oneOf(t, "hash_algo", []string{"", "sha512"}), oneOf(t, "hash_value", []string{"", "h1"})
	img.Tags = slices.DeleteFunc(slices.Clone(someTags), func(tag string) bool { return rapid.Bool().Draw(t, tag) })
	img.Properties = map[string]string{}
	for _, name := range []string{"k1", "k2"} {
		if v := oneOf(t, name, []string{"", "-", "v1", "v2"}); v != "-" {
			img.Properties[name] = v
		}
	}
	img.UpdatedAt = oneOf(t, "updated_at", someTimes)
}

// drawModel fills the database with images that are changed a few times, and returns what it should hold then.
func drawModel(t *rapid.T, db metadata.DB) model {
	m := model{}
	var ids []image.ID
	err := db.Update(ctx, func(tx metadata.WriteTx) error {
		for i := range rapid.IntRange(0, 40).Draw(t, "images") {
			img := &modelImage{&image.Image{ID: image.NewID(), CreatedAt: oneOf(t, "created_at", someTimes)}, map[string]string{}}
			drawImage(t, img.Image)
			if err := tx.CreateImage(img.Image); err != nil {
				return fmt.Errorf("create image %d: %w", i, err)
			}
			m[img.ID] = img
			ids = append(ids, img.ID)
		}
		for range len(ids) * 2 {
			if err := drawStep(t, tx, m, oneOf(t, "image", ids)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatalf("Update = %v", err)
	}
	return m
}

func drawStep(t *rapid.T, tx metadata.WriteTx, m model, id image.ID) error {
	img := m[id]
	if img == nil {
		return nil // deleted
	}
	project := oneOf(t, "project", someProjects[1:])
	_, member := img.members[project]
	switch step := rapid.IntRange(0, 9).Draw(t, "step"); {
	case step == 0:
		delete(m, id)
		img.Status = image.Deleted
		return tx.SaveImage(img.Image)
	case step < 4:
		drawImage(t, img.Image)
		return tx.SaveImage(img.Image)
	case step == 4 && member:
		delete(img.members, project)
		return tx.RemoveMember(img.Number, project)
	default:
		img.members[project] = oneOf(t, "member status", someMembers)
		return tx.SaveMember(img.Number, project, img.members[project], epoch)
	}
}

func drawQuery(t *rapid.T, m model) image.Query {
	q := image.Query{
		Caller:       image.Caller{ProjectID: oneOf(t, "caller", someProjects)},
		Visibility:   oneOf(t, "visibility", append(image.Visibilities(), "", "", "", image.AnyVisibility)),
		MemberStatus: oneOf(t, "member_status", []string{"", "", "accepted", "pending", "rejected", "all"}),
		Hidden:       rapid.IntRange(0, 5).Draw(t, "hidden") == 0,
		Tags:         rapid.SliceOfN(rapid.SampledFrom(append(someTags, "t9")), 0, 2).Draw(t, "tags"),
		Sort: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) image.SortKey {
			return image.SortKey{Field: oneOf(t, "field", image.SortFields()), Desc: rapid.Bool().Draw(t, "desc")}
		}), 0, 3).Draw(t, "sort"),
		Limit: rapid.IntRange(1, 12).Draw(t, "limit"),
	}
	switch rapid.IntRange(0, 5).Draw(t, "role") {
	case 0, 1:
		q.Caller.Roles = []string{"member", "admin"}
	case 2:
		q.Caller.Anonymous = true
	}
	for range rapid.IntRange(0, 3).Draw(t, "filters") {
		q.Filters = append(q.Filters, drawFilter(t, m))
	}
	return q
}

func drawFilter(t *rapid.T, m model) image.Filter {
	texts := map[image.Field][]string{
		image.FieldName: {"", "a", "b", "B", "x"}, image.FieldStatus: {"active", "queued", "deactivated", "killed", "deleted"},
		image.FieldOwner: someProjects, image.FieldDiskFormat: someFormats, image.FieldContainerFormat: someContainers,
		image.FieldChecksum: {"", "c1", "c2"}, image.FieldHashAlgo: {"", "sha512", "md5"}, image.FieldHashValue: {"h1", "h2"},
	}
	ids := []string{string(image.NewID()), "nonsense"}
	for _, id := range slices.Sorted(maps.Keys(m)) {
		ids = append(ids, string(id))
	}
	texts[image.FieldID] = ids
	equal := func(values []string) image.Filter {
		if rapid.Bool().Draw(t, "in") {
			return image.Filter{Op: image.OpIn, Strings: rapid.SliceOfN(rapid.SampledFrom(values), 1, 3).Draw(t, "values")}
		}
		return image.Filter{Op: image.OpEqual, Strings: []string{oneOf(t, "value", values)}}
	}
	var f image.Filter
	switch rapid.IntRange(0, 5).Draw(t, "filter") {
	case 0:
		f = equal([]string{"", "v1", "v2", "v3"})
		f.Property = oneOf(t, "property", []string{"k1", "k2", "k3"})
	case 1:
		f = image.Filter{Field: image.FieldProtected, Op: image.OpEqual, Bool: rapid.Bool().Draw(t, "protected")}
	case 2:
		f.Field = oneOf(t, "field", []image.Field{image.FieldMinDisk, image.FieldMinRAM, image.FieldSize, image.FieldVirtualSize})
		f.Op = oneOf(t, "op", []image.Op{image.OpEqual, image.OpAtLeast, image.OpAtMost})
		f.Int = rapid.Int64Range(-1, 2).Draw(t, "int")
	case 3:
		f.Field = oneOf(t, "field", []image.Field{image.FieldCreatedAt, image.FieldUpdatedAt})
		f.Op = oneOf(t, "op", []image.Op{image.OpEqual, image.OpNotEqual, image.OpGreater, image.OpAtLeast, image.OpLess, image.OpAtMost})
		f.Time = oneOf(t, "time", someTimes)
	default:
		field := oneOf(t, "field", slices.Sorted(maps.Keys(texts)))
		f = equal(texts[field])
		f.Field = field
	}
	return f
}

// testRandomLists compares pages of random queries over random images with the model: what is on them, in which order, and
// that following the markers loses and repeats nothing.
func testRandomLists(t *testing.T, db metadata.DB) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawModel(t, db)
		defer empty(t, db, m)
		for range 25 {
			q := drawQuery(t, m)
			want := m.images(q)
			if len(m) > 0 && rapid.IntRange(0, 3).Draw(t, "marker") == 0 {
				q.Marker = oneOf(t, "marker", slices.Sorted(maps.Keys(m)))
				img := m[q.Marker]
				_, member := img.members[q.Caller.ProjectID]
				if !q.Caller.CanSee(img.Image, func() bool { return member }) {
					q.Marker = ""
				}
				want = m.images(q)
			}
			compareList(t, db, q, want)
		}
	})
}

func compareList(t *rapid.T, db metadata.DB, q image.Query, want []*image.Image) {
	for start := 0; ; {
		var page []*image.Image
		err := db.View(ctx, func(tx metadata.Tx) (err error) {
			page, err = tx.Images(q)
			return err
		})
		if err != nil {
			t.Fatalf("Images(%+v) = %v", q, err)
		}
		expected := want[start:min(start+q.Limit, len(want))]
		if !slices.EqualFunc(page, expected, func(a, b *image.Image) bool { return print(a) == print(b) }) {
			t.Fatalf("Images(%+v) =\n%s\nwant\n%s", q, printAll(page), printAll(expected))
		}
		if len(page) < q.Limit {
			return
		}
		start += len(page)
		q.Marker = page[len(page)-1].ID
		if visible := page[len(page)-1].Status.Visible(); !visible {
			t.Fatalf("a list shows an image that is %s", page[len(page)-1].Status)
		}
	}
}

func printAll(images []*image.Image) (s string) {
	for _, img := range images {
		s += print(img) + "\n"
	}
	return s
}

// empty deletes what is left of the model, so that the next round starts anew.
func empty(t *rapid.T, db metadata.DB, m model) {
	err := db.Update(ctx, func(tx metadata.WriteTx) error {
		for _, img := range m {
			gone := img.Clone()
			gone.Status = image.Deleted
			if err := tx.SaveImage(gone); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatalf("empty the database: %v", err)
	}
}
