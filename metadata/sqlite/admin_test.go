package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mattn/go-sqlite3"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadata"
	"github.com/vitrine-image/vitrine/metadata/sqlite"
)

// fill creates n images of all kinds.
func fill(t testing.TB, db metadata.DB, n int) []*image.Image {
	t.Helper()
	var images []*image.Image
	err := db.Update(ctx, func(tx metadata.WriteTx) error {
		images = nil
		for i := range n {
			name := fmt.Sprint("image ", i%3)
			img := &image.Image{
				ID: image.NewID(), Name: &name, Owner: fmt.Sprint("p", i%2), Status: image.Active, Visibility: image.Visibilities()[i%4],
				DiskFormat: "raw", ContainerFormat: "bare", Checksum: "c", HashAlgo: "sha512", HashValue: "h", Protected: i%2 == 0,
				Tags: []string{"t", fmt.Sprint("t", i)}, Properties: map[string]string{"k": fmt.Sprint(i), "os": "debian"},
				CreatedAt: time.UnixMicro(int64(i)), UpdatedAt: time.UnixMicro(int64(2 * i)),
				Locations: []image.Location{{Store: "local", URL: fmt.Sprint("file:///", i)}},
			}
			if err := tx.CreateImage(img); err != nil {
				return err
			}
			if err := tx.SaveMember(img.Number, "p2", "accepted", time.UnixMicro(1)); err != nil {
				return err
			}
			images = append(images, img)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return images
}

// run executes SQL behind the back of the package.
func run(t testing.TB, path, sql string) {
	t.Helper()
	c, err := (&sqlite3.SQLiteDriver{}).Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.(*sqlite3.SQLiteConn).Exec(sql, nil); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func check(t testing.TB, path string) []string {
	t.Helper()
	problems, err := sqlite.Check(ctx, path)
	if err != nil {
		t.Fatalf("Check = %v", err)
	}
	return problems
}

func TestCheck(t *testing.T) {
	for _, tt := range []struct{ name, sql, want string }{
		{"nothing wrong", ``, ``},
		{"a stale list", `DELETE FROM listings WHERE number = 3 AND list > 16`, `image number 3 is not in the lists`},
		{"a list too many", `INSERT INTO listings VALUES (1, 1, zeroblob(16), 77, 1, '', '', '', '', 0)`, `image number 77 is not`},
		{"a wrong sort key", `UPDATE listings SET size = 5 WHERE number = 2`, `image number 2 is not in the lists`},
		{"a lost facet", `DELETE FROM facets WHERE number = 4 AND facet = (SELECT min(facet) FROM facets WHERE number = 4)`, `image number 4 is not`},
		{"a facet too many", `INSERT INTO facets VALUES (1, zeroblob(16), 1, zeroblob(16), 77)`, `image number 77 is not`},
		{"a wrong facet", `UPDATE facets SET number = 6 WHERE number = 5`, `image number 5 is not`},
		{"a lost directory", `DELETE FROM tree WHERE number = 5 AND kind = 2`, `image number 5 is not`},
		{"a directory too many", `INSERT INTO tree VALUES (0, 0, 0, 77, zeroblob(16), 1, 1, 0, 0, 0)`, `image number 77 is not`},
		{"a location too many", `INSERT INTO locations VALUES ('local', 'u', 77)`, `image number 77 is not`},
		{"a wrong directory", `UPDATE tree SET owner = 99 WHERE number = 5`, `image number 5 is not`},
		{"a lost location", `DELETE FROM locations WHERE number = 1`, `image number 1 is not`},
		{"an active image without data", `UPDATE images SET locations = '[]' WHERE number = 1; DELETE FROM locations WHERE number = 1`, `nothing tells where its data is`},
		{"an unknown status", `UPDATE images SET status = 'lost' WHERE number = 1`, `unknown status "lost"`},
		{"a wrong entry", `UPDATE labels SET entry = 'x' WHERE value = 't'`, `the directory entry "x" instead of "t"`},
		{"a lost label", `DELETE FROM labels WHERE value = 'image 1'`, `needs a label for "image 1"`},
		{"bad JSON", `UPDATE images SET tags = '[1,' WHERE number = 1`, `decode tags`},
		{"an upload of an active image", `INSERT INTO uploads (id, number, store, object, instance, bytes, started) VALUES ('u', 1, 'local', 'o', 'i', -1, 0)`, `is active, but an upload into it is recorded (store local, object o)`},
		{"saving without an upload", `UPDATE images SET status = 'saving' WHERE number = 1`, `is saving, but no upload`},
		{"garbage that is in use", `INSERT INTO garbage (number, image_id, store, url, metadata, since) VALUES (0, x'', 'local', 'file:///1', '{}', 0)`, `is garbage, although image`},
		{"garbage that is staged", `INSERT INTO staged VALUES (1, 'staging', 'u', '{}', 1, 0);
			INSERT INTO garbage (number, image_id, store, url, metadata, since) VALUES (0, x'', 'staging', 'u', '{}', 0)`, `is garbage, although image`},
		{"data staged for an active image", `INSERT INTO staged VALUES (1, 'staging', 'u', '{}', 1, 0)`, `is active, but data is staged for it`},
		{"a member of nothing", `PRAGMA foreign_keys = OFF; INSERT INTO members VALUES (999, 'p', 'accepted', 0, 0)`, `a row of members belongs to none of images`},
		{"staged data of an active image", `INSERT INTO staged VALUES (1, 'staging', 'file:///s', '{}', 1, 0)`, `is active, but data is staged for it (store staging`},
		{"a wrong usage", `UPDATE usage SET bytes = bytes + 1`, `are recorded`},
		{"a lost usage", `DELETE FROM usage`, `but nothing is recorded`},
		{"usage of nobody", `INSERT INTO usage VALUES ('nobody', 1, 0, 0)`, `project "nobody" uses 0 images`},
		{"a member of a deleted image", `UPDATE images SET status = 'deleted' WHERE number = 2`, `is deleted, but p2 is still a member`},
		{"a feed beyond its end", `UPDATE sqlite_sequence SET seq = 1 WHERE name = 'changes'`, `the counter of changes stands at 1, but 8 was given`},
		{"numbers to be given twice", `UPDATE sqlite_sequence SET seq = 7 WHERE name = 'images'`, `the counter of images stands at 7, but 8 was given`},
		{"a lost counter", `DELETE FROM sqlite_sequence WHERE name = 'labels'`, `the counter of labels stands at 0`},
		{"garbage without a counter", `INSERT INTO garbage (id, number, image_id, store, url, metadata, since) VALUES (5, 0, x'', 'local', 'u', '{}', 0);
			UPDATE sqlite_sequence SET seq = 4 WHERE name = 'garbage'`, `the counter of garbage stands at 4, but 5 was given`},
		{"lost changes", `DELETE FROM changes WHERE sequence IN (3, 4)`, `2 changes are gone`},
		{"lost changes at the end", `DELETE FROM changes WHERE sequence = 8`, `1 changes are gone`},
		{"changes dropped that never were", `UPDATE meta SET value = '99' WHERE key = 'changes_dropped_through'`, `dropped through 99, beyond the end of the feed (8)`},
		{"a lost record", `DELETE FROM meta WHERE key = 'changes_dropped_through'`, `the record changes_dropped_through is gone`},
		{"a lost index", `DROP INDEX listings_name`, `the index listings_name is gone`},
		{"another index", `DROP INDEX listings_name; CREATE INDEX listings_name ON listings (name)`, `the index listings_name is not as`},
		{"a lost table", `DROP TABLE stores`, `the table stores is gone`},
		{"a trigger", `CREATE TRIGGER nosy AFTER INSERT ON images BEGIN SELECT 1; END`, `a trigger nosy that this version does not know`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "vitrine.db")
			fill(t, open(t, path), 8)
			if tt.sql != "" {
				run(t, path, tt.sql)
			}
			problems := check(t, path)
			if tt.want == "" {
				if len(problems) > 0 {
					t.Errorf("problems: %q", problems)
				}
			} else if !slices.ContainsFunc(problems, func(p string) bool { return strings.Contains(p, tt.want) }) {
				t.Errorf("problems %q, want one with %q", problems, tt.want)
			}
		})
	}
}

// TestCheckOfRefusedData: an image whose data was refused once all of it had been read is deactivated and has none.
func TestCheckOfRefusedData(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vitrine.db")
	db := open(t, path)
	id := fill(t, db, 1)[0].ID
	err := db.Update(ctx, func(tx metadata.WriteTx) error {
		img, err := tx.Image(id)
		if err != nil {
			return err
		}
		img.Status, img.Locations = image.Deactivated, nil
		return tx.SaveImage(img)
	})
	if err != nil {
		t.Fatal(err)
	}
	if problems := check(t, path); len(problems) > 0 {
		t.Errorf("problems: %q", problems)
	}
}

// TestCheckCounts breaks every image: a few are named and the others counted.
func TestCheckCounts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vitrine.db")
	fill(t, open(t, path), 60)
	run(t, path, `DELETE FROM labels`)
	problems := check(t, path)
	named := 0
	for _, p := range problems {
		if strings.Contains(p, "needs a label") && !strings.HasPrefix(p, "and ") {
			named++
		}
	}
	if named != 50 || !slices.ContainsFunc(problems, func(p string) bool {
		return strings.HasPrefix(p, "and ") && strings.Contains(p, "more of the kind: image .. needs a label")
	}) {
		t.Errorf("%d problems of one kind are named, want 50 and a count: %q", named, problems)
	}
}

func TestCheckFindsDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vitrine.db")
	db, err := sqlite.Open(ctx, sqlite.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, db, 200)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	for page := int64(30); page < info.Size()/4096; page += 5 {
		if _, err := f.WriteAt([]byte(strings.Repeat("damage", 100)), page*4096); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	problems, err := sqlite.Check(ctx, path)
	if len(problems) == 0 && !errors.Is(err, image.ErrUnavailable) {
		t.Errorf("Check of a damaged file = %q, %v", problems, err)
	}
}

// TestAdminWhileWriting checks, backs up and vacuums a database while updates and views go on: none of them fails.
func TestAdminWhileWriting(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "vitrine.db")
	db := open(t, path)
	images := fill(t, db, 300)
	stop, all := make(chan struct{}), sync.WaitGroup{}
	for range 3 {
		all.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				img := images[i%len(images)].Clone()
				img.MinDisk = int64(i)
				if err := db.Update(ctx, func(tx metadata.WriteTx) error { return tx.SaveImage(img) }); err != nil {
					t.Errorf("Update = %v", err)
					return
				}
				err := db.View(ctx, func(tx metadata.Tx) error {
					_, err := tx.Images(image.Query{Caller: boss, Limit: 20})
					return err
				})
				if err != nil {
					t.Errorf("View = %v", err)
					return
				}
			}
		})
	}
	for i := range 3 {
		copied := filepath.Join(dir, fmt.Sprint("backup-", i, ".db"))
		if err := sqlite.Backup(ctx, path, copied); err != nil {
			t.Errorf("Backup = %v", err)
		}
		if err := sqlite.Vacuum(ctx, path); err != nil {
			t.Errorf("Vacuum = %v", err)
		}
		for _, p := range []string{path, copied} {
			if problems := check(t, p); len(problems) > 0 {
				t.Errorf("problems of %s: %q", p, problems)
			}
		}
	}
	close(stop)
	all.Wait()
}

