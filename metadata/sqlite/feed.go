package sqlite

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadata"
)

// A feed wakes those who wait for changes.
type feed struct {
	mu     sync.Mutex
	newest int64         // sequence that is committed
	moved  chan struct{} // closed when newest grows, then replaced
	closed bool
}

func newFeed(newest int64) *feed { return &feed{newest: newest, moved: make(chan struct{})} }

func (f *feed) publish(newest int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if newest > f.newest && !f.closed {
		f.newest = newest
		close(f.moved)
		f.moved = make(chan struct{})
	}
}

func (f *feed) wait(ctx context.Context, after int64) error {
	for {
		f.mu.Lock()
		newest, moved, closed := f.newest, f.moved, f.closed
		f.mu.Unlock()
		switch {
		case newest > after:
			return nil
		case closed:
			return errClosed
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (f *feed) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed {
		f.closed = true
		close(f.moved)
	}
}

// appendChange adds an entry to the feed.
func (t *writeTx) appendChange(number int64, id image.ID, before, after *image.Listed) error {
	b, err := encodeListed(before)
	if err != nil {
		return err
	}
	a, err := encodeListed(after)
	if err != nil {
		return err
	}
	t.newest, _, err = t.insert(`INSERT INTO changes (number, id, time, before, after) VALUES (?, ?, ?, ?, ?)`,
		number, packID(id), t.now().UnixMicro(), b, a)
	return err
}

func encodeListed(l *image.Listed) (any, error) {
	if l == nil {
		return nil, nil
	}
	b, err := json.Marshal(l)
	if err != nil {
		return nil, fmt.Errorf("encode a change: %w", err)
	}
	return string(b), nil
}

func decodeListed(v driver.Value) (*image.Listed, error) {
	if v == nil {
		return nil, nil
	}
	var l image.Listed
	if err := json.Unmarshal([]byte(text(v)), &l); err != nil {
		return nil, fmt.Errorf("decode a change: %w", err)
	}
	return &l, nil
}

// Changes implements metadata.Tx.
func (t *tx) Changes(after int64, limit int) ([]image.Change, error) {
	last, err := t.LastChange()
	if err != nil {
		return nil, err
	}
	dropped, err := t.changesDropped()
	if err != nil {
		return nil, err
	}
	// Who knows of more than this database does followed it before an older backup was restored.
	if after < dropped || after > last {
		return nil, fmt.Errorf("read changes above %d: %w", after, metadata.ErrChangesLost)
	}
	var changes []image.Change
	err = t.query(`SELECT sequence, number, id, time, before, after FROM changes WHERE sequence > ? ORDER BY sequence LIMIT ?`,
		[]any{after, max(limit, 0)}, func(row []driver.Value) error {
			c := image.Change{Sequence: integer(row[0]), Number: integer(row[1]), ID: unpackID(row[2]), Time: moment(row[3])}
			var err error
			if c.Before, err = decodeListed(row[4]); err != nil {
				return err
			}
			if c.After, err = decodeListed(row[5]); err != nil {
				return err
			}
			changes = append(changes, c)
			return nil
		})
	return changes, err
}

// LastChange implements metadata.Tx.
func (t *tx) LastChange() (int64, error) { return lastSequence(t.ctx, t.conn) }

// lastSequence survives the dropping of changes: sequences are never used again.
func lastSequence(ctx context.Context, c *conn) (int64, error) {
	n, _, err := c.queryInt(ctx, `SELECT seq FROM sqlite_sequence WHERE name = 'changes'`)
	return n, err
}

func (t *tx) changesDropped() (int64, error) {
	n, _, err := t.conn.queryInt(t.ctx, `SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'changes_dropped_through'`)
	return n, err
}

// DropChanges implements metadata.WriteTx.
func (t *writeTx) DropChanges(through int64, limit int) (more bool, err error) {
	last, err := t.LastChange()
	if err != nil {
		return false, err
	}
	dropped, err := t.changesDropped()
	if err != nil {
		return false, err
	}
	through = min(through, last)
	until := min(through, dropped+int64(max(limit, 0))) // there are no gaps
	if until <= dropped {
		return until < through, nil
	}
	if _, err := t.exec(`DELETE FROM changes WHERE sequence <= ?`, until); err != nil {
		return false, err
	}
	_, err = t.exec(`UPDATE meta SET value = ? WHERE key = 'changes_dropped_through'`, strconv.FormatInt(until, 10))
	return until < through, err
}

func moment(v driver.Value) time.Time { return time.UnixMicro(integer(v)).UTC() }
