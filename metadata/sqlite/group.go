package sqlite

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

const (
	maxGroup    = 128                   // updates in one commit
	maxGroupAge = 20 * time.Millisecond // after which nobody else joins
	maxTries    = 3                     // of an update whose group was lost by another's fault
)

// A group is a transaction that several updates share: the fsync of a commit costs as much as several updates. Whoever has
// the turn runs his update in a savepoint and hands the open transaction to the next in line; the last one commits. Each
// update runs in the goroutine of its caller, so a panic stays with him who caused it.
type group struct {
	started time.Time
	kept    int           // updates that wait for the commit
	newest  int64         // sequence of the last change in it
	done    chan struct{} // closed after the commit
	err     error         // of the commit
}

// errLost says that the transaction went away under an update by the fault of another one in its group.
var errLost = errors.New("the shared transaction was rolled back")

// A lostError is errLost with its cause, whose text it has.
type lostError struct{ error }

func (e lostError) Unwrap() []error { return []error{errLost, e.error} }

// A writer hands the turn to write from update to update, first come first served.
type writer struct {
	maxAge    time.Duration // of a group that others may join
	patience  time.Duration // with another process that holds the lock, counted from when an update got in line
	log       *logKeeper
	files     *openFiles
	kept      *reserve      // belongs to who has the turn
	conn      *conn         // belongs to who has the turn
	group     *group        // likewise; nil when no transaction is open
	committed func(n int64) // told the newest sequence after each commit

	mu     sync.Mutex
	taken  bool // somebody has the turn
	line   []chan struct{}
	closed bool
}

// enter waits for the turn.
func (w *writer) enter(ctx context.Context) error {
	if ctx.Err() != nil {
		return fmt.Errorf("write to the metadata database: %w", context.Cause(ctx))
	}
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return errClosed
	}
	if !w.taken {
		w.taken = true
		w.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	w.line = append(w.line, turn)
	w.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	if !w.leaveLine(turn) { // the turn came at the same moment, perhaps with an open transaction that needs its commit
		w.exit()
	}
	return fmt.Errorf("wait to write to the metadata database: %w", context.Cause(ctx))
}

func (w *writer) leaveLine(turn chan struct{}) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, t := range w.line {
		if t == turn {
			w.line = append(w.line[:i:i], w.line[i+1:]...)
			return true
		}
	}
	return false
}

// exit passes the turn on; it ends the open transaction first, unless the next in line may join it.
func (w *writer) exit() {
	if g := w.group; g != nil && (!w.someoneWaits() || g.kept >= maxGroup || time.Since(g.started) > w.maxAge) {
		w.end()
	}
	for {
		w.mu.Lock()
		if len(w.line) > 0 {
			next := w.line[0]
			w.line = w.line[1:]
			w.mu.Unlock()
			close(next)
			return
		}
		if w.group == nil {
			w.taken = false
			w.mu.Unlock()
			return
		}
		w.mu.Unlock() // he who waited gave up
		w.end()
	}
}

func (w *writer) someoneWaits() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.line) > 0
}

// begin opens a transaction unless one is open already, and a savepoint in it.
func (w *writer) begin(ctx context.Context, since time.Time) error {
	if w.group == nil {
		if err := w.lock(ctx, since); err != nil {
			return err
		}
		w.group = &group{started: time.Now(), done: make(chan struct{})}
	}
	_, err := w.conn.exec("SAVEPOINT one")
	return err
}

// lock waits for another process that holds the lock of the database, until ctx ends or the update's patience does. That is
// counted from when the update got in line, so that a line does not wait once for each that stands in it.
func (w *writer) lock(ctx context.Context, since time.Time) error {
	for {
		_, err := w.conn.exec("BEGIN IMMEDIATE") // waits for busySlice
		switch {
		case !isBusy(err):
			return err
		case ctx.Err() != nil:
			return fmt.Errorf("wait for the lock of the metadata database: %w", context.Cause(ctx))
		case time.Since(since) >= w.patience:
			return err
		}
	}
}

// keep ends a savepoint, whose work will be committed.
func (w *writer) keep() error {
	_, err := w.conn.exec("RELEASE one")
	if err == nil {
		w.group.kept++
	}
	return err
}