func TestBackupWhileWriting(t *testing.T) {
	dir := t.TempDir()
	path, dest := filepath.Join(dir, "vitrine.db"), filepath.Join(dir, "backup.db")
	db := open(t, path)
	images := fill(t, db, 50)
	stop, all := make(chan struct{}), sync.WaitGroup{}
	all.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				fill(t, db, 5)
			}
		}
	})
	err := sqlite.Backup(ctx, path, dest)
	close(stop)
	all.Wait()
	if err != nil {
		t.Fatalf("Backup = %v", err)
	}
	if problems := check(t, dest); len(problems) > 0 {
		t.Errorf("problems of the backup: %q", problems)
	}
	info, err := os.Stat(dest)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the backup's mode is %v, %v", info.Mode(), err)
	}
	before, err := os.ReadFile(dest)
	if err != nil {
		t.Fatal(err)
	}
	if err := sqlite.Backup(ctx, path, dest); !errors.Is(err, os.ErrExist) {
		t.Errorf("Backup to a file that exists = %v", err)
	}
	if after, err := os.ReadFile(dest); err != nil || string(after) != string(before) {
		t.Error("a backup was overwritten")
	}
	restored := open(t, dest)
	err = restored.View(ctx, func(tx metadata.Tx) error {
		_, err := tx.Image(images[49].ID)
		return err
	})
	if err != nil {
		t.Errorf("read the restored database: %v", err)
	}
	// Numbers and sequences go on where they were.
	if more := fill(t, restored, 1); more[0].Number <= images[49].Number {
		t.Errorf("number %d came after %d", more[0].Number, images[49].Number)
	}
}

func TestBackupLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "vitrine.db")
	db := open(t, path)
	fill(t, db, 300)
	ended, end := context.WithCancel(ctx)
	end()
	for _, tt := range []struct {
		name       string
		ctx        context.Context
		path, dest string
	}{
		{"an ended context", ended, path, filepath.Join(dir, "out", "backup.db")},
		{"no database", ctx, filepath.Join(dir, "none.db"), filepath.Join(dir, "out", "backup.db")},
	} {
		if err := os.MkdirAll(filepath.Join(dir, "out"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := sqlite.Backup(tt.ctx, tt.path, tt.dest); err == nil {
			t.Errorf("Backup with %s gives no error", tt.name)
		}
		if entries, _ := os.ReadDir(filepath.Join(dir, "out")); len(entries) > 0 {
			t.Errorf("Backup with %s left %v", tt.name, entries)
		}
	}
	if err := sqlite.Backup(ctx, path, filepath.Join(dir, "missing", "backup.db")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Backup into a missing directory = %v", err)
	}
}

func TestVacuum(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vitrine.db")
	db := open(t, path)
	images := fill(t, db, 600)
	err := db.Update(ctx, func(tx metadata.WriteTx) error {
		for _, img := range images[10:] {
			img.Status = image.Deleted
			if err := tx.SaveImage(img); err != nil {
				return err
			}
		}
		last, err := tx.LastChange()
		if err != nil {
			return err
		}
		_, err = tx.DropChanges(last, int(last))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	before := size(t, path)
	if err := sqlite.Vacuum(ctx, path); err != nil {
		t.Fatalf("Vacuum = %v", err)
	}
	if after := size(t, path); after > before/2 {
		t.Errorf("the file has %d bytes after a vacuum, and had %d", after, before)
	}
	if problems := check(t, path); len(problems) > 0 {
		t.Errorf("problems after a vacuum: %q", problems)
	}
	fill(t, db, 5) // the daemon goes on
}

// size forces the log into the file first, as far as others let it.
func size(t testing.TB, path string) int64 {
	t.Helper()
	run(t, path, "PRAGMA wal_checkpoint(PASSIVE)")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}
