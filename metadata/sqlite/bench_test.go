package sqlite_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadata"
	"github.com/vitrine-image/vitrine/metadata/sqlite"
)

var (
	boss   = image.Caller{ProjectID: "ops", Roles: []string{"admin"}}
	member = image.Caller{ProjectID: dense}
	loner  = image.Caller{ProjectID: sparse}
)

// A shape is a kind of query whose cost is measured.
type shape struct {
	name string
	q    image.Query
	deep bool // starts after a random image of the list
}

func property(name, value string) image.Filter {
	return image.Filter{Property: name, Op: image.OpEqual, Strings: []string{value}}
}

func is(field image.Field, value string) image.Filter {
	return image.Filter{Field: field, Op: image.OpEqual, Strings: []string{value}}
}

func by(field image.Field, desc bool) []image.SortKey {
	return []image.SortKey{{Field: field, Desc: desc}}
}

// shapes returns the queries of a caller.
func shapes(who string, caller image.Caller) []shape {
	lts := []string{"lts"}
	list := []shape{
		{name: "plain"},
		{name: "tag", q: image.Query{Tags: lts}},
		{name: "property", q: image.Query{Filters: []image.Filter{property("os_distro", "debian")}}},
		{name: "tag and property", q: image.Query{Tags: lts, Filters: []image.Filter{property("os_distro", "debian")}}},
		{name: "status", q: image.Query{Filters: []image.Filter{is(image.FieldStatus, "active")}}},
		{name: "all visibilities", q: image.Query{Visibility: image.AnyVisibility}},
		{name: "10 match", q: image.Query{Filters: []image.Filter{property("class", "rare")}}},
		{name: "10,000 match", q: image.Query{Filters: []image.Filter{property("class", "some")}}},
		{name: "name", q: image.Query{Filters: []image.Filter{is(image.FieldName, "debian-7")}}},
		{name: "10,000 match, tag", q: image.Query{Tags: lts, Filters: []image.Filter{property("class", "some")}}},
		{name: "10 match, by size", q: image.Query{Sort: by(image.FieldSize, true), Filters: []image.Filter{property("class", "rare")}}},
		{name: "10,000 match, by size", q: image.Query{Sort: by(image.FieldSize, true), Filters: []image.Filter{property("class", "some")}}},
		{name: "tag, by size", q: image.Query{Sort: by(image.FieldSize, true), Tags: lts}},
		{name: "property, by name", q: image.Query{Sort: by(image.FieldName, false), Filters: []image.Filter{property("os_distro", "debian")}}},
		{name: "tag, by disk_format", q: image.Query{Sort: by(image.FieldDiskFormat, true), Tags: lts}},
		{name: "status, by updated_at", q: image.Query{Sort: by(image.FieldUpdatedAt, true), Filters: []image.Filter{is(image.FieldStatus, "queued")}}},
		{name: "size at least", q: image.Query{Filters: []image.Filter{{Field: image.FieldSize, Op: image.OpAtLeast, Int: 60 << 30}}}},
		{name: "by status and name", q: image.Query{Sort: append(by(image.FieldStatus, true), by(image.FieldName, false)...)}},
		{name: "deep", deep: true},
		{name: "deep, by size", q: image.Query{Sort: by(image.FieldSize, true)}, deep: true},
		{name: "deep, by name", q: image.Query{Sort: by(image.FieldName, false)}, deep: true},
		{name: "deep, tag", q: image.Query{Tags: lts}, deep: true},
	}
	for _, f := range image.SortFields() {
		list = append(list, shape{name: fmt.Sprint("by ", f), q: image.Query{Sort: by(f, true)}},
			shape{name: fmt.Sprint("by ", f, " upwards"), q: image.Query{Sort: by(f, false)}})
	}
	for i := range list {
		list[i].name = who + ": " + list[i].name
		list[i].q.Caller, list[i].q.Limit = caller, 100
	}
	return list
}

// BenchmarkList measures pages of 100 images in a database of 1,000 and in a large one, in turns, and gives the medians and
// their ratio. Names of sub-benchmarks are the shapes.
func BenchmarkList(b *testing.B) {
	small, large := benchDB(b, 1000), benchDB(b, benchImages(b))
	all := append(shapes("admin", boss), shapes("member", member)...)
	all = append(all, shape{name: "sparse: plain", q: image.Query{Caller: loner, Limit: 100}},
		shape{name: "sparse: by size", q: image.Query{Caller: loner, Limit: 100, Sort: by(image.FieldSize, true)}},
		shape{name: "sparse: own", q: image.Query{Caller: loner, Limit: 100, Visibility: image.Private}},
		shape{name: "sparse: tag", q: image.Query{Caller: loner, Limit: 100, Tags: []string{"lts"}}},
		shape{name: "sparse: shared, tag, by name", q: image.Query{Caller: loner, Limit: 100, Visibility: image.Shared, Tags: []string{"lts"}, Sort: by(image.FieldName, false)}},
		shape{name: "admin: owner", q: image.Query{Caller: boss, Limit: 100, Filters: []image.Filter{is(image.FieldOwner, dense)}}},
		shape{name: "admin: owner, by size", q: image.Query{Caller: boss, Limit: 100, Sort: by(image.FieldSize, true), Filters: []image.Filter{is(image.FieldOwner, dense)}}})
	for _, s := range all {
		b.Run(strings.ReplaceAll(s.name, " ", "_"), func(b *testing.B) {
			markers := [2][]image.ID{}
			if s.deep {
				markers[0], markers[1] = someOf(b, small, s.q), someOf(b, large, s.q)
			}
			var took [2][]time.Duration
			for b.Loop() {
				for i, db := range []*sqlite.DB{small, large} {
					q := s.q
					if s.deep {
						q.Marker = markers[i][rand.IntN(len(markers[i]))]
					}
					start := time.Now()
					images(b, db, q)
					took[i] = append(took[i], time.Since(start))
				}
			}
			before, after := median(took[0]), median(took[1])
			b.ReportMetric(0, "ns/op") // of both: means nothing
			b.ReportMetric(before, "µs-at-1000")
			b.ReportMetric(after, "µs-at-N")
			b.ReportMetric(after/before, "ratio")
		})
	}
}

