package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"maps"
	"net/url"
	"regexp"
	"slices"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadata"
)

// maxProblems of one kind are reported; the others are counted.
const maxProblems = 50

// A checker collects what it finds wrong with a database, in words.
type checker struct {
	*tx
	problems []string
	kinds    map[string]int // how many problems of each format there are
	labels   map[metadata.LabelKind]map[string]int64
	// For each image, the hashes of the rows that it should have in the derived tables, less those of the rows that it has:
	// 0 when they agree.
	balance map[int64]uint64
	seed    maphash.Seed
	usage   map[string]use // by owner, as the images add up
}

// Check reads the whole database and returns what is wrong with it, one line each. The daemon may run meanwhile.
// Errors: metadata.ErrNewer, and what keeps it from being read at all.
func Check(ctx context.Context, path string) (problems []string, err error) {
	c, err := openExisting(ctx, path, newestVersion)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	if _, err := c.exec("BEGIN"); err != nil {
		return nil, err
	}
	defer c.exec("ROLLBACK")
	k := &checker{tx: &tx{ctx: ctx, conn: c}, kinds: map[string]int{}, balance: map[int64]uint64{}, seed: maphash.MakeSeed(), usage: map[string]use{}}
	for _, check := range []func() error{k.integrity, k.schema} {
		if err := check(); err != nil || len(k.kinds) > 0 {
			return k.all(), err // what is read from a damaged file or from unknown tables proves nothing
		}
	}
	for _, check := range []func() error{k.foreignKeys, k.readLabels, k.images, k.uploadsAndImages, k.derived, k.usages, k.counters, k.feed} {
		if err := check(); err != nil {
			return k.all(), err
		}
	}
	return k.all(), nil
}

// openExisting opens a database for reading, and leaves it unchanged. Its version is this program's, or one from oldest on.
func openExisting(ctx context.Context, path string, oldest int64) (*conn, error) {
	switch exists, err := inspect(path); {
	case err != nil:
		return nil, err
	case !exists:
		return nil, fmt.Errorf("open the metadata database %s: %w", path, fs.ErrNotExist)
	}
	c, err := openReader(path, unchanged(path), 8<<20)
	if err != nil {
		return nil, err
	}
	have, err := checkVersion(ctx, c)
	if err == nil && have < oldest {
		err = fmt.Errorf("%s has version %d: start the daemon once to bring it to version %d", path, have, newestVersion)
	}
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

func (k *checker) problem(format string, args ...any) {
	if k.kinds[format]++; k.kinds[format] <= maxProblems {
		k.problems = append(k.problems, fmt.Sprintf(format, args...))
	}
}

// all returns the problems, and at the end how many there are of the kinds that have too many.
func (k *checker) all() []string {
	for _, format := range slices.Sorted(maps.Keys(k.kinds)) {
		if more := k.kinds[format] - maxProblems; more > 0 {
			k.problems = append(k.problems, fmt.Sprintf("and %d more of the kind: %s", more, placeholder.ReplaceAllString(format, "..")))
		}
	}
	return k.problems
}

var placeholder = regexp.MustCompile(`%\w`)

// report adds a problem for each row of the query, whose columns fill the format.
func (k *checker) report(format, sql string, args ...any) error {
	return k.query(sql, args, func(row []driver.Value) error {
		values := make([]any, len(row))
		for i, v := range row {
			if values[i] = v; len(unpackID(v)) > 0 {
				values[i] = unpackID(v)
			}
		}
		k.problem(format, values...)
		return nil
	})
}

func (k *checker) integrity() error {
	return k.report("the file is damaged: %v", `SELECT integrity_check FROM pragma_integrity_check WHERE integrity_check <> 'ok'`)
}

// schema compares the tables and indices with those of a new database.
func (k *checker) schema() error {
	fresh, err := openTuned("new", url.Values{"mode": {"memory"}}, nil)
	if err != nil {
		return err
	}
	defer fresh.close()
	if _, _, err := migrate(k.ctx, fresh); err != nil {
		return err
	}
	want, err := schemaOf(k.ctx, fresh)
	if err != nil {
		return err
	}
	have, err := schemaOf(k.ctx, k.conn)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		switch sql, ok := have[name]; {
		case !ok:
			k.problem("the %v is gone from the schema", name)
		case sql != want[name]:
			k.problem("the %v is not as this version makes it", name)
		}
		delete(have, name)
	}
	for _, name := range slices.Sorted(maps.Keys(have)) {
		k.problem("the schema has a %v that this version does not know", name)
	}
	return nil
}

