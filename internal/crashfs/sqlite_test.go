package crashfs

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"

	_ "github.com/mattn/go-sqlite3"
)

// fill opens the database in dir and inserts rows until an insert fails or there are n. It returns how many were
// acknowledged.
func fill(dir, synchronous string, n int) (acknowledged int, err error) {
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(dir, "test.db")+"?_journal_mode=WAL&_synchronous="+synchronous)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("CREATE TABLE rows (number INTEGER PRIMARY KEY, text TEXT) STRICT; PRAGMA wal_autocheckpoint = 4"); err != nil {
		return 0, err
	}
	for i := range n {
		if _, err := db.Exec("INSERT INTO rows VALUES (?, hex(randomblob(2000)))", i); err != nil {
			return i, nil
		}
	}
	return n, nil
}

// check returns how many of the acknowledged rows are missing.
func check(dir string, acknowledged int) (lost int, err error) {
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(dir, "test.db")+"?_journal_mode=WAL")
	if err != nil {
		return 0, err
	}
	defer db.Close()
	var verdict string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		return 0, fmt.Errorf("integrity_check: %q, %w", verdict, err)
	}
	var have int
	if err := db.QueryRow("SELECT count(*) FROM rows WHERE number < ?", acknowledged).Scan(&have); err != nil {
		return 0, err
	}
	return acknowledged - have, nil
}

// SQLite keeps its promise on this file system at each durable step, in each mode: so the file system is usable.
func TestSQLiteSurvives(t *testing.T) {
	const rows = 12
	for _, mode := range []Mode{Drop, Tear, Scatter, Keep} {
		t.Run(string(mode), func(t *testing.T) {
			acknowledged := 0
			for step := 1; acknowledged < rows; step++ {
				fs, dir := begin(t, Config{})
				must(t, fs.Arm(Cut{Mode: mode, Seed: uint64(step), Step: step}))
				var err error
				if acknowledged, err = fill(dir, "FULL", rows); err != nil && acknowledged > 0 {
					t.Fatal(err)
				}
				if acknowledged == 0 {
					continue // not even the table was promised
				}
				if lost, err := check(survivors(t, fs, mode, 0), acknowledged); err != nil || lost != 0 {
					t.Fatalf("cut before step %d: %d of %d acknowledged rows are lost (%v)", step, lost, acknowledged, err)
				}
			}
		})
	}
}

// The file system bites: without fsync, be it that nobody asks for it or that the disk lies, acknowledged rows are lost.
func TestSQLiteLosesWithoutSync(t *testing.T) {
	for _, tt := range []struct {
		name, synchronous string
		lying             bool
	}{{"synchronous=OFF", "OFF", false}, {"a lying disk", "FULL", true}} {
		t.Run(tt.name, func(t *testing.T) {
			fs, dir := begin(t, Config{Lying: tt.lying})
			acknowledged, err := fill(dir, tt.synchronous, 12)
			must(t, err)
			if lost, err := check(survivors(t, fs, Drop, 0), acknowledged); err == nil && lost == 0 {
				t.Error("nothing was lost")
			}
		})
	}
}
