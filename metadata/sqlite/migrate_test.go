package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/metadata"
)

// A thing is a table, an index or the like, as sqlite_schema has it.
type thing struct{ kind, name, table, sql string }

func things(t *testing.T, c *conn) (found []thing) {
	t.Helper()
	err := c.query(context.Background(), `SELECT type, name, tbl_name, sql FROM sqlite_schema`, nil, func(row []driver.Value) error {
		found = append(found, thing{text(row[0]), text(row[1]), text(row[2]), text(row[3])})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// hindrances tells what keeps a program that knows the schema before from working on the one after.
func hindrances(before, after []thing) (found []string) {
	for _, b := range before {
		i := slices.IndexFunc(after, func(a thing) bool { return a.kind == b.kind && a.name == b.name })
		columns := b.sql[:max(strings.LastIndex(b.sql, ")"), 0)]
		switch {
		case i < 0:
			found = append(found, fmt.Sprintf("the %s %s is gone", b.kind, b.name))
		case b.kind == "table" && !strings.HasPrefix(after[i].sql, columns), b.kind != "table" && after[i].sql != b.sql:
			found = append(found, fmt.Sprintf("the %s %s is another", b.kind, b.name))
		}
	}
	for _, a := range after {
		ofBefore := slices.ContainsFunc(before, func(b thing) bool { return b.name == a.table })
		isNew := !slices.ContainsFunc(before, func(b thing) bool { return b.kind == a.kind && b.name == a.name })
		if ofBefore && isNew && (a.kind == "trigger" || strings.HasPrefix(a.sql, "CREATE UNIQUE")) {
			found = append(found, fmt.Sprintf("the %s %s may refuse or change what is written to %s", a.kind, a.name, a.table))
		}
	}
	return found
}

func openMemory(t *testing.T) *conn {
	t.Helper()
	c, err := openTuned("new", url.Values{"mode": {"memory"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.close() })
	return c
}

// TestMigrationsOnlyExpand has every migration leave what the releases before it read and write: they may still run beside.
func TestMigrationsOnlyExpand(t *testing.T) {
	c := openMemory(t)
	var before []thing
	for i, name := range migrationNames {
		if !strings.HasPrefix(name, fmt.Sprintf("migrations/%04d_", i+1)) {
			t.Errorf("migration %d is called %s", i+1, name)
		}
		if err := step(c, name, int64(i)+1); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		after := things(t, c)
		for _, h := range hindrances(before, after) {
			t.Errorf("%s: %s", name, h)
		}
		before = after
	}
}

// TestHindrances tries migrations that would be wrong, and one that is right.
func TestHindrances(t *testing.T) {
	for _, tt := range []struct{ sql, want string }{
		{`DROP TABLE stores`, "the table stores is gone"},
		{`DROP INDEX listings_name`, "the index listings_name is gone"},
		{`DROP INDEX listings_name; CREATE INDEX listings_name ON listings (name)`, "the index listings_name is another"},
		{`ALTER TABLE stores RENAME TO shops`, "the table stores is gone"},
		{`ALTER TABLE stores RENAME COLUMN uuid TO id`, "the table stores is another"},
		{`ALTER TABLE images DROP COLUMN hash_algo`, "the table images is another"},
		{`CREATE TABLE n (store TEXT NOT NULL PRIMARY KEY, uuid TEXT NOT NULL CHECK (uuid > '')) STRICT; DROP TABLE stores; ALTER TABLE n RENAME TO stores`,
			"the table stores is another"},
		{`CREATE UNIQUE INDEX one_name ON images (name)`, "the index one_name may refuse"},
		{`CREATE TRIGGER t AFTER INSERT ON images BEGIN SELECT 1; END`, "the trigger t may refuse"},
		{`CREATE TABLE quotas (owner TEXT); CREATE UNIQUE INDEX quotas_owner ON quotas (owner); CREATE INDEX i ON images (hash_algo);
			ALTER TABLE images ADD COLUMN color TEXT; ALTER TABLE uploads ADD COLUMN speed INTEGER NOT NULL DEFAULT 0`, ""},
	} {
		c := openMemory(t)
		if _, _, err := migrate(context.Background(), c); err != nil {
			t.Fatal(err)
		}
		before := things(t, c)
		if _, err := c.raw.Exec(tt.sql, nil); err != nil {
			t.Fatalf("%s: %v", tt.sql, err)
		}
		got := hindrances(before, things(t, c))
		if tt.want == "" && len(got) > 0 || tt.want != "" && !slices.ContainsFunc(got, func(h string) bool { return strings.HasPrefix(h, tt.want) }) {
			t.Errorf("%s: %q, want %q", tt.sql, got, tt.want)
		}
	}
}

// TestMigrationFails has a migration fail in its middle, and tries again when nothing is in its way any more.
func TestMigrationFails(t *testing.T) {
	c := openMemory(t)
	if _, err := c.raw.Exec(`CREATE TABLE facets (x)`, nil); err != nil { // which the first migration makes late
		t.Fatal(err)
	}
	if err := step(c, "migrations/0001_start.sql", 1); err == nil {
		t.Fatal("a migration makes a table that is there")
	}
	if !c.raw.AutoCommit() {
		t.Error("a migration that failed leaves its transaction open")
	}
	if left := things(t, c); len(left) != 1 {
		t.Errorf("a migration that failed leaves %v", left)
	}
	if _, err := c.raw.Exec(`DROP TABLE facets`, nil); err != nil {
		t.Fatal(err)
	}
	if _, _, err := migrate(context.Background(), c); err != nil {
		t.Errorf("migrate = %v", err)
	}
	if _, err := c.raw.Exec(`PRAGMA user_version = 99`, nil); err != nil {
		t.Fatal(err)
	}
	if _, _, err := migrate(context.Background(), c); !errors.Is(err, metadata.ErrNewer) {
		t.Errorf("migrate a newer database = %v", err)
	}
}

// TestBackupBeforeUpgrade copies a database of the first version, as this version finds it before the daemon has migrated it.
func TestBackupBeforeUpgrade(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	path, dest := filepath.Join(dir, "vitrine.db"), filepath.Join(dir, "backup.db")
	MakeVersion(t, path, 1)
	if _, err := Check(ctx, path); err == nil || !strings.Contains(err.Error(), "has version 1: start the daemon") {
		t.Errorf("Check of an older version = %v", err)
	}
	if err := Backup(ctx, path, dest); err != nil {
		t.Fatalf("Backup of an older version = %v", err)
	}
	db, err := Open(ctx, Config{Path: dest})
	if err != nil {
		t.Fatalf("Open of the backup = %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if problems, err := Check(ctx, dest); err != nil || len(problems) > 0 {
		t.Errorf("Check of the backup once it is migrated = %q, %v", problems, err)
	}
}