// schemaOf returns the statements that make tables, indices and the like, by what they make. SQLite's own are not among them.
func schemaOf(ctx context.Context, c *conn) (map[string]string, error) {
	found := map[string]string{}
	err := c.query(ctx, `SELECT type || ' ' || name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite\_%' ESCAPE '\'`, nil, func(row []driver.Value) error {
		found[text(row[0])] = text(row[1])
		return nil
	})
	return found, err
}

func (k *checker) foreignKeys() error {
	err := k.report("a row of %v belongs to none of %v", `SELECT "table", parent FROM pragma_foreign_key_check`)
	if err != nil {
		return err
	}
	return k.report("image %v is deleted, but %v is still a member of it",
		`SELECT i.id, m.project FROM members m CROSS JOIN images i ON i.number = m.number WHERE i.status = 'deleted'`)
}

func (k *checker) readLabels() error {
	k.labels = map[metadata.LabelKind]map[string]int64{}
	return k.query(`SELECT kind, value, entry, number FROM labels`, nil, func(row []driver.Value) error {
		kind, value, entry := metadata.LabelKind(integer(row[0])), text(row[1]), text(row[2])
		if k.labels[kind] == nil {
			k.labels[kind] = map[string]int64{}
		}
		k.labels[kind][value] = integer(row[3])
		if want := image.EntryName(value); entry != want {
			k.problem("label %d (%q) has the directory entry %q instead of %q", integer(row[3]), value, entry, want)
		}
		return nil
	})
}

// images reads every image and notes what should be derived from it.
func (k *checker) images() error {
	members := map[int64]map[string]string{}
	err := k.query(`SELECT number, project, status FROM members`, nil, func(row []driver.Value) error {
		n := integer(row[0])
		if members[n] == nil {
			members[n] = map[string]string{}
		}
		members[n][text(row[1])] = text(row[2])
		return nil
	})
	if err != nil {
		return err
	}
	return k.query(`SELECT `+imageColumns+` FROM images i ORDER BY i.number`, nil, func(row []driver.Value) error {
		img, err := scanImage(row)
		if err != nil {
			k.problem("%v", err)
			return nil
		}
		switch {
		case !slices.Contains(image.Statuses(), img.Status):
			k.problem("image %s has the unknown status %q", img.ID, img.Status)
		case img.Status == image.Active && len(img.Locations) == 0: // a deactivated one may have lost what its examination refused
			k.problem("image %s is active, but nothing tells where its data is", img.ID)
		}
		return k.expect(&record{img, members[img.Number]})
	})
}

func (k *checker) expect(r *record) error {
	if u := r.use(); u.images > 0 {
		sum := k.usage[u.owner]
		k.usage[u.owner] = use{u.owner, sum.images + u.images, sum.bytes + u.bytes, sum.uploading + u.uploading}
	}
	x, err := r.index(func(kind metadata.LabelKind, value string) (int64, error) {
		number, ok := k.labels[kind][value]
		if !ok {
			k.problem("image %s needs a label for %q, and there is none", r.ID, value)
		}
		return number, nil
	})
	if err != nil {
		k.problem("image %s: %v", r.ID, err)
		return nil
	}
	for _, list := range x.lists {
		k.balance[r.Number] += k.hash("listings", x.listing(r, list))
		for f := range x.facets {
			k.balance[r.Number] += k.hash("facets", x.facet(r, list, f))
		}
	}
	for b := range x.branches {
		k.balance[r.Number] += k.hash("tree", x.twig(r, b))
	}
	for _, a := range r.addresses() {
		k.balance[r.Number] += k.hash("locations", []any{a.store, a.url, r.Number})
	}
	return nil
}

// derived reads the derived tables.
func (k *checker) derived() error {
	for _, table := range []struct {
		name   string
		number int // of the column that holds the image's number
	}{{"listings", 3}, {"facets", 4}, {"tree", 3}, {"locations", 2}} {
		err := k.query(`SELECT * FROM `+table.name, nil, func(row []driver.Value) error {
			values := make([]any, len(row))
			for i, v := range row {
				values[i] = v
			}
			k.balance[integer(row[table.number])] -= k.hash(table.name, values)
			return nil
		})
		if err != nil {
			return err
		}
	}
	for number, sum := range k.balance {
		if sum == 0 {
			delete(k.balance, number)
		}
	}
	for _, number := range slices.Sorted(maps.Keys(k.balance)) {
		k.problem("image number %v is not in the lists and directories where it belongs", number)
	}
	return nil
}