// undo rolls a savepoint back. SQLite undoes the whole transaction by itself when the disk is full: then the group is lost.
// Those who share it are told of that cause, which will be theirs when they try again.
func (w *writer) undo(cause error) {
	_, err := w.conn.exec("ROLLBACK TO one")
	if err == nil {
		_, err = w.conn.exec("RELEASE one")
	}
	switch {
	case err == nil:
	case isFull(cause):
		w.lose(lostError{cause})
	default:
		w.lose(errLost)
	}
}

// end commits the open transaction and tells those who wait for it.
func (w *writer) end() {
	g := w.group
	if g.kept == 0 {
		w.lose(nil)
		return
	}
	err := w.files.check()
	if err == nil {
		_, err = w.conn.exec("COMMIT")
	}
	if err != nil {
		w.lose(lostError{err})
		return
	}
	w.group = nil
	if g.newest > 0 {
		w.committed(g.newest)
	}
	close(g.done)
	w.kept.restore(w.conn)
	w.log.shorten(w.conn)
}

func (w *writer) lose(err error) {
	g := w.group
	w.group = nil
	if !w.conn.raw.AutoCommit() {
		if _, rollback := w.conn.exec("ROLLBACK"); rollback != nil {
			err = errors.Join(err, rollback)
		}
	}
	g.err = err
	close(g.done)
}

// update runs fn until its outcome is certain: committed, refused by fn, or impossible. One that frees space may use the reserve.
func (w *writer) update(ctx context.Context, freeing bool, fn func(*writeTx) error, tx func(*conn) *writeTx) error {
	since := time.Now()
	for try := 1; ; try++ {
		err := w.try(ctx, since, freeing, fn, tx)
		full := freeing && isFull(err)
		if !full && !errors.Is(err, errLost) {
			return err
		}
		if try == maxTries {
			if !errors.Is(err, image.ErrUnavailable) {
				err = fmt.Errorf("write to the metadata database: %w: %w", image.ErrUnavailable, err)
			}
			return err
		}
		if full {
			if err := w.makeRoom(ctx); err != nil {
				return err
			}
		}
	}
}

// makeRoom gives the reserve back.
func (w *writer) makeRoom(ctx context.Context) error {
	if err := w.enter(ctx); err != nil {
		return err
	}
	if w.group != nil {
		w.end()
	}
	w.kept.giveBack(w.conn)
	w.exit()
	return nil
}

// try runs fn in a group and waits for its commit.
func (w *writer) try(ctx context.Context, since time.Time, freeing bool, fn func(*writeTx) error, tx func(*conn) *writeTx) error {
	if err := w.enter(ctx); err != nil {
		return err
	}
	if w.group == nil {
		w.kept.restore(w.conn)
	}
	if err := w.kept.refusal(); err != nil && !freeing {
		w.exit()
		return err
	}
	if err := w.begin(ctx, since); err != nil {
		if w.group != nil {
			w.lose(errLost)
		}
		w.exit()
		return err
	}
	g := w.group
	err := w.run(fn, tx(w.conn))
	// An error that fn drew from what is committed already, or that took the group down, needs no commit to be true.
	final := err != nil && (g.kept == 0 || w.group != g)
	if err == nil {
		if lost := w.keep(); lost != nil {
			w.lose(lostError{lost})
		}
	}
	w.exit()
	if final {
		return err
	}
	<-g.done
	if g.err != nil {
		return g.err
	}
	return err
}

// run calls fn and undoes what it did when it fails, panics or exits its goroutine.
func (w *writer) run(fn func(*writeTx) error, tx *writeTx) (err error) {
	returned := false
	defer func() {
		tx.conn = nil
		if !returned {
			w.undo(nil)
			w.exit()
		}
	}()
	err = fn(tx)
	returned = true
	if err != nil {
		w.undo(err)
		return err
	}
	w.group.newest = max(w.group.newest, tx.newest)
	return nil
}

// close waits for the updates under way and refuses further ones.
func (w *writer) close() error {
	w.mu.Lock()
	closed := w.closed
	w.closed = true
	w.mu.Unlock()
	if closed {
		return nil
	}
	turn := make(chan struct{})
	w.mu.Lock()
	if w.taken {
		w.line = append(w.line, turn)
	} else {
		w.taken = true
		close(turn)
	}
	w.mu.Unlock()
	<-turn
	if w.group != nil {
		w.end()
	}
	return w.conn.close()
}
