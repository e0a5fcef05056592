package sqlite

import (
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/vitrine-image/vitrine/image"
)

// Staged implements metadata.Tx.
func (t *tx) Staged(number int64) (image.Staged, error) {
	s := image.Staged{}
	err := t.query(`SELECT s.number, i.id, s.store, s.url, s.metadata, s.size, s.since
		FROM staged s CROSS JOIN images i ON i.number = s.number WHERE s.number = ?`, []any{number}, func(row []driver.Value) (err error) {
		s = image.Staged{Number: integer(row[0]), ImageID: unpackID(row[1]), Size: integer(row[5]), Since: moment(row[6]),
			Location: image.Location{Store: text(row[2]), URL: text(row[3])}}
		s.Location.Metadata, err = decodeMap(text(row[4]))
		return err
	})
	if err == nil && s.Number == 0 {
		err = fmt.Errorf("staged data of image number %d: %w", number, image.ErrNotFound)
	}
	return s, err
}

// SaveStaged implements metadata.WriteTx. Errors: image.ErrNotFound when there is no such image.
func (t *writeTx) SaveStaged(s image.Staged) error {
	if _, err := t.ImageByNumber(s.Number); err != nil {
		return fmt.Errorf("record staged data of %w", err)
	}
	old, err := t.Staged(s.Number)
	if err != nil && !errors.Is(err, image.ErrNotFound) {
		return err
	}
	if _, err := t.exec(`INSERT OR REPLACE INTO staged (number, store, url, metadata, size, since) VALUES (?, ?, ?, ?, ?, ?)`,
		s.Number, s.Location.Store, s.Location.URL, encodeMap(s.Location.Metadata), s.Size, s.Since.UnixMicro()); err != nil {
		return err
	}
	if err != nil || old.Location.Store == s.Location.Store && old.Location.URL == s.Location.URL {
		return nil // nothing was there, or it is there still
	}
	return t.AddGarbage(image.Garbage{Number: s.Number, ImageID: old.ImageID, Location: old.Location, Since: t.now()})
}

// RemoveStaged implements metadata.WriteTx.
func (t *writeTx) RemoveStaged(number int64) error {
	s, err := t.Staged(number)
	if errors.Is(err, image.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := t.exec(`DELETE FROM staged WHERE number = ?`, number); err != nil {
		return err
	}
	return t.AddGarbage(image.Garbage{Number: s.Number, ImageID: s.ImageID, Location: s.Location, Since: t.now()})
}
