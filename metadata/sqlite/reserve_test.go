package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/testservers"
	"github.com/vitrine-image/vitrine/metadata"
)

// openSmall mounts a file system of that size and opens a database on it.
func openSmall(t *testing.T, megabytes int) (db *DB, path string) {
	t.Helper()
	testservers.Require(t, "root")
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", megabytes)); err != nil {
		t.Fatalf("mount a small tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	path = filepath.Join(dir, "vitrine.db")
	return openAt(t, path), path
}

func openAt(t *testing.T, path string) *DB {
	t.Helper()
	db, err := Open(context.Background(), Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() }) // twice is fine
	return db
}

// createUntilFull creates images with a property of so many bytes until the disk is full.
func createUntilFull(t *testing.T, db *DB, bytes int) (created []*image.Image) {
	t.Helper()
	for range 100_000 {
		img := newQueued()
		img.Properties = map[string]string{"k": strings.Repeat("v", bytes)}
		err := db.Update(context.Background(), func(tx metadata.WriteTx) error { return tx.CreateImage(img) })
		if errors.Is(err, image.ErrUnavailable) {
			return created
		}
		if err != nil {
			t.Fatal(err)
		}
		created = append(created, img)
	}
	t.Fatal("the disk is not full")
	return nil
}

func deleteImage(db *DB, img *image.Image) error {
	return db.UpdateFreeing(context.Background(), func(tx metadata.WriteTx) error {
		now, err := tx.ImageByNumber(img.Number)
		if err != nil {
			return err
		}
		now.Status = image.Deleted
		return tx.SaveImage(now)
	})
}

func hasReserve(t *testing.T, path string) bool {
	t.Helper()
	info, err := os.Lstat(path + ".reserve")
	if err != nil {
		if !errors.Is(err, os.ErrNotExist) {
			t.Error(err)
		}
		return false
	}
	if info.Mode().Perm() != 0o600 || info.Size() < reserveBytes || allocated(info) < reserveBytes {
		t.Errorf("the reserve is %s with %d bytes, of which the disk has %d", info.Mode(), info.Size(), allocated(info))
	}
	return true
}

// TestDeleteOnFullDisk fills a disk with images, whose log is short or as long as it gets by itself, and deletes them: at once
// or after one or two restarts, with the reserve or with its remains. When there is some room new ones can be made.
func TestDeleteOnFullDisk(t *testing.T) {
	for _, megabytes := range []int{25, 37, 45} {
		for restarts := range 3 {
			t.Run(fmt.Sprintf("%d MiB, %d restarts", megabytes, restarts), func(t *testing.T) {
				db, path := openSmall(t, megabytes)
				if !hasReserve(t, path) {
					t.Fatal("a new database has no reserve")
				}
				ballast := filepath.Join(filepath.Dir(path), "ballast")
				if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); err != nil {
					t.Fatal(err)
				}
				created := createUntilFull(t, db, 300_000)
				created = append(created, createUntilFull(t, db, 1)...)
				for range restarts {
					if err := db.Close(); err != nil {
						t.Fatal(err)
					}
					db = openAt(t, path)
					created = append(created, createUntilFull(t, db, 30_000)...)
					created = append(created, createUntilFull(t, db, 1)...)
				}
				for i, img := range created {
					if err := deleteImage(db, img); err != nil {
						t.Fatalf("deleting image %d of %d on a full disk: %v", i, len(created), err)
					}
				}
				if err := os.Remove(ballast); err != nil {
					t.Fatal(err)
				}
				db.writer.kept.next = time.Time{}
				err := db.Update(context.Background(), func(tx metadata.WriteTx) error { return tx.CreateImage(newQueued()) })
				if err != nil || !hasReserve(t, path) {
					t.Errorf("once there is room again, an image is created: %v, there is a reserve: %v", err, hasReserve(t, path))
				}
				if err := db.Close(); err != nil {
					t.Error(err)
				}
				if problems, err := Check(context.Background(), path); err != nil || len(problems) > 0 {
					t.Errorf("Check = %q, %v", problems, err)
				}
			})
		}
	}
}

