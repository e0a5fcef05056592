package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadata"
)

// plans runs fn in a View and returns how SQLite carries out each statement that it caused.
func plans(t *testing.T, db *DB, fn func(metadata.Tx) error) map[string][]string {
	t.Helper()
	ctx := context.Background()
	c, err := openReader(db.writer.conn.path, readWrite, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if err := fn(&tx{ctx: ctx, conn: c}); err != nil {
		t.Fatal(err)
	}
	found := map[string][]string{}
	for _, sql := range slices.Sorted(maps.Keys(c.statements)) {
		var steps []string
		err := c.query(ctx, "EXPLAIN QUERY PLAN "+sql, nil, func(row []driver.Value) error {
			steps = append(steps, text(row[3]))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		found[sql] = steps
	}
	return found
}

// costly tells a step that reads a whole table, or all that matches in order to sort it.
func costly(step string) bool {
	switch {
	case strings.HasPrefix(step, "SCAN "):
		for _, small := range []string{"SCAN json_each", "SCAN j VIRTUAL TABLE", "SCAN value", "SCAN used", "SCAN CONSTANT ROW", "SCAN uploads", "SCAN storing", "SCAN giving", "SCAN (subquery", "SCAN sqlite_sequence"} {
			if strings.HasPrefix(step, small) {
				return false
			}
		}
		return true
	case strings.Contains(step, "USE TEMP B-TREE"):
		return !strings.Contains(step, "LAST") // ties of one value are few, or readDescending has made them so
	}
	return strings.Contains(step, "AUTOMATIC")
}

// TestPlans looks for costly steps in what must cost the same at any number of images.
func TestPlans(t *testing.T) {
	db := openTest(t)
	crowd(t, db, 2000)
	caller := image.Caller{ProjectID: "p1"}
	queries := map[string]image.Query{
		"plain":        {},
		"tag":          {Tags: []string{"t"}},
		"two tags":     {Tags: []string{"t", "u"}},
		"property":     {Filters: []image.Filter{{Property: "k", Op: image.OpEqual, Strings: []string{"v"}}}},
		"property in":  {Filters: []image.Filter{{Property: "k", Op: image.OpIn, Strings: []string{"v", "w"}}}},
		"name":         {Filters: []image.Filter{{Field: image.FieldName, Op: image.OpEqual, Strings: []string{"n"}}}},
		"status":       {Filters: []image.Filter{{Field: image.FieldStatus, Op: image.OpEqual, Strings: []string{"active"}}}},
		"owner":        {Filters: []image.Filter{{Field: image.FieldOwner, Op: image.OpEqual, Strings: []string{"p1"}}}},
		"checksum":     {Filters: []image.Filter{{Field: image.FieldChecksum, Op: image.OpEqual, Strings: []string{"c"}}}},
		"size":         {Filters: []image.Filter{{Field: image.FieldSize, Op: image.OpAtLeast, Int: 1}}},
		"size and tag": {Tags: []string{"t"}, Filters: []image.Filter{{Field: image.FieldSize, Op: image.OpAtLeast, Int: 1}}},
		"updated":      {Filters: []image.Filter{{Field: image.FieldUpdatedAt, Op: image.OpLess, Time: time.Unix(1, 0)}}},
		"tag, by size": {Tags: []string{"t"}, Sort: []image.SortKey{{Field: image.FieldSize}}},
		"created":      {Filters: []image.Filter{{Field: image.FieldCreatedAt, Op: image.OpLess, Time: time.Unix(1, 0)}}},
	}
	for _, f := range image.SortFields() {
		for _, desc := range []bool{false, true} {
			queries[fmt.Sprint("by ", f, " ", desc)] = image.Query{Sort: []image.SortKey{{Field: f, Desc: desc}}}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(queries)) {
		for who, caller := range map[string]image.Caller{"member": caller, "admin": {ProjectID: "p1", Roles: []string{"admin"}}, "anonymous": {Anonymous: true}} {
			q := queries[name]
			q.Caller, q.Limit = caller, 20
			found := plans(t, db, func(tx metadata.Tx) error {
				page, err := tx.Images(q)
				if err != nil || len(page) == 0 {
					return err
				}
				q.Marker = page[len(page)-1].ID
				_, err = tx.Images(q)
				return err
			})
			report(t, name+" by "+who, found)
		}
	}
}

func TestLocationPlans(t *testing.T) {
	db := openTest(t)
	crowd(t, db, 200)
	report(t, "locations", plans(t, db, func(tx metadata.Tx) error {
		if _, err := tx.LocationExists("local", "file:///nothing"); err != nil {
			return err
		}
		_, err := tx.URLExists("file:///nothing")
		return err
	}))
}

func TestTreePlans(t *testing.T) {
	db := openTest(t)
	crowd(t, db, 200)
	scope := metadata.Scope{All: []metadata.Condition{{Public: true, Owners: []string{"p1"}}}}
	found := plans(t, db, func(tx metadata.Tx) error {
		label, err := tx.TreeLabel(metadata.LabelName, scope, "n")
		if err != nil {
			return err
		}
		dir := metadata.Dir{Scope: scope, Kind: metadata.LabelName, Label: label.Number}
		if _, err := tx.TreeImages(dir, 3, 10); err != nil {
			return err
		}
		if _, err := tx.TreeImages(metadata.Dir{}, 3, 10); err != nil {
			return err
		}
		entry, err := tx.Latest(dir)
		if err != nil {
			return err
		}
		if _, err := tx.TreeImage(dir, entry.ID); err != nil {
			return err
		}
		_, err = tx.TreeLabels(metadata.LabelTag, scope, 0, 10)
		return err
	})
	report(t, "directories", found)
}

func report(t *testing.T, what string, found map[string][]string) {
	t.Helper()
	if len(found) == 0 {
		t.Errorf("%s: no statements", what)
	}
	for sql, steps := range found {
		if slices.ContainsFunc(steps, costly) {
			t.Errorf("%s:\n%s\n%s", what, sql, strings.Join(steps, "\n"))
		}
	}
}

// crowd makes images that all match, so that no filter is selective.
func crowd(t *testing.T, db *DB, n int) {
	t.Helper()
	err := db.Update(context.Background(), func(tx metadata.WriteTx) error {
		for i := range n {
			name, size := "n", int64(i%7)
			img := newQueued()
			img.Status, img.Name, img.Size, img.Tags, img.Checksum = image.Active, &name, &size, []string{"t", "u"}, "c"
			img.Owner, img.Visibility = fmt.Sprint("p", i%3), image.Visibilities()[i%4]
			img.Properties = map[string]string{"k": "v"}
			img.CreatedAt = time.UnixMicro(int64(i))
			if err := tx.CreateImage(img); err != nil {
				return err
			}
			if err := tx.SaveMember(img.Number, "p1", image.MemberAccepted, img.CreatedAt); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
