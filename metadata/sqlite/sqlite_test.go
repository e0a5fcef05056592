package sqlite_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/metadata"
	"github.com/vitrine-image/vitrine/metadata/metadatatest"
	"github.com/vitrine-image/vitrine/metadata/sqlite"
)

var ctx = context.Background()

func TestContract(t *testing.T) {
	metadatatest.Run(t, openChecked)
}

// TestContractElsewhere has lists read in order where they would be sorted, as in a database with many images, and that one
// expanded, as a newer version beside this one would have done.
func TestContractElsewhere(t *testing.T) {
	sqlite.ReadInOrder(t)
	metadatatest.Run(t, func(t *testing.T) metadata.DB {
		path := filepath.Join(t.TempDir(), "vitrine.db")
		db, err := sqlite.Open(ctx, sqlite.Config{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		for _, table := range query(t, path, `SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'sqlite_sequence'`) {
			run(t, path, `ALTER TABLE "`+table+`" ADD COLUMN of_tomorrow TEXT NOT NULL DEFAULT 'x'; CREATE INDEX "tomorrow_`+table+`" ON "`+table+`" (of_tomorrow)`)
		}
		run(t, path, `CREATE TABLE tomorrow (x)`)
		return open(t, path)
	})
}

// openChecked opens a new database, and looks at the end of the test for records that do not agree with each other.
func openChecked(t *testing.T) metadata.DB {
	t.Helper()
	path := filepath.Join(t.TempDir(), "vitrine.db")
	t.Cleanup(func() {
		for _, p := range check(t, path) {
			// The suite makes images without what the service would give them.
			if !strings.Contains(p, "nothing tells where its data is") && !strings.Contains(p, "upload into it is recorded") {
				t.Errorf("the database is left with a problem: %s", p)
			}
		}
	})
	return open(t, path)
}

// open opens a database until the test ends.
func open(t testing.TB, path string) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(ctx, sqlite.Config{Path: path})
	if err != nil {
		t.Fatalf("Open = %v", err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
	})
	return db
}
