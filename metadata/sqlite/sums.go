package sqlite

import (
	"database/sql/driver"
	"fmt"

	"github.com/vitrine-image/vitrine/image"
)

// ContentSums implements metadata.Tx.
func (t *tx) ContentSums(number int64) (sums []image.ContentSum, err error) {
	err = t.query(`SELECT of, algo, value, size FROM sums WHERE number = ? ORDER BY of`, []any{number}, func(row []driver.Value) error {
		sums = append(sums, image.ContentSum{Of: text(row[0]), Algo: text(row[1]), Value: text(row[2]), Size: integer(row[3])})
		return nil
	})
	return sums, err
}

// SaveContentSum implements metadata.WriteTx.
func (t *writeTx) SaveContentSum(number int64, s image.ContentSum) error {
	if _, err := t.ImageByNumber(number); err != nil {
		return fmt.Errorf("record a sum of %w", err)
	}
	_, err := t.exec(`INSERT OR REPLACE INTO sums (number, of, algo, value, size) VALUES (?, ?, ?, ?, ?)`, number, s.Of, s.Algo, s.Value, s.Size)
	return err
}
