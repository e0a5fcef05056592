package sqlite

import (
	"fmt"
	"slices"

	"github.com/vitrine-image/vitrine/image"
)

// CreateImage implements metadata.WriteTx.
func (t *writeTx) CreateImage(img *image.Image) error {
	if err := checkText(img); err != nil {
		return err
	}
	number, _, err := t.insert(`INSERT INTO images (id, name, owner, status, visibility, protected, hidden, disk_format,
		container_format, min_disk, min_ram, size, virtual_size, checksum, hash_algo, hash_value, created_at, updated_at, tags,
		properties, locations) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, imageValues(img)...)
	switch {
	case isTaken(err):
		return image.Errorf(image.ErrConflict, "Image ID %s already exists!", img.ID)
	case err != nil:
		return fmt.Errorf("create image %s: %w", img.ID, err)
	}
	img.Number = number
	if err := t.reindex(nil, &record{Image: img}); err != nil {
		return fmt.Errorf("create image %s: %w", img.ID, err)
	}
	return t.appendChange(number, img.ID, nil, img.Listed())
}

// SaveImage implements metadata.WriteTx.
func (t *writeTx) SaveImage(img *image.Image) error {
	if err := checkText(img); err != nil {
		return err
	}
	old, err := t.ImageByNumber(img.Number)
	if err != nil {
		return fmt.Errorf("save %w", err)
	}
	if old.ID != img.ID {
		return fmt.Errorf("save image %s: number %d belongs to %s: %w", img.ID, img.Number, old.ID, image.ErrInvalid)
	}
	members, err := t.members(img.Number)
	if err != nil {
		return fmt.Errorf("save image %s: %w", img.ID, err)
	}
	stored, after := &record{img, members}, img.Listed()
	if img.Status == image.Deleted {
		stored, after = &record{Image: tombstone(img)}, nil
		for _, table := range []string{"members", "sums", "pins"} {
			if _, err := t.exec(`DELETE FROM `+table+` WHERE number = ?`, img.Number); err != nil {
				return err
			}
		}
		if err := t.RemoveStaged(img.Number); err != nil {
			return fmt.Errorf("save image %s: %w", img.ID, err)
		}
	}
	if _, err := t.exec(`UPDATE images SET id = ?, name = ?, owner = ?, status = ?, visibility = ?, protected = ?, hidden = ?,
		disk_format = ?, container_format = ?, min_disk = ?, min_ram = ?, size = ?, virtual_size = ?, checksum = ?, hash_algo = ?,
		hash_value = ?, created_at = ?, updated_at = ?, tags = ?, properties = ?, locations = ? WHERE number = ?`,
		append(imageValues(stored.Image), img.Number)...); err != nil {
		return fmt.Errorf("save image %s: %w", img.ID, err)
	}
	if err := t.reindex(&record{old, members}, stored); err != nil {
		return fmt.Errorf("save image %s: %w", img.ID, err)
	}
	if err := t.discardLocations(old, stored.Image); err != nil {
		return fmt.Errorf("save image %s: %w", img.ID, err)
	}
	return t.appendChange(img.Number, img.ID, old.Listed(), after)
}

// tombstone is what stays of a deleted image: its number and id are never used again.
func tombstone(img *image.Image) *image.Image {
	return &image.Image{Number: img.Number, ID: img.ID, Status: image.Deleted, Visibility: image.Private,
		CreatedAt: img.CreatedAt, UpdatedAt: img.UpdatedAt}
}

func imageValues(img *image.Image) []any {
	tags := slices.Compact(slices.Sorted(slices.Values(img.Tags)))
	return []any{packID(img.ID), img.Name, nullable(img.Owner), string(img.Status), string(img.Visibility), flag(img.Protected),
		flag(img.Hidden), nullable(img.DiskFormat), nullable(img.ContainerFormat), img.MinDisk, img.MinRAM, img.Size,
		img.VirtualSize, nullable(img.Checksum), nullable(img.HashAlgo), nullable(img.HashValue), img.CreatedAt.UnixMicro(),
		img.UpdatedAt.UnixMicro(), encodeStrings(tags), encodeMap(img.Properties), encodeLocations(img.Locations)}
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// discardLocations turns what old names and img does not into garbage, unless another image has its data there, too. The
// table of locations knows of img already.
func (t *writeTx) discardLocations(old, img *image.Image) error {
	for _, l := range old.Locations {
		kept, err := t.exists(`SELECT 1 FROM locations WHERE store = ? AND url = ? LIMIT 1`, l.Store, l.URL)
		if err != nil {
			return err
		}
		if kept {
			continue
		}
		err = t.AddGarbage(image.Garbage{Number: img.Number, ImageID: img.ID, Location: l, Since: t.now()})
		if err != nil {
			return err
		}
	}
	return nil
}
