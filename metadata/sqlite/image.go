package sqlite

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"

	"github.com/vitrine-image/vitrine/image"
)

const imageColumns = `i.number, i.id, i.name, i.owner, i.status, i.visibility, i.protected, i.hidden, i.disk_format,
	i.container_format, i.min_disk, i.min_ram, i.size, i.virtual_size, i.checksum, i.hash_algo, i.hash_value, i.created_at,
	i.updated_at, i.tags, i.properties, i.locations`

func scanImage(row []driver.Value) (*image.Image, error) {
	img := &image.Image{
		Number: integer(row[0]), ID: unpackID(row[1]), Name: textPointer(row[2]), Owner: text(row[3]),
		Status: image.Status(text(row[4])), Visibility: image.Visibility(text(row[5])),
		Protected: integer(row[6]) != 0, Hidden: integer(row[7]) != 0,
		DiskFormat: text(row[8]), ContainerFormat: text(row[9]), MinDisk: integer(row[10]), MinRAM: integer(row[11]),
		Size: integerPointer(row[12]), VirtualSize: integerPointer(row[13]),
		Checksum: text(row[14]), HashAlgo: text(row[15]), HashValue: text(row[16]),
		CreatedAt: moment(row[17]), UpdatedAt: moment(row[18]),
	}
	var err error
	if img.Tags, err = decodeStrings(text(row[19])); err != nil {
		return nil, fmt.Errorf("read image %s: %w", img.ID, err)
	}
	if img.Properties, err = decodeMap(text(row[20])); err != nil {
		return nil, fmt.Errorf("read image %s: %w", img.ID, err)
	}
	if img.Locations, err = decodeLocations(text(row[21])); err != nil {
		return nil, fmt.Errorf("read image %s: %w", img.ID, err)
	}
	return img, nil
}

// Image implements metadata.Tx.
func (t *tx) Image(id image.ID) (*image.Image, error) {
	return t.oneImage(`i.id = ?`, packID(id), string(id))
}

// ImageByNumber implements metadata.Tx.
func (t *tx) ImageByNumber(number int64) (*image.Image, error) {
	return t.oneImage(`i.number = ?`, number, fmt.Sprint("number ", number))
}

func (t *tx) oneImage(where string, arg any, what string) (img *image.Image, err error) {
	err = t.query(`SELECT `+imageColumns+` FROM images i WHERE `+where, []any{arg}, func(row []driver.Value) (err error) {
		img, err = scanImage(row)
		return err
	})
	if err == nil && (img == nil || img.Status == image.Deleted) {
		return nil, fmt.Errorf("image %s: %w", what, image.ErrNotFound)
	}
	return img, err
}

// EveryImage implements metadata.Tx.
func (t *tx) EveryImage(after int64, limit int) (images []*image.Image, err error) {
	err = t.query(`SELECT `+imageColumns+` FROM images i WHERE i.number > ? ORDER BY i.number LIMIT ?`, []any{after, max(limit, 0)},
		func(row []driver.Value) error {
			img, err := scanImage(row)
			images = append(images, img)
			return err
		})
	return images, err
}

// errFull ends the reading of a page that has reached image.PageBytes.
var errFull = errors.New("the page is full")

// imagesByNumber returns the images in the order of their numbers in the slice, up to the one that reaches image.PageBytes.
func (t *tx) imagesByNumber(numbers []int64) ([]*image.Image, error) {
	if len(numbers) == 0 {
		return nil, nil
	}
	images := make([]*image.Image, 0, len(numbers))
	stored, counted, bytes := 0, 0, 0
	// json_each comes first and in order; CROSS JOIN keeps it the outer loop.
	err := t.query(`SELECT `+imageColumns+` FROM json_each(?) j CROSS JOIN images i ON i.number = j.value`,
		[]any{encodeNumbers(numbers)}, func(row []driver.Value) error {
			img, err := scanImage(row)
			if err != nil {
				return err
			}
			images = append(images, img)
			if stored += len(text(row[2])) + len(text(row[19])) + len(text(row[20])); stored < image.PageBytes {
				return nil // what is stored is never shorter
			}
			for ; counted < len(images); counted++ {
				bytes += images[counted].TextBytes()
			}
			if bytes >= image.PageBytes {
				return errFull
			}
			return nil
		})
	if err == errFull {
		numbers, err = numbers[:len(images)], nil
	}
	if err != nil {
		return nil, err
	}
	if len(images) != len(numbers) || !slices.EqualFunc(images, numbers, func(img *image.Image, n int64) bool { return img.Number == n }) {
		return nil, fmt.Errorf("metadata database %s: a list names images that do not exist: run `vitrined admin db check`", t.conn.path)
	}
	return images, nil
}

// IsMember implements metadata.Tx.
func (t *tx) IsMember(number int64, project string) (bool, error) {
	return t.exists(`SELECT 1 FROM members WHERE number = ? AND project = ?`, number, project)
}
