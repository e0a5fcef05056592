package sqlite_test

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/testservers"
	"github.com/vitrine-image/vitrine/metadata"
	"github.com/vitrine-image/vitrine/metadata/sqlite"
)

// closedDatabase makes a database with images and closes it. It is all in one file then.
func closedDatabase(t *testing.T, path string) []byte {
	t.Helper()
	db, err := sqlite.Open(ctx, sqlite.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, db, 50)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return contents(t, filepath.Dir(path))[filepath.Base(path)]
}

// contents returns the files of a directory that hold anything, and the names of what is no file. What SQLite shares between
// processes is derived from the log, and not among them; nor is the reserve, which holds nothing.
func contents(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]byte{}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), "-shm") || strings.HasSuffix(e.Name(), ".reserve") {
			continue
		}
		if !e.Type().IsRegular() {
			found[e.Name()] = nil
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if len(b) > 0 || e.Name() == "vitrine.db" {
			found[e.Name()] = b
		}
	}
	return found
}

// TestRefused opens, checks, backs up and vacuums what is no whole database of ours: each tells what is the matter with which
// file, and changes nothing.
func TestRefused(t *testing.T) {
	whole := closedDatabase(t, filepath.Join(t.TempDir(), "vitrine.db"))
	file := func(b []byte) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, tt := range []struct {
		name string
		make func(t *testing.T, path string)
		is   error
		says string
	}{
		{"a text file", file([]byte(strings.Repeat("no database ", 500))), nil, "is not a database"},
		{"a short text file", file([]byte("no\n")), nil, "vitrine.db is "}, // not a database, or damaged
		{"zeros", file(make([]byte, 8192)), nil, "is not a database"},
		{"an empty file", file(nil), nil, "is empty"},
		{"an empty file with a log", func(t *testing.T, path string) {
			file(nil)(t, path)
			file(whole)(t, path+"-wal")
		}, nil, "is empty"},
		{"the first bytes alone", file(whole[:50]), image.ErrUnavailable, "is damaged"},
		{"one page", file(whole[:4096]), image.ErrUnavailable, "is damaged"},
		{"a half", file(whole[:len(whole)/2]), image.ErrUnavailable, "is damaged"},
		{"all but a page", file(whole[:len(whole)-4096]), image.ErrUnavailable, "is damaged"},
		{"a log without its database", func(t *testing.T, path string) { file(whole)(t, path+"-wal") }, nil, "is gone, but its log"},
		{"a directory", func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, nil, "is not a regular file"},
		{"a link", func(t *testing.T, path string) {
			file(whole)(t, path+"-other")
			if err := os.Symlink(path+"-other", path); err != nil {
				t.Fatal(err)
			}
		}, nil, "is not a regular file"},
		{"a linked log", func(t *testing.T, path string) {
			file(whole)(t, path)
			if err := os.Symlink(path, path+"-wal"); err != nil {
				t.Fatal(err)
			}
		}, nil, "vitrine.db-wal is not a regular file"},
		{"another program's database", func(t *testing.T, path string) { run(t, path, "CREATE TABLE other (x); INSERT INTO other VALUES (1)") },
			nil, "is the database of another program"},
		{"a newer database", func(t *testing.T, path string) {
			file(whole)(t, path)
			run(t, path, "PRAGMA user_version = 99")
		}, metadata.ErrNewer, "has version 99, and this program knows versions up to"},
		{"a newer database with a log", func(t *testing.T, path string) {
			busy := filepath.Join(t.TempDir(), "vitrine.db")
			file(whole)(t, busy)
			open(t, busy) // stays open, so that the next one leaves its log
			run(t, busy, "PRAGMA user_version = 99")
			for _, suffix := range []string{"", "-wal"} {
				b, err := os.ReadFile(busy + suffix)
				if err != nil {
					t.Fatal(err)
				}
				file(b)(t, path+suffix)
			}
		}, metadata.ErrNewer, "has version 99, and this program knows versions up to"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "vitrine.db")
			tt.make(t, path)
			before := contents(t, dir)
			for act, do := range map[string]func() error{
				"Open": func() error {
					db, err := sqlite.Open(ctx, sqlite.Config{Path: path})
					if err == nil {
						db.Close()
					}
					return err
				},
				"Check":  func() error { _, err := sqlite.Check(ctx, path); return err },
				"Backup": func() error { return sqlite.Backup(ctx, path, filepath.Join(dir, "backup.db")) },
				"Vacuum": func() error { return sqlite.Vacuum(ctx, path) },
			} {
				err := do()
				if err == nil || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), path) || tt.is != nil && !errors.Is(err, tt.is) {
					t.Errorf("%s = %v, want one that says %q of %s", act, err, tt.says, path)
				}
				if after := contents(t, dir); !maps.EqualFunc(before, after, func(a, b []byte) bool { return string(a) == string(b) }) {
					t.Fatalf("%s changed the files", act)
				}
			}
		})
	}
}

func TestOpenRefusesPlaces(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing", "vitrine.db")
	if _, err := sqlite.Open(ctx, sqlite.Config{Path: missing}); !errors.Is(err, image.ErrUnavailable) || !strings.Contains(err.Error(), missing) {
		t.Errorf("Open in a missing directory = %v", err)
	}
	if _, err := sqlite.Open(ctx, sqlite.Config{}); err == nil || !strings.Contains(err.Error(), "path is not set") {
		t.Errorf("Open of nothing = %v", err)
	}
}

// TestAdminMakesNothing works on a database that is not there.
func TestAdminMakesNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "vitrine.db")
	_, err := sqlite.Check(ctx, path)
	for act, err := range map[string]error{"Check": err, "Backup": sqlite.Backup(ctx, path, filepath.Join(dir, "backup.db")), "Vacuum": sqlite.Vacuum(ctx, path)} {
		if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s of a missing file = %v", act, err)
		}
	}
	if found := contents(t, dir); len(found) > 0 {
		t.Errorf("there is %v now", found)
	}
}

// TestOpenAfterDeathWhileMaking leaves what a process leaves that died while it made the database.
func TestOpenAfterDeathWhileMaking(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "vitrine.db")
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		if err := os.WriteFile(path+".new"+suffix, []byte("half a database"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fill(t, open(t, path), 1)
	left, err := filepath.Glob(path + ".new*")
	if err != nil || len(left) > 0 {
		t.Errorf("of the half-made database there is %q still, %v", left, err)
	}
}

func TestReadOnlyFileSystem(t *testing.T) {
	testservers.Require(t, "root")
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=32m"); err != nil {
		t.Fatalf("mount a small tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	path := filepath.Join(dir, "vitrine.db")
	closedDatabase(t, path)
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatalf("remount read-only: %v", err)
	}
	for _, file := range []string{path, filepath.Join(dir, "new.db")} {
		_, err := sqlite.Open(ctx, sqlite.Config{Path: file})
		if !errors.Is(err, image.ErrUnavailable) || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "read-only file system") {
			t.Errorf("Open of %s on a read-only file system = %v", file, err)
		}
	}
	if _, err := sqlite.Check(ctx, path); !errors.Is(err, image.ErrUnavailable) || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("Check on a read-only file system = %v", err)
	}
}