func images(tb testing.TB, db metadata.DB, q image.Query) (found []*image.Image) {
	err := db.View(ctx, func(tx metadata.Tx) (err error) {
		found, err = tx.Images(q)
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return found
}

func median(d []time.Duration) float64 {
	slices.Sort(d)
	return float64(d[len(d)/2].Nanoseconds()) / 1000
}

// someOf returns images of a list from all over it: those next after random moments.
func someOf(tb testing.TB, db metadata.DB, q image.Query) []image.ID {
	var ids []image.ID
	newest := images(tb, db, image.Query{Caller: boss, Limit: 1})[0].CreatedAt
	oldest := images(tb, db, image.Query{Caller: boss, Limit: 1, Sort: by(image.FieldCreatedAt, false)})[0].CreatedAt
	for range 300 {
		at := oldest.Add(time.Duration(rand.Int64N(int64(newest.Sub(oldest)))))
		found := images(tb, db, image.Query{Caller: q.Caller, Limit: 1, Tags: q.Tags,
			Filters: []image.Filter{{Field: image.FieldCreatedAt, Op: image.OpAtMost, Time: at}}})
		if len(found) > 0 {
			ids = append(ids, found[0].ID)
		}
	}
	return ids
}

// BenchmarkCreate measures durable creations of images with 5 properties and 2 tags, as the API makes them: queued.
func BenchmarkCreate(b *testing.B) {
	for _, goroutines := range []int{1, 8} {
		b.Run(fmt.Sprint("goroutines-", goroutines), func(b *testing.B) {
			db := open(b, filepath.Join(b.TempDir(), "vitrine.db"))
			var all sync.WaitGroup
			each := (b.N + goroutines - 1) / goroutines
			b.ResetTimer()
			for g := range goroutines {
				all.Go(func() {
					for i := range each {
						img := benchImage(g*each+i, 1_000_000)
						img.Status, img.Size, img.VirtualSize, img.Locations = image.Queued, nil, nil, nil
						img.Checksum, img.HashAlgo, img.HashValue = "", "", ""
						img.CreatedAt = time.Now()
						img.UpdatedAt = img.CreatedAt
						if err := db.Update(ctx, func(tx metadata.WriteTx) error { return tx.CreateImage(img) }); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
			b.ReportMetric(float64(goroutines*each)/b.Elapsed().Seconds(), "creates/s")
		})
	}
}

// BenchmarkGet measures the reading of one image.
func BenchmarkGet(b *testing.B) {
	db := benchDB(b, benchImages(b))
	var ids []image.ID
	for _, img := range images(b, db, image.Query{Caller: boss, Limit: 1000}) {
		ids = append(ids, img.ID)
	}
	b.ReportAllocs()
	for b.Loop() {
		err := db.View(ctx, func(tx metadata.Tx) error {
			_, err := tx.Image(ids[rand.IntN(len(ids))])
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkTree lists by-id as far as 100,000 entries, in pages of 4,000; and the labels of names.
func BenchmarkTree(b *testing.B) {
	db := benchDB(b, benchImages(b))
	b.Run("images", func(b *testing.B) {
		n := 0
		for b.Loop() {
			after := int64(0)
			for n = 0; n < 100_000; {
				var page []metadata.Entry
				err := db.View(ctx, func(tx metadata.Tx) (err error) {
					page, err = tx.TreeImages(metadata.Dir{}, after, 4000)
					return err
				})
				if err != nil {
					b.Fatal(err)
				}
				if n += len(page); len(page) < 4000 {
					break
				}
				after = page[len(page)-1].Number
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/entry")
	})
	b.Run("names", func(b *testing.B) {
		n := 0
		for b.Loop() {
			after := int64(0)
			for n = 0; n < 100_000; {
				var page []metadata.Label
				err := db.View(ctx, func(tx metadata.Tx) (err error) {
					page, err = tx.TreeLabels(metadata.LabelName, metadata.Scope{}, after, 4000)
					return err
				})
				if err != nil {
					b.Fatal(err)
				}
				if n += len(page); len(page) < 4000 {
					break
				}
				after = page[len(page)-1].Number
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/entry")
	})
}