// usages compares what projects use with what was added up.
func (k *checker) usages() error {
	err := k.query(`SELECT owner, images, bytes, uploading FROM usage`, nil, func(row []driver.Value) error {
		u := use{text(row[0]), integer(row[1]), integer(row[2]), integer(row[3])}
		want := k.usage[u.owner]
		if want.owner = u.owner; u != want {
			k.problem("project %q uses %d images with %d bytes (%d uploading), but %d with %d bytes (%d uploading) are recorded",
				u.owner, want.images, want.bytes, want.uploading, u.images, u.bytes, u.uploading)
		}
		delete(k.usage, u.owner)
		return nil
	})
	for _, owner := range slices.Sorted(maps.Keys(k.usage)) {
		u := k.usage[owner]
		k.problem("project %q uses %d images with %d bytes, but nothing is recorded", owner, u.images, u.bytes)
	}
	return err
}

func (k *checker) hash(table string, row []any) uint64 {
	var h maphash.Hash
	h.SetSeed(k.seed)
	maphash.WriteComparable(&h, table)
	for _, v := range row {
		if b, ok := v.([]byte); ok {
			v = string(b)
		}
		maphash.WriteComparable(&h, v)
	}
	return h.Sum64()
}

func (k *checker) uploadsAndImages() error {
	err := k.report("image %v is %v, but an upload into it is recorded (store %v, object %v)",
		`SELECT i.id, i.status, u.store, u.object FROM uploads u CROSS JOIN images i ON i.number = u.number
		 WHERE i.status NOT IN ('saving', 'uploading', 'importing', 'deleted') AND NOT EXISTS (SELECT 1 FROM tasks t
		  WHERE t.image_id = i.id AND t.status IN ('pending', 'processing'))`)
	if err != nil {
		return err
	}
	err = k.report("image %v is %v, but data is staged for it (store %v, %v)",
		`SELECT i.id, i.status, s.store, s.url FROM staged s CROSS JOIN images i ON i.number = s.number
		 WHERE i.status NOT IN ('queued', 'uploading', 'importing')`)
	if err != nil {
		return err
	}
	err = k.report("image %v is saving, but no upload into it is recorded",
		`SELECT i.id FROM images i WHERE i.status = 'saving' AND NOT EXISTS (SELECT 1 FROM uploads u WHERE u.number = i.number)`)
	if err != nil {
		return err
	}
	return k.report("the data at %v in store %v is garbage, although image %v names it",
		`SELECT g.url, g.store, i.id FROM garbage g CROSS JOIN locations l ON l.store = g.store AND l.url = g.url
		  CROSS JOIN images i ON i.number = l.number
		 UNION ALL SELECT g.url, g.store, i.id FROM garbage g CROSS JOIN staged s ON s.store = g.store AND s.url = g.url
		  CROSS JOIN images i ON i.number = s.number`)
}

// counters are what keeps a number from being given twice.
func (k *checker) counters() error {
	for _, table := range []struct{ name, column string }{{"images", "number"}, {"labels", "number"}, {"garbage", "id"}, {"changes", "sequence"}, {"metadef_namespaces", "number"}} {
		err := k.report("the counter of "+table.name+" stands at %v, but %v was given already", fmt.Sprintf(
			`SELECT coalesce((SELECT max(seq) FROM sqlite_sequence WHERE name = '%[1]s'), 0) AS last, (SELECT max(%[2]s) FROM %[1]s) AS given
			 WHERE last < given`, table.name, table.column))
		if err != nil {
			return err
		}
	}
	return nil
}

// feed looks for changes that nobody dropped and that are gone: who follows the feed would never learn of them.
func (k *checker) feed() error {
	err := k.report("the record %v is gone", `SELECT value FROM json_each('["database_id", "changes_dropped_through"]') WHERE value NOT IN (SELECT key FROM meta)`)
	if err != nil {
		return err
	}
	last, err := k.LastChange()
	if err != nil {
		return err
	}
	dropped, err := k.changesDropped()
	if err != nil {
		return err
	}
	if dropped > last {
		k.problem("changes are dropped through %d, beyond the end of the feed (%d)", dropped, last)
	}
	return k.report("%v changes are gone that were not dropped", `SELECT ?1 - ?2 - count(*) AS missing FROM changes WHERE sequence > ?2 HAVING missing > 0`,
		last, dropped)
}