// TestReserveInUse looks at the time between: updates that free nothing take none of what deletions need, whether the process
// begins like that or comes to it; and when somebody makes room all goes on.
func TestReserveInUse(t *testing.T) {
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprint("restart ", restart), func(t *testing.T) {
			db, path := openSmall(t, 32)
			ballast := filepath.Join(filepath.Dir(path), "ballast")
			created := createUntilFull(t, db, 100_000)
			db.writer.kept.pause = time.Hour
			for hasReserve(t, path) {
				if err := deleteImage(db, created[0]); err != nil {
					t.Fatal(err)
				}
				created = created[1:]
			}
			if err := os.WriteFile(ballast, make([]byte, 8<<20), 0o600); err != nil {
				t.Fatal(err)
			}
			if restart {
				if err := db.Close(); err != nil {
					t.Fatal(err)
				}
				db = openAt(t, path)
			}
			err := db.Update(context.Background(), func(tx metadata.WriteTx) error { return tx.CreateImage(newQueued()) })
			if !errors.Is(err, image.ErrUnavailable) || !strings.Contains(err.Error(), "disk is full") {
				t.Errorf("Update while the reserve is in use = %v", err)
			}
			for _, img := range created {
				if err := deleteImage(db, img); err != nil {
					t.Fatalf("another deletion: %v", err)
				}
			}
			if err := db.Ready(context.Background()); err != nil {
				t.Errorf("Ready on a full disk = %v", err)
			}
			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
			db.writer.kept.next = time.Time{}
			if err := db.UpdateFreeing(context.Background(), func(tx metadata.WriteTx) error { return tx.Beat("i", time.Now()) }); err != nil {
				t.Fatal(err)
			}
			if !hasReserve(t, path) {
				t.Error("there is room again, and no reserve")
			}
			createUntilFull(t, db, 100_000)
		})
	}
}

// TestFullGroup shares a commit with an update that finds no room.
func TestFullGroup(t *testing.T) {
	db, _ := openSmall(t, 24)
	created := createUntilFull(t, db, 50_000)
	large := newQueued()
	large.Properties = map[string]string{"k": strings.Repeat("v", 6<<20)}
	change := func(img *image.Image) func(metadata.WriteTx) error {
		return func(tx metadata.WriteTx) error {
			now := img.Clone()
			now.Status = image.Deleted
			return tx.SaveImage(now)
		}
	}
	errs := lineUp(t, db, func(tx metadata.WriteTx) error { return tx.CreateImage(large) },
		func(tx metadata.WriteTx) error { return tx.CreateImage(large) })
	for _, err := range errs {
		if !errors.Is(err, image.ErrUnavailable) {
			t.Errorf("a large image on a full disk = %v", err)
		}
	}
	done := make(chan error)
	for _, img := range created {
		go func() { done <- db.UpdateFreeing(context.Background(), change(img)) }()
		go func() {
			db.Update(context.Background(), func(tx metadata.WriteTx) error { return tx.CreateImage(large.Clone()) })
			done <- nil
		}()
	}
	for range 2 * len(created) {
		if err := <-done; err != nil {
			t.Errorf("a deletion beside others that need room: %v", err)
		}
	}
}

// TestReserveRefused has something else in the place of the reserve.
func TestReserveRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vitrine.db")
	if err := os.Symlink("elsewhere", path+".reserve"); err != nil {
		t.Fatal(err)
	}
	db, err := Open(context.Background(), Config{Path: path})
	if err == nil {
		db.Close()
	}
	if !errors.Is(err, image.ErrUnavailable) || !strings.Contains(err.Error(), "vitrine.db.reserve is not a regular file") {
		t.Errorf("Open = %v", err)
	}
}

// TestReserveMended replaces a reserve that is not whole.
func TestReserveMended(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vitrine.db")
	if err := os.WriteFile(path+".reserve", []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	openAt(t, path)
	if !hasReserve(t, path) {
		t.Error("there is no reserve")
	}
}

// TestFilesTakenAway moves each file of an open database away, puts another one there, and puts it back.
func TestFilesTakenAway(t *testing.T) {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		db := openTest(t)
		path := db.writer.conn.path
		add := func() (*image.Image, error) {
			img := newQueued()
			return img, db.Update(context.Background(), func(tx metadata.WriteTx) error { return tx.CreateImage(img) })
		}
		if _, err := add(); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+suffix, path+".away"); err != nil {
			t.Fatal(err)
		}
		var refused []*image.Image
		for _, state := range []string{"gone", "another file"} {
			img, err := add()
			refused = append(refused, img)
			if !errors.Is(err, image.ErrUnavailable) || !strings.Contains(err.Error(), path+suffix+" is "+state) {
				t.Errorf("Update while %q is %s = %v", suffix, state, err)
			}
			if err := db.Ready(context.Background()); !errors.Is(err, image.ErrUnavailable) {
				t.Errorf("Ready while %q is %s = %v", suffix, state, err)
			}
			if err := os.WriteFile(path+suffix, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Rename(path+".away", path+suffix); err != nil {
			t.Fatal(err)
		}
		if _, err := add(); err != nil {
			t.Errorf("Update once %q is back = %v", suffix, err)
		}
		for _, img := range refused {
			if exists(t, db, img.ID) {
				t.Errorf("an update that was refused while %q was away left something", suffix)
			}
		}
		if err := db.Ready(context.Background()); err != nil {
			t.Errorf("Ready once %q is back = %v", suffix, err)
		}
	}
}
