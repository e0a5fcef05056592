package sqlite

import (
	"context"
	"os"
)

// logStep is the size of the write-ahead log, in bytes, from which on it is shortened, and how much it grows until the next try.
const logStep = 64 << 20

// A logKeeper keeps the write-ahead log short. SQLite begins it anew when a commit finds that all of it is in the database and
// that nobody reads from it: while readers follow each other without a gap that never happens by itself. Here the writer waits
// for those that read at the moment, while new ones find all they need in the database.
type logKeeper struct {
	path string
	step int64
	next int64 // the size at which to try again
}

func newLogKeeper(database string) *logKeeper {
	return &logKeeper{path: database + "-wal", step: logStep, next: 2 * logStep}
}

// shorten has the next commit begin the log anew if it has become long. A reader that takes its time, such as a backup, is not
// waited for beyond twice busySlice: the log grows on, and it is tried again later. An error is no matter, since everything
// is committed: the next commit will meet its cause.
func (k *logKeeper) shorten(c *conn) {
	info, err := os.Stat(k.path)
	if err != nil || info.Size() < k.next {
		return
	}
	k.next = info.Size() + k.step
	busy, _, err := c.queryInt(context.Background(), "PRAGMA wal_checkpoint(RESTART)")
	if err == nil && busy == 0 {
		k.next = 2 * k.step
	}
}
