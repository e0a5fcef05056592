package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadata"
)

// findLabel returns the number of a value; ok is false when it never had one.
func findLabel(ctx context.Context, c *conn, kind metadata.LabelKind, value string) (number int64, ok bool, err error) {
	return c.queryInt(ctx, `SELECT number FROM labels WHERE kind = ? AND value = ?`, int64(kind), value)
}

// label returns the number of a value, and gives it one if it has none.
func (t *writeTx) label(kind metadata.LabelKind, value string) (int64, error) {
	number, ok, err := findLabel(t.ctx, t.conn, kind, value)
	if ok || err != nil {
		return number, err
	}
	number, _, err = t.insert(`INSERT INTO labels (kind, value, entry) VALUES (?, ?, ?)`, int64(kind), value, image.EntryName(value))
	return number, err
}

// LabelByNumber implements metadata.TreeTx.
func (t *tx) LabelByNumber(kind metadata.LabelKind, number int64) (metadata.Label, error) {
	return t.oneLabel(`number = ?2`, kind, number)
}

func (t *tx) oneLabel(where string, kind metadata.LabelKind, arg any) (label metadata.Label, err error) {
	found := false
	err = t.query(`SELECT number, value, entry FROM labels WHERE kind = ?1 AND `+where, []any{int64(kind), arg},
		func(row []driver.Value) error {
			found = true
			label = metadata.Label{Number: integer(row[0]), Value: text(row[1]), Entry: text(row[2])}
			return nil
		})
	if err == nil && !found {
		err = fmt.Errorf("label %v: %w", arg, image.ErrNotFound)
	}
	return label, err
}
