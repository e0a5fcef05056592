package sqlite_test

import (
	"database/sql/driver"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/mattn/go-sqlite3"
	"golang.org/x/sys/unix"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/testservers"
	"github.com/vitrine-image/vitrine/metadata"
	"github.com/vitrine-image/vitrine/metadata/sqlite"
)

var rewrite = flag.Bool("update", false, "write what is found to testdata")

// TestSchema shows what a migration changes.
func TestSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vitrine.db")
	open(t, path)
	got := strings.Join(query(t, path, `SELECT sql || ';' FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type DESC, name`), "\n\n") + "\n"
	const golden = "testdata/schema.sql"
	if *rewrite {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the schema is not that of %s; see the difference with -update\n%s", golden, got)
	}
}

// query returns the first column.
func query(t testing.TB, path, sql string) (found []string) {
	t.Helper()
	c, err := (&sqlite3.SQLiteDriver{}).Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	rows, err := c.(*sqlite3.SQLiteConn).Query(sql, nil)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	defer rows.Close()
	values := make([]driver.Value, len(rows.Columns()))
	for rows.Next(values) == nil {
		s, ok := values[0].(string)
		if !ok {
			t.Fatalf("%s gives %v", sql, values[0])
		}
		found = append(found, s)
	}
	return found
}

func TestOpenAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vitrine ?#%.db") // none of it means anything in a file name
	db, err := sqlite.Open(ctx, sqlite.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	images := fill(t, db, 3)
	if err := db.Close(); err != nil {
		t.Fatalf("Close = %v", err)
	}
	if err := db.Close(); err != nil {
		t.Errorf("Close again = %v", err)
	}
	again := open(t, path)
	if more := fill(t, again, 1); more[0].Number != images[2].Number+1 {
		t.Errorf("number %d came after %d", more[0].Number, images[2].Number)
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if info, err := os.Stat(path + suffix); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode of %s%s: %v, %v", path, suffix, info, err)
		}
	}
}

// TestOpenAfterKill opens what the disk holds in the middle of the life of a process that never closes.
func TestOpenAfterKill(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "vitrine.db")
	db := open(t, path)
	images := fill(t, db, 40)
	for round := range 3 {
		copied := filepath.Join(t.TempDir(), "vitrine.db")
		for _, suffix := range []string{"", "-wal"} {
			b, err := os.ReadFile(path + suffix)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(copied+suffix, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		after := open(t, copied)
		err := after.View(ctx, func(tx metadata.Tx) error {
			for _, img := range images {
				if _, err := tx.Image(img.ID); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Errorf("round %d: %v", round, err)
		}
		if problems := check(t, copied); len(problems) > 0 {
			t.Errorf("round %d: %q", round, problems)
		}
		images = append(images, fill(t, db, 40)...)
	}
}

// TestDiskFull fills a small file system: writes answer image.ErrUnavailable, reads go on, and when there is space again so do
// the writes.
func TestDiskFull(t *testing.T) {
	testservers.Require(t, "root")
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=23m"); err != nil {
		t.Fatalf("mount a small tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	db := open(t, filepath.Join(dir, "vitrine.db"))
	kept := fill(t, db, 10)
	elsewhere := filepath.Join(t.TempDir(), "other.db")
	fill(t, open(t, elsewhere), 400)
	ballast := []string{filepath.Join(dir, "ballast-1"), filepath.Join(dir, "ballast-2")}
	for _, file := range ballast {
		if err := os.WriteFile(file, make([]byte, 600<<10), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range ballast {
		created := 0
		var failed error
		for failed == nil && created < 10_000 {
			img := kept[0].Clone()
			img.ID = image.NewID()
			failed = db.Update(ctx, func(tx metadata.WriteTx) error { return tx.CreateImage(img) })
			if failed == nil {
				created++
				kept = append(kept, img)
			}
		}
		if !errors.Is(failed, image.ErrUnavailable) || !strings.Contains(failed.Error(), "free space") {
			t.Fatalf("Update on a full disk = %v after %d images", failed, created)
		}
		err := db.View(ctx, func(tx metadata.Tx) error {
			for _, img := range kept {
				if _, err := tx.Image(img.ID); err != nil {
					return err
				}
			}
			_, err := tx.Images(image.Query{Caller: image.Caller{Roles: []string{"admin"}}, Limit: 100, Sort: []image.SortKey{{Field: image.FieldSize}}})
			return err
		})
		if err != nil {
			t.Fatalf("View on a full disk = %v", err)
		}
		before, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for act, err := range map[string]error{
			"Backup to":   sqlite.Backup(ctx, elsewhere, filepath.Join(dir, "backup.db")),
			"Vacuum on":   sqlite.Vacuum(ctx, filepath.Join(dir, "vitrine.db")),
			"creating on": openAndClose(filepath.Join(dir, "new.db")),
		} {
			if !errors.Is(err, image.ErrUnavailable) {
				t.Errorf("%s a full disk = %v", act, err)
			}
		}
		if after, err := os.ReadDir(dir); err != nil || len(after) != len(before) {
			t.Errorf("what could not be written is left on a full disk: %v", after)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		fill(t, db, 1)
	}
	if problems := check(t, filepath.Join(dir, "vitrine.db")); len(problems) > 0 {
		t.Errorf("problems after a full disk: %q", problems)
	}
}

func openAndClose(path string) error {
	db, err := sqlite.Open(ctx, sqlite.Config{Path: path})
	if err != nil {
		return err
	}
	return db.Close()
}

// TestCloseLeaks looks for goroutines and descriptors.
func TestCloseLeaks(t *testing.T) {
	dir := t.TempDir()
	descriptors := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	cycle := func() {
		db, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(dir, "vitrine.db")})
		if err != nil {
			t.Fatal(err)
		}
		fill(t, db, 2)
		if err := db.View(ctx, func(tx metadata.Tx) error { _, err := tx.LastChange(); return err }); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	cycle()
	goroutines, files := runtime.NumGoroutine(), descriptors()
	for range 5 {
		cycle()
	}
	if g, f := runtime.NumGoroutine(), descriptors(); g > goroutines || f > files {
		t.Errorf("%d goroutines and %d descriptors, before %d and %d", g, f, goroutines, files)
	}
}

// TestMigrateAddsUpUsage opens a database that was made before usage was kept.
func TestMigrateAddsUpUsage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vitrine.db")
	sqlite.MakeVersion(t, path, 1)
	for i, values := range []string{
		`'p1', 'active', 10, '[{"store":"a","url":"u"},{"store":"b","url":"v"}]'`,
		`'p1', 'saving', NULL, '[]'`,
		`NULL, 'active', 5, '[{"store":"a","url":"w"}]'`,
		`'p1', 'deleted', NULL, '[]'`,
	} {
		run(t, path, fmt.Sprintf(`INSERT INTO images (id, owner, status, size, locations, visibility, protected, hidden, min_disk, min_ram,
			created_at, updated_at, tags, properties) VALUES (randomblob(16), %s, 'private', 0, 0, 0, 0, %d, 0, '[]', '{}')`, values, i))
	}
	db := open(t, path)
	for project, want := range map[string]image.Usage{"p1": {Images: 2, Bytes: 20, Uploading: 1}, "": {Images: 1, Bytes: 5}} {
		err := db.View(ctx, func(tx metadata.Tx) error {
			got, err := tx.Usage(project)
			if got != want {
				t.Errorf("usage of %q after the migration: %+v, want %+v", project, got, want)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}
