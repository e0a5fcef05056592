package sqlite_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadata"
)

// FuzzQuery asks anything: the answer is a page or image.ErrInvalid, whatever the bytes are.
func FuzzQuery(f *testing.F) {
	db := open(f, filepath.Join(f.TempDir(), "vitrine.db"))
	first := fill(f, db, 50)[0]
	for _, field := range append(image.SortFields(), image.FieldOwner, image.FieldChecksum, image.FieldMinDisk, image.FieldProtected) {
		for _, op := range []image.Op{image.OpEqual, image.OpIn, image.OpAtLeast, image.OpLess} {
			f.Add(string(field), string(op), "k", "v", "active", string(field), string(first.ID), int64(1))
		}
	}
	f.Add("", "", "\x00", "\xff", "'", "", "0", int64(-1)<<63)
	f.Fuzz(func(t *testing.T, field, op, property, a, b, sort, marker string, n int64) {
		q := image.Query{
			Caller: image.Caller{ProjectID: a}, Limit: 7, Marker: image.ID(marker), Tags: []string{b}, MemberStatus: "all", Visibility: image.AnyVisibility,
			Filters: []image.Filter{
				{Field: image.Field(field), Op: image.Op(op), Strings: []string{a}, Int: n, Bool: n > 0, Time: time.UnixMicro(n)},
				{Property: property, Op: image.OpIn, Strings: []string{a, b}},
			},
			Sort: []image.SortKey{{Field: image.Field(sort), Desc: n > 0}, {Field: image.FieldName}},
		}
		for _, q.Caller.Roles = range [][]string{nil, {"admin"}} {
			err := db.View(ctx, func(tx metadata.Tx) error {
				_, err := tx.Images(q)
				return err
			})
			if err != nil && !errors.Is(err, image.ErrInvalid) {
				t.Errorf("Images(%+v) = %v", q, err)
			}
		}
	})
}
