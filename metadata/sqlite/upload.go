package sqlite

import (
	"database/sql/driver"
	"fmt"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

const uploadColumns = `SELECT u.id, u.number, i.id, u.store, u.object, u.instance, u.bytes, u.reserved, u.started
	FROM uploads u CROSS JOIN images i ON i.number = u.number`

func (t *tx) uploads(where string, args ...any) ([]image.Upload, error) {
	var uploads []image.Upload
	err := t.query(uploadColumns+where, args, func(row []driver.Value) error {
		uploads = append(uploads, image.Upload{ID: text(row[0]), Number: integer(row[1]), ImageID: unpackID(row[2]),
			Store: text(row[3]), Object: text(row[4]), Instance: text(row[5]), Bytes: integer(row[6]), Reserved: integer(row[7]), Started: moment(row[8])})
		return nil
	})
	return uploads, err
}

// Uploads implements metadata.Tx.
func (t *tx) Uploads() ([]image.Upload, error) { return t.uploads(` ORDER BY u.started, u.id`) }

// Upload implements metadata.Tx.
func (t *tx) Upload(number int64) (image.Upload, error) {
	found, err := t.uploads(` WHERE u.number = ?`, number)
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("upload of image number %d: %w", number, image.ErrNotFound)
	}
	if err != nil {
		return image.Upload{}, err
	}
	return found[0], nil
}

// AddUpload implements metadata.WriteTx. Errors: image.ErrConflict when the image has one already or the id exists,
// image.ErrNotFound when there is no such image.
func (t *writeTx) AddUpload(u image.Upload) error {
	if _, err := t.ImageByNumber(u.Number); err != nil {
		return fmt.Errorf("reserve an upload of %w", err)
	}
	_, err := t.exec(`INSERT INTO uploads (id, number, store, object, instance, bytes, reserved, started) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		u.ID, u.Number, u.Store, u.Object, u.Instance, u.Bytes, u.Reserved, u.Started.UnixMicro())
	if isTaken(err) {
		return image.Errorf(image.ErrConflict, "Image %s has an upload under way already", u.ImageID)
	}
	return err
}

// ClaimUpload implements metadata.WriteTx.
func (t *writeTx) ClaimUpload(id, instance string) error {
	n, err := t.exec(`UPDATE uploads SET instance = ? WHERE id = ?`, instance, id)
	if err == nil && n == 0 {
		err = fmt.Errorf("claim upload %s: %w", id, image.ErrNotFound)
	}
	return err
}

// ReserveBytes implements metadata.WriteTx.
func (t *writeTx) ReserveBytes(id string, bytes int64) error {
	n, err := t.exec(`UPDATE uploads SET reserved = ? WHERE id = ?`, bytes, id)
	if err == nil && n == 0 {
		err = fmt.Errorf("reserve %d bytes for upload %s: %w", bytes, id, image.ErrNotFound)
	}
	return err
}

// RemoveUpload implements metadata.WriteTx. Removing what is gone is no error.
func (t *writeTx) RemoveUpload(id string) error {
	_, err := t.exec(`DELETE FROM uploads WHERE id = ?`, id)
	return err
}

// Garbage implements metadata.Tx.
func (t *tx) Garbage(after int64, limit int) ([]image.Garbage, error) {
	var garbage []image.Garbage
	err := t.query(`SELECT id, number, image_id, store, url, metadata, since FROM garbage WHERE id > ? ORDER BY id LIMIT ?`,
		[]any{after, max(limit, 0)}, func(row []driver.Value) error {
			g := image.Garbage{ID: integer(row[0]), Number: integer(row[1]), ImageID: unpackID(row[2]),
				Location: image.Location{Store: text(row[3]), URL: text(row[4])}, Since: moment(row[6])}
			var err error
			g.Location.Metadata, err = decodeMap(text(row[5]))
			garbage = append(garbage, g)
			return err
		})
	return garbage, err
}

// AddGarbage implements metadata.WriteTx.
func (t *writeTx) AddGarbage(g image.Garbage) error {
	id := packID(g.ImageID)
	if id == nil {
		id = []byte{} // data of no image
	}
	_, err := t.exec(`INSERT INTO garbage (number, image_id, store, url, metadata, since) VALUES (?, ?, ?, ?, ?, ?)`,
		g.Number, id, g.Location.Store, g.Location.URL, encodeMap(g.Location.Metadata), g.Since.UnixMicro())
	return err
}

// RemoveGarbage implements metadata.WriteTx. Removing what is gone is no error.
func (t *writeTx) RemoveGarbage(id int64) error {
	_, err := t.exec(`DELETE FROM garbage WHERE id = ?`, id)
	return err
}

// KeepData implements metadata.WriteTx. Keeping what is no garbage is no error.
func (t *writeTx) KeepData(loc image.Location) error {
	_, err := t.exec(`DELETE FROM garbage WHERE store = ? AND url = ?`, loc.Store, loc.URL)
	return err
}

// LocationExists implements metadata.Tx. Uploads know the object's name and not its URL: a URL with that name as one of
// its path elements is taken for it, since to keep data is the safe mistake.
func (t *tx) LocationExists(store, url string) (bool, error) {
	return t.exists(`SELECT 1 FROM locations WHERE store = ?1 AND url = ?2
		UNION ALL SELECT 1 FROM garbage WHERE store = ?1 AND url = ?2
		UNION ALL SELECT 1 FROM staged WHERE store = ?1 AND url = ?2
		UNION ALL SELECT 1 FROM uploads WHERE store = ?1 AND instr('/' || ?2 || '/', '/' || object || '/') > 0 LIMIT 1`, store, url)
}

// URLExists implements metadata.Tx. The stores are few, and each is looked for in an index.
func (t *tx) URLExists(url string) (bool, error) {
	return t.exists(`WITH RECURSIVE
		storing(store) AS (SELECT min(store) FROM locations
			UNION ALL SELECT (SELECT min(l.store) FROM locations l WHERE l.store > storing.store) FROM storing WHERE storing.store IS NOT NULL),
		giving(store) AS (SELECT min(store) FROM garbage
			UNION ALL SELECT (SELECT min(g.store) FROM garbage g WHERE g.store > giving.store) FROM giving WHERE giving.store IS NOT NULL)
		SELECT 1 FROM storing CROSS JOIN locations l ON l.store = storing.store AND l.url = ?1
		UNION ALL SELECT 1 FROM giving CROSS JOIN garbage g ON g.store = giving.store AND g.url = ?1
		UNION ALL SELECT 1 FROM uploads WHERE instr('/' || ?1 || '/', '/' || object || '/') > 0 LIMIT 1`, url)
}

// Instances implements metadata.Tx.
func (t *tx) Instances() (map[string]time.Time, error) {
	instances := map[string]time.Time{}
	err := t.query(`SELECT instance, beat FROM instances`, nil, func(row []driver.Value) error {
		instances[text(row[0])] = moment(row[1])
		return nil
	})
	return instances, err
}

// Beat implements metadata.WriteTx.
func (t *writeTx) Beat(instance string, now time.Time) error {
	_, err := t.exec(`INSERT INTO instances (instance, beat) VALUES (?, ?) ON CONFLICT (instance) DO UPDATE SET beat = excluded.beat`,
		instance, now.UnixMicro())
	return err
}

// RemoveInstance implements metadata.WriteTx.
func (t *writeTx) RemoveInstance(instance string) error {
	_, err := t.exec(`DELETE FROM instances WHERE instance = ?`, instance)
	return err
}
