package sqlite_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/vitrine-image/vitrine/metadata"
	"github.com/vitrine-image/vitrine/metadata/metadatatest"
	"github.com/vitrine-image/vitrine/metadata/sqlite"
)

var ctx = context.Background()

func TestContract(t *testing.T) {
	metadatatest.Run(t, func(t *testing.T) metadata.DB { return open(t, filepath.Join(t.TempDir(), "vitrine.db")) })
}

// TestContractInOrder has lists read in order where they would be sorted, as in a database with many images.
func TestContractInOrder(t *testing.T) {
	sqlite.ReadInOrder(t)
	metadatatest.Run(t, func(t *testing.T) metadata.DB { return open(t, filepath.Join(t.TempDir(), "vitrine.db")) })
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
