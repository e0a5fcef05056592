package sqlite

import (
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadata"
)

func openTest(t *testing.T) *DB {
	t.Helper()
	db, err := Open(context.Background(), Config{Path: filepath.Join(t.TempDir(), "vitrine.db")})
	if err != nil {
		t.Fatal(err)
	}
	db.writer.maxAge = time.Hour // however slow the machine is, updates in line share a commit
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
	})
	return db
}

func newQueued() *image.Image {
	return &image.Image{ID: image.NewID(), Status: image.Queued, Visibility: image.Shared}
}

// lineUp starts an update that holds the turn until the given number of others stand in line, in order; it returns when all
// are done, with their errors.
func lineUp(t *testing.T, db *DB, first func(metadata.WriteTx) error, others ...func(metadata.WriteTx) error) []error {
	t.Helper()
	ctx := context.Background()
	type result struct {
		n   int
		err error
	}
	results := make(chan result)
	standing := make(chan struct{})
	go func() {
		once := false
		err := db.Update(ctx, func(tx metadata.WriteTx) error {
			if !once {
				once = true
				<-standing
			}
			return first(tx)
		})
		results <- result{0, err}
	}()
	waitFor(func() bool { return db.writer.busy() })
	for i, fn := range others {
		go func() { results <- result{i + 1, db.Update(ctx, fn)} }()
		waitFor(func() bool { return db.writer.waiting() == i+1 })
	}
	close(standing)
	errs := make([]error, 1+len(others))
	for range errs {
		r := <-results
		errs[r.n] = r.err
	}
	return errs
}

// waitFor spins: what it waits for has no event, and comes within microseconds.
func waitFor(cond func() bool) {
	for !cond() {
		runtime.Gosched()
	}
}

func (w *writer) busy() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.taken
}

func (w *writer) waiting() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.line)
}

func exists(t *testing.T, db *DB, id image.ID) bool {
	t.Helper()
	err := db.View(context.Background(), func(tx metadata.Tx) error {
		_, err := tx.Image(id)
		return err
	})
	if err != nil && !errors.Is(err, image.ErrNotFound) {
		t.Fatal(err)
	}
	return err == nil
}

func TestGroupSharesOneCommit(t *testing.T) {
	db := openTest(t)
	commits := 0
	published := db.writer.committed
	db.writer.committed = func(n int64) { commits++; published(n) }
	a, b, c := newQueued(), newQueued(), newQueued()
	oops := errors.New("oops")
	errs := lineUp(t, db,
		func(tx metadata.WriteTx) error { return tx.CreateImage(a) },
		func(tx metadata.WriteTx) error {
			if err := tx.CreateImage(b); err != nil {
				return err
			}
			return oops
		},
		func(tx metadata.WriteTx) error { return tx.CreateImage(c) })
	if errs[0] != nil || !errors.Is(errs[1], oops) || errs[2] != nil {
		t.Errorf("updates = %v", errs)
	}
	if commits != 1 {
		t.Errorf("%d commits, want 1", commits)
	}
	if !exists(t, db, a.ID) || exists(t, db, b.ID) || !exists(t, db, c.ID) {
		t.Error("an update that failed took others with it, or stayed")
	}
}

// TestGroupLost rolls the shared transaction back under its updates, as SQLite does by itself when the disk is full.
func TestGroupLost(t *testing.T) {
	db := openTest(t)
	a, b, c := newQueued(), newQueued(), newQueued()
	full := errors.New("disk full")
	runs := [2]int{}
	errs := lineUp(t, db,
		func(tx metadata.WriteTx) error { runs[0]++; return tx.CreateImage(a) },
		func(tx metadata.WriteTx) error {
			if err := tx.CreateImage(b); err != nil {
				return err
			}
			if _, err := tx.(*writeTx).conn.exec("ROLLBACK"); err != nil {
				return err
			}
			return full
		},
		func(tx metadata.WriteTx) error { runs[1]++; return tx.CreateImage(c) })
	if errs[0] != nil || !errors.Is(errs[1], full) || errs[2] != nil {
		t.Errorf("updates = %v", errs)
	}
	if runs != [2]int{2, 1} {
		t.Errorf("the others ran %v times, want the one before twice and the one behind once", runs)
	}
	if !exists(t, db, a.ID) || exists(t, db, b.ID) || !exists(t, db, c.ID) {
		t.Error("an update that lost the transaction took others with it, or stayed")
	}
}

