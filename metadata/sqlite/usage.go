package sqlite

import (
	"database/sql/driver"

	"github.com/vitrine-image/vitrine/image"
)

// Usage implements metadata.Tx. Reservations and staged data are few: they are added up.
func (t *tx) Usage(project string) (u image.Usage, err error) {
	err = t.query(`SELECT images, bytes, uploading FROM usage WHERE owner = ?`, []any{project}, func(row []driver.Value) error {
		u.Images, u.Bytes, u.Uploading = integer(row[0]), integer(row[1]), integer(row[2])
		return nil
	})
	if err != nil {
		return u, err
	}
	err = t.query(`SELECT coalesce(sum(u.reserved) FILTER (WHERE u.store <> ?2), 0), coalesce(sum(u.reserved) FILTER (WHERE u.store = ?2), 0),
		(SELECT coalesce(sum(s.size), 0) FROM staged s CROSS JOIN images i ON i.number = s.number WHERE coalesce(i.owner, '') = ?1)
		FROM uploads u CROSS JOIN images i ON i.number = u.number WHERE coalesce(i.owner, '') = ?1`,
		[]any{project, image.StagingStore}, func(row []driver.Value) error {
			u.Bytes += integer(row[0])
			u.Staged = integer(row[1]) + integer(row[2])
			return nil
		})
	return u, err
}

// A use is what one image adds to its project's usage.
type use struct {
	owner                    string
	images, bytes, uploading int64
}

func (r *record) use() use {
	if r == nil || r.Status == image.Deleted {
		return use{}
	}
	return use{r.Owner, 1, r.StoredBytes(), flag(r.Uploading())}
}

// moveUsage brings the usage of projects from what the record was (nil when it is new) to what it is.
func (t *writeTx) moveUsage(old, r *record) error {
	was, is := old.use(), r.use()
	if was == is {
		return nil
	}
	if was.owner == is.owner {
		return t.addUsage(use{is.owner, is.images - was.images, is.bytes - was.bytes, is.uploading - was.uploading})
	}
	if err := t.addUsage(use{was.owner, -was.images, -was.bytes, -was.uploading}); err != nil {
		return err
	}
	return t.addUsage(is)
}

// addUsage writes no row for nothing, and none stays for a project without images.
func (t *writeTx) addUsage(u use) error {
	if u.images == 0 && u.bytes == 0 && u.uploading == 0 {
		return nil
	}
	_, err := t.exec(`INSERT INTO usage (owner, images, bytes, uploading) VALUES (?, ?, ?, ?) ON CONFLICT (owner) DO UPDATE SET
		images = images + excluded.images, bytes = bytes + excluded.bytes, uploading = uploading + excluded.uploading`,
		u.owner, u.images, u.bytes, u.uploading)
	if err == nil && u.images < 0 {
		_, err = t.exec(`DELETE FROM usage WHERE owner = ? AND images = 0`, u.owner)
	}
	return err
}
