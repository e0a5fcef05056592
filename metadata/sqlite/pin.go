package sqlite

import (
	"database/sql/driver"
	"fmt"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

// Pins implements metadata.Tx.
func (t *tx) Pins(number int64) (pins []image.Pin, err error) {
	err = t.query(`SELECT guest, created_at FROM pins WHERE number = ? ORDER BY guest`, []any{number}, func(row []driver.Value) error {
		pins = append(pins, image.Pin{Guest: text(row[0]), CreatedAt: moment(row[1])})
		return nil
	})
	return pins, err
}

// AddPin implements metadata.WriteTx.
func (t *writeTx) AddPin(number int64, guest string, now time.Time) error {
	if err := image.CheckGuest(guest); err != nil {
		return err
	}
	if _, err := t.ImageByNumber(number); err != nil {
		return fmt.Errorf("pin %w", err)
	}
	_, err := t.exec(`INSERT OR IGNORE INTO pins (number, guest, created_at) VALUES (?, ?, ?)`, number, guest, now.UnixMicro())
	return err
}

// RemovePin implements metadata.WriteTx.
func (t *writeTx) RemovePin(number int64, guest string) error {
	pinned, err := t.exists(`SELECT 1 FROM pins WHERE number = ? AND guest = ?`, number, guest)
	if err != nil {
		return err
	}
	if !pinned {
		return fmt.Errorf("pin of image number %d for %q: %w", number, guest, image.ErrNotFound)
	}
	_, err = t.exec(`DELETE FROM pins WHERE number = ? AND guest = ?`, number, guest)
	return err
}