// TestGroupSwallowedLoss has an update go on after the transaction went away under it.
func TestGroupSwallowedLoss(t *testing.T) {
	db := openTest(t)
	a := newQueued()
	errs := lineUp(t, db,
		func(tx metadata.WriteTx) error { return tx.CreateImage(a) },
		func(tx metadata.WriteTx) error {
			tx.(*writeTx).conn.exec("ROLLBACK")
			return nil
		})
	if errs[0] != nil || !errors.Is(errs[1], image.ErrUnavailable) {
		t.Errorf("updates = %v", errs)
	}
	if !exists(t, db, a.ID) {
		t.Error("the other update was lost")
	}
}

// TestWritesAfterLoss goes on writing after SQLite rolled back by itself, which must not be committed on the spot.
func TestWritesAfterLoss(t *testing.T) {
	db := openTest(t)
	img := newQueued()
	err := db.Update(context.Background(), func(tx metadata.WriteTx) error {
		if _, err := tx.(*writeTx).conn.exec("ROLLBACK"); err != nil {
			t.Error(err)
		}
		return tx.CreateImage(img)
	})
	if !errors.Is(err, image.ErrUnavailable) {
		t.Errorf("Update = %v, want image.ErrUnavailable", err)
	}
	if exists(t, db, img.ID) {
		t.Error("an update that failed left something behind")
	}
}

// TestEndedWhileCommitting ends the context of an update whose work is done and waits for the commit: it is committed, and
// its caller learns so.
func TestEndedWhileCommitting(t *testing.T) {
	db := openTest(t)
	ended, end := context.WithCancel(context.Background())
	done, early := newQueued(), make(chan error)
	err := db.Update(context.Background(), func(tx metadata.WriteTx) error {
		for i, ctx := range []context.Context{ended, context.Background()} {
			go func() {
				early <- db.Update(ctx, func(tx metadata.WriteTx) error {
					if i == 0 {
						return tx.CreateImage(done)
					}
					end() // the one before waits for this one
					return tx.CreateImage(newQueued())
				})
			}()
			waitFor(func() bool { return db.writer.waiting() == i+1 })
		}
		return nil
	})
	if err != nil {
		t.Errorf("Update = %v", err)
	}
	for range 2 {
		if err := <-early; err != nil {
			t.Errorf("Update = %v", err)
		}
	}
	if !exists(t, db, done.ID) {
		t.Error("an update that succeeded is not there")
	}
}

// holdLock has another connection, as of another process, keep the lock until it is let go.
func holdLock(t *testing.T, db *DB) (letGo func()) {
	t.Helper()
	other, err := openWriter(db.writer.conn.path, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.close() })
	if _, err := other.exec("BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	return func() {
		if _, err := other.exec("ROLLBACK"); err != nil {
			t.Error(err)
		}
	}
}

// TestLockedByAnother has updates wait for another process's lock: until it is let go, their contexts end, or each has waited
// for as long as one would alone.
func TestLockedByAnother(t *testing.T) {
	db := openTest(t)
	db.writer.patience = time.Hour
	letGo := holdLock(t, db)
	img := newQueued()
	create := func(ctx context.Context) chan error {
		result := make(chan error, 1)
		go func() { result <- db.Update(ctx, func(tx metadata.WriteTx) error { return tx.CreateImage(img) }) }()
		return result
	}
	ended, end := context.WithCancel(context.Background())
	first := create(ended)
	waitFor(func() bool { return db.writer.busy() })
	end()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("Update whose context ends = %v", err)
	}
	second := create(context.Background())
	waitFor(func() bool { return db.writer.busy() })
	letGo()
	if err := <-second; err != nil || !exists(t, db, img.ID) {
		t.Errorf("Update once the lock was let go = %v", err)
	}
}

