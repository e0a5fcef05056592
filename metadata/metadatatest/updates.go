package metadatatest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadata"
)

func testUpdateUndone(t *testing.T, db metadata.DB) {
	kept := newImage()
	create(t, db, kept)
	oops := errors.New("oops")
	img := newImage()
	err := db.Update(ctx, func(tx metadata.WriteTx) error {
		if err := tx.CreateImage(img); err != nil {
			return err
		}
		changed := kept.Clone()
		changed.Status = image.Deleted
		if err := tx.SaveImage(changed); err != nil {
			return err
		}
		if _, err := tx.Image(img.ID); err != nil {
			t.Errorf("an update does not see what it wrote: %v", err)
		}
		return oops
	})
	wantError(t, "Update", err, oops)
	sameAs(t, read(t, db, kept.ID), kept)
	view(t, db, func(tx metadata.Tx) error {
		_, err := tx.Image(img.ID)
		wantError(t, "Image of an update undone", err, image.ErrNotFound)
		garbage, err := tx.Garbage(0, 10)
		if len(garbage) > 0 {
			t.Errorf("garbage of an update undone: %+v", garbage)
		}
		return err
	})
	// What one statement refused, the rest of the update may go on without.
	update(t, db, func(tx metadata.WriteTx) error {
		wantError(t, "CreateImage", tx.CreateImage(kept.Clone()), image.ErrConflict)
		return tx.CreateImage(img)
	})
	sameAs(t, read(t, db, img.ID), img)
}

// testUpdatePanics runs updates that end badly beside others that wait for the same commit.
func testUpdatePanics(t *testing.T, db metadata.DB) {
	for _, end := range []func(){func() { panic("oops") }, runtime.Goexit} {
		good, bad := newImage(), newImage()
		inside, finished := make(chan struct{}), make(chan error)
		go func() {
			defer func() {
				recover()
				close(inside)
			}()
			db.Update(ctx, func(tx metadata.WriteTx) error {
				if err := tx.CreateImage(bad); err != nil {
					t.Errorf("CreateImage = %v", err)
				}
				inside <- struct{}{} // the other update gets in line
				end()
				return nil
			})
		}()
		<-inside
		go func() {
			finished <- db.Update(ctx, func(tx metadata.WriteTx) error { return tx.CreateImage(good) })
		}()
		<-inside
		if err := <-finished; err != nil {
			t.Errorf("Update beside one that ended badly = %v", err)
		}
		sameAs(t, read(t, db, good.ID), good)
		view(t, db, func(tx metadata.Tx) error {
			_, err := tx.Image(bad.ID)
			wantError(t, "Image of an update that ended badly", err, image.ErrNotFound)
			return nil
		})
	}
}

func testUpdateContext(t *testing.T, db metadata.DB) {
	ended, end := context.WithCancel(ctx)
	end()
	wantError(t, "Update with an ended context", db.Update(ended, func(metadata.WriteTx) error {
		t.Error("an update with an ended context runs")
		return nil
	}), context.Canceled)
	wantError(t, "View with an ended context", db.View(ended, func(tx metadata.Tx) error {
		_, err := tx.Images(image.Query{Caller: admin, Limit: 1})
		return err
	}), context.Canceled)

	// One that ends while it waits for its turn, and one that ends in the middle of its work.
	waiting, stopWaiting := context.WithCancel(ctx)
	working, stopWorking := context.WithCancel(ctx)
	img := newImage()
	waited := make(chan error)
	err := db.Update(working, func(tx metadata.WriteTx) error {
		go func() {
			waited <- db.Update(waiting, func(metadata.WriteTx) error {
				t.Error("an update that ended while waiting runs")
				return nil
			})
		}()
		stopWaiting()
		wantError(t, "Update that waits", <-waited, context.Canceled)
		if err := tx.CreateImage(img); err != nil {
			return err
		}
		stopWorking()
		return tx.SaveImage(img)
	})
	wantError(t, "Update whose context ends", err, context.Canceled)
	view(t, db, func(tx metadata.Tx) error {
		_, err := tx.Image(img.ID)
		wantError(t, "Image of an update that ended", err, image.ErrNotFound)
		return nil
	})
	create(t, db, img)
}

