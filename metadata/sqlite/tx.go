package sqlite

import (
	"context"
	"database/sql/driver"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadata"
)

// A tx implements metadata.Tx on a connection with an open transaction.
type tx struct {
	ctx  context.Context
	conn *conn // nil once the transaction is over
}

// A writeTx implements metadata.WriteTx.
type writeTx struct {
	tx
	now    func() time.Time
	newest int64 // sequence of the last change appended
}

var (
	_ metadata.Tx      = (*tx)(nil)
	_ metadata.WriteTx = (*writeTx)(nil)
)

func (t *tx) query(sql string, args []any, scan func(row []driver.Value) error) error {
	return t.conn.query(t.ctx, sql, args, scan)
}

// exists reports whether the query gives a row.
func (t *tx) exists(sql string, args ...any) (found bool, err error) {
	err = t.query(sql, args, func([]driver.Value) error {
		found = true
		return nil
	})
	return found, err
}

// exec refuses to go on once the caller is gone, so that his update is undone; a statement itself is never interrupted,
// since that would undo the updates of others in the same transaction.
func (t *writeTx) exec(sql string, args ...any) (changed int64, err error) {
	_, changed, err = t.insert(sql, args...)
	return changed, err
}

func (t *writeTx) insert(sql string, args ...any) (rowid, changed int64, err error) {
	if t.ctx.Err() != nil {
		return 0, 0, fmt.Errorf("write to the metadata database: %w", context.Cause(t.ctx))
	}
	if t.conn.raw.AutoCommit() { // SQLite rolled back by itself, and fn went on: this would be committed on the spot
		return 0, 0, errLost
	}
	return t.conn.insert(sql, args...)
}

// Columns come as nil, int64, string or []byte. Tables are STRICT, so anything else is a query that does not fit its scan.

func integer(v driver.Value) int64 { n, _ := v.(int64); return n }
func text(v driver.Value) string   { s, _ := v.(string); return s }

func integerPointer(v driver.Value) *int64 {
	if n, ok := v.(int64); ok {
		return &n
	}
	return nil
}

func textPointer(v driver.Value) *string {
	if s, ok := v.(string); ok {
		return &s
	}
	return nil
}

// nullable stores "" as NULL.
func nullable[T ~string](s T) any {
	if s == "" {
		return nil
	}
	return string(s)
}

// packID returns the 16 bytes of a UUID; they sort as its text does.
func packID(id image.ID) []byte {
	if len(id) != 36 {
		return nil
	}
	b := make([]byte, 0, 32)
	for _, part := range []image.ID{id[0:8], id[9:13], id[14:18], id[19:23], id[24:36]} {
		b = append(b, part...)
	}
	n, err := hex.Decode(b, b)
	if err != nil {
		return nil
	}
	return b[:n]
}

func unpackID(v driver.Value) image.ID {
	b, _ := v.([]byte)
	if len(b) != 16 {
		return ""
	}
	var s [36]byte
	hex.Encode(s[0:8], b[0:4])
	hex.Encode(s[9:13], b[4:6])
	hex.Encode(s[14:18], b[6:8])
	hex.Encode(s[19:23], b[8:10])
	hex.Encode(s[24:36], b[10:16])
	s[8], s[13], s[18], s[23] = '-', '-', '-', '-'
	return image.ID(s[:])
}

func ignoreRow([]driver.Value) error { return nil }