func TestLockedForLong(t *testing.T) {
	db := openTest(t)
	db.writer.patience = time.Second
	defer holdLock(t, db)()
	start := time.Now()
	results := make(chan error)
	for range 10 {
		go func() {
			results <- db.Update(context.Background(), func(tx metadata.WriteTx) error { return tx.Beat("i", start) })
		}()
	}
	for range 10 {
		if err := <-results; !errors.Is(err, image.ErrUnavailable) || !strings.Contains(err.Error(), "is locked") {
			t.Errorf("Update = %v, want image.ErrUnavailable", err)
		}
	}
	if took := time.Since(start); took > 9*time.Second {
		t.Errorf("10 updates that each wait for a second took %s", took)
	}
	if err := db.View(context.Background(), func(tx metadata.Tx) error { _, err := tx.LastChange(); return err }); err != nil {
		t.Errorf("View while another process writes = %v", err)
	}
}

// TestGroupGivesUpItsPlace ends the context of an update in line, whose turn may come at that moment, over and over.
func TestGroupGivesUpItsPlace(t *testing.T) {
	db := openTest(t)
	for range 200 {
		ended, end := context.WithCancel(context.Background())
		kept := newQueued()
		errs := make(chan error)
		go func() {
			errs <- db.Update(context.Background(), func(tx metadata.WriteTx) error {
				go func() {
					errs <- db.Update(ended, func(tx metadata.WriteTx) error { return tx.Beat("i", tx.(*writeTx).now()) })
				}()
				waitFor(func() bool { return db.writer.waiting() == 1 })
				go end()
				return tx.CreateImage(kept)
			})
		}()
		for range 2 {
			if err := <-errs; err != nil && !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
		}
		if !exists(t, db, kept.ID) {
			t.Fatal("an update was lost")
		}
	}
}

func TestCommitFails(t *testing.T) {
	db := openTest(t)
	img := newQueued()
	runs := 0
	err := db.Update(context.Background(), func(tx metadata.WriteTx) error {
		runs++
		c := tx.(*writeTx).conn
		if runs < 3 { // a foreign key that is checked at the commit
			if _, err := c.exec("PRAGMA defer_foreign_keys = ON"); err != nil {
				return err
			}
			if _, err := c.exec(`INSERT INTO members VALUES (999, 'p', 'accepted', 0, 0)`); err != nil {
				return err
			}
		}
		return tx.CreateImage(img)
	})
	if err != nil || runs != 3 {
		t.Errorf("Update = %v after %d runs, want success in the third", err, runs)
	}
	if !exists(t, db, img.ID) {
		t.Error("the image is not there")
	}
}

// TestCommitOfManyFails has the commit that three updates share fail once: all of them run again.
func TestCommitOfManyFails(t *testing.T) {
	db := openTest(t)
	images := []*image.Image{newQueued(), newQueued(), newQueued()}
	runs := make([]int, len(images))
	var updates []func(metadata.WriteTx) error
	for i, img := range images {
		updates = append(updates, func(tx metadata.WriteTx) error {
			runs[i]++
			if c := tx.(*writeTx).conn; i == 1 && runs[i] == 1 { // a foreign key that is checked at the commit
				if _, err := c.exec("PRAGMA defer_foreign_keys = ON"); err != nil {
					return err
				}
				if _, err := c.exec(`INSERT INTO members VALUES (999, 'p', 'accepted', 0, 0)`); err != nil {
					return err
				}
			}
			return tx.CreateImage(img)
		})
	}
	for i, err := range lineUp(t, db, updates[0], updates[1:]...) {
		if err != nil || runs[i] != 2 || !exists(t, db, images[i].ID) {
			t.Errorf("update %d = %v after %d runs, want success in the second", i, err, runs[i])
		}
	}
}