// testConcurrentUpdates has goroutines read, change and write the same image and create others, some of them failing.
func testConcurrentUpdates(t *testing.T, db metadata.DB) {
	const goroutines, rounds = 8, 25
	shared := newImage()
	shared.MinDisk = 0
	create(t, db, shared)
	failed := errors.New("failed on purpose")
	var all sync.WaitGroup
	for g := range goroutines {
		all.Go(func() {
			for i := range rounds {
				img := queued()
				img.Name = pointer(fmt.Sprint(g, "-", i))
				err := db.Update(ctx, func(tx metadata.WriteTx) error {
					counter, err := tx.ImageByNumber(shared.Number)
					if err != nil {
						return err
					}
					counter.MinDisk++
					if err := tx.SaveImage(counter); err != nil {
						return err
					}
					if err := tx.CreateImage(img); err != nil {
						return err
					}
					if i%5 == 4 {
						return failed
					}
					return nil
				})
				if i%5 == 4 {
					wantError(t, "Update", err, failed)
				} else if err != nil {
					t.Errorf("Update = %v", err)
				} else {
					view(t, db, func(tx metadata.Tx) error { // what was answered can be read
						_, err := tx.Image(img.ID)
						return err
					})
				}
			}
		})
	}
	all.Wait()
	const want = goroutines * rounds * 4 / 5
	if got := read(t, db, shared.ID).MinDisk; got != want {
		t.Errorf("%d updates counted, want %d", got, want)
	}
	if got := list(t, db, image.Query{Caller: admin, Limit: 1000}); len(got) != want {
		t.Errorf("%d images created, want %d", len(got), want)
	}
	if got := changes(t, db, 0, 10_000); len(got) != 2*want+1 {
		t.Errorf("%d changes, want %d", len(got), 2*want+1)
	}
}

func testSnapshot(t *testing.T, db metadata.DB) {
	img := newImage()
	create(t, db, img)
	view(t, db, func(tx metadata.Tx) error {
		before, err := tx.Image(img.ID)
		if err != nil {
			return err
		}
		changed := img.Clone()
		changed.MinDisk, changed.UpdatedAt = 99, epoch.Add(time.Hour)
		save(t, db, changed)
		create(t, db, newImage())
		again, err := tx.Image(img.ID)
		if err != nil {
			return err
		}
		sameAs(t, again, before)
		if changes, err := tx.Changes(0, 10); err != nil || len(changes) != 1 {
			t.Errorf("%d changes within a snapshot, %v", len(changes), err)
		}
		return nil
	})
	if got := read(t, db, img.ID).MinDisk; got != 99 {
		t.Errorf("after the snapshot min_disk is %d", got)
	}
	oops := errors.New("oops")
	wantError(t, "View", db.View(ctx, func(metadata.Tx) error { return oops }), oops)
}

// freeing is a database whose updates free space.
type freeing struct{ metadata.DB }

func (db freeing) Update(ctx context.Context, fn func(metadata.WriteTx) error) error {
	return db.UpdateFreeing(ctx, fn)
}

// onFreeing runs a test of Update on UpdateFreeing.
func onFreeing(test func(*testing.T, metadata.DB)) func(*testing.T, metadata.DB) {
	return func(t *testing.T, db metadata.DB) { test(t, freeing{db}) }
}

func testReady(t *testing.T, db metadata.DB) {
	if err := db.Ready(ctx); err != nil {
		t.Errorf("Ready = %v", err)
	}
	ended, end := context.WithCancel(ctx)
	end()
	wantError(t, "Ready with an ended context", db.Ready(ended), context.Canceled)
	if err := db.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
	wantError(t, "Ready of a closed database", db.Ready(ctx), image.ErrUnavailable)
}
