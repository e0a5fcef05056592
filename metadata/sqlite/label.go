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

// DropLabels implements metadata.WriteTx.
func (t *writeTx) DropLabels(after, keep int64, limit int) (last int64, err error) {
	var unused []int64
	// A project's label is the scope of its active images, and names the lists of all that it owns or is a member of.
	err = t.query(`SELECT number, CASE kind
			WHEN ?4 THEN EXISTS (SELECT 1 FROM listings WHERE list BETWEEN l.number << 4 AND (l.number << 4) + 15)
			ELSE EXISTS (SELECT 1 FROM tree WHERE scope = ?5 AND kind = l.kind AND label = l.number) END
		FROM labels l WHERE number > ?1 AND number <= (SELECT max(number) FROM labels) - ?2 ORDER BY number LIMIT ?3`,
		[]any{after, keep, max(limit, 0), int64(metadata.LabelProject), int64(scopeAll)}, func(row []driver.Value) error {
			if last = integer(row[0]); integer(row[1]) == 0 {
				unused = append(unused, last)
			}
			return nil
		})
	if err != nil || len(unused) == 0 {
		return last, err
	}
	_, err = t.exec(`DELETE FROM labels WHERE number IN (SELECT value FROM json_each(?))`, encodeNumbers(unused))
	return last, err
}
