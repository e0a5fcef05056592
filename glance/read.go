package glance

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

// pageSize is how many images or tasks are read, and written in one transaction, at a time.
const pageSize = 500

// A record is an image as Glance has it.
type record struct {
	id        string
	image     image.Image // its Locations are empty
	deletedAt time.Time   // zero unless it was deleted
	locations []location
	members   []member
}

// A location is one as Glance has it: its URL may be encrypted.
type location struct {
	url      string
	metadata map[string]any
}

type member struct {
	image.Member
	deletedAt time.Time // zero unless the membership was ended
}

const imageColumns = `id, name, disk_format, container_format, size, virtual_size, status, visibility, checksum, os_hash_algo, os_hash_value,
	min_disk, min_ram, owner, protected, os_hidden, created_at, updated_at, deleted_at, deleted`

// images returns the page after an id, by ids. Of deleted images only what the table of images says is there.
func (s *Source) images(ctx context.Context, after string) ([]*record, error) {
	page, err := rows(ctx, s, scanImage, `SELECT `+imageColumns+` FROM images WHERE id > ? ORDER BY id LIMIT ?`, after, pageSize)
	if err != nil {
		return nil, fmt.Errorf("read the images of Glance: %w", err)
	}
	byID := make(map[string]*record)
	var ids []any
	for _, r := range page {
		if r.deletedAt.IsZero() {
			byID[r.id] = r
			ids = append(ids, r.id)
		}
	}
	if len(ids) == 0 {
		return page, nil
	}
	of := ` WHERE image_id IN (?` + strings.Repeat(", ?", len(ids)-1) + `)`
	for _, part := range []struct {
		query string
		read  func(*sql.Rows, map[string]*record) error
	}{
		{`SELECT image_id, name, value FROM image_properties` + of + ` AND NOT deleted`, readProperty},
		{`SELECT image_id, value FROM image_tags` + of + ` AND NOT deleted`, readTag},
		{`SELECT image_id, value, meta_data FROM image_locations` + of + ` AND NOT deleted AND status = 'active' ORDER BY id`, readLocation},
		{`SELECT image_id, member, status, created_at, updated_at, deleted_at, deleted FROM image_members` + of, readMember},
	} {
		_, err := rows(ctx, s, func(row *sql.Rows) (struct{}, error) { return struct{}{}, part.read(row, byID) }, part.query, ids...)
		if err != nil {
			return nil, fmt.Errorf("read the images of Glance: %w", err)
		}
	}
	for _, r := range byID {
		slices.Sort(r.image.Tags)
		r.image.Tags = slices.Compact(r.image.Tags)
	}
	return page, nil
}

func scanImage(row *sql.Rows) (*record, error) {
	r := &record{}
	img := &r.image
	var name, diskFormat, containerFormat, visibility, checksum, algo, value, owner sql.NullString
	var size, virtual sql.NullInt64
	var created, updated, gone sql.NullTime
	var status string
	var deleted bool
	err := row.Scan(&r.id, &name, &diskFormat, &containerFormat, &size, &virtual, &status, &visibility, &checksum, &algo, &value,
		&img.MinDisk, &img.MinRAM, &owner, &img.Protected, &img.Hidden, &created, &updated, &gone, &deleted)
	img.Name, img.Size, img.VirtualSize = pointer(name.String, name.Valid), pointer(size.Int64, size.Valid), pointer(virtual.Int64, virtual.Valid)
	img.DiskFormat, img.ContainerFormat, img.Checksum = diskFormat.String, containerFormat.String, checksum.String
	img.HashAlgo, img.HashValue, img.Owner = algo.String, value.String, owner.String
	img.Status, img.Visibility = image.Status(status), image.Visibility(visibility.String)
	img.CreatedAt, img.UpdatedAt = times(created, updated)
	if deleted {
		r.deletedAt = ended(gone, img.UpdatedAt)
	}
	return r, err
}

func pointer[T any](v T, valid bool) *T {
	if !valid {
		return nil
	}
	return &v
}

// times returns when something was made and changed, with what is missing taken from the other, in microseconds.
func times(created, updated sql.NullTime) (time.Time, time.Time) {
	if !created.Valid {
		created = updated
	}
	if !updated.Valid {
		updated = created
	}
	return created.Time.UTC().Truncate(time.Microsecond), updated.Time.UTC().Truncate(time.Microsecond)
}

// ended returns when something was deleted, which is never zero.
func ended(gone sql.NullTime, updated time.Time) time.Time {
	if !gone.Valid {
		return updated
	}
	return gone.Time.UTC()
}

func readProperty(row *sql.Rows, images map[string]*record) error {
	var id, name string
	var value sql.NullString
	if err := row.Scan(&id, &name, &value); err != nil {
		return err
	}
	if image.IsBookkeeping(name) {
		return nil // of an import that ended with Glance
	}
	img := &images[id].image
	if img.Properties == nil {
		img.Properties = make(map[string]string)
	}
	img.Properties[name] = value.String
	return nil
}

func readTag(row *sql.Rows, images map[string]*record) error {
	var id, tag string
	err := row.Scan(&id, &tag)
	if err == nil {
		images[id].image.Tags = append(images[id].image.Tags, tag)
	}
	return err
}

func readLocation(row *sql.Rows, images map[string]*record) error {
	var id string
	var metadata sql.NullString
	var l location
	if err := row.Scan(&id, &l.url, &metadata); err != nil {
		return err
	}
	if metadata.String != "" {
		if err := json.Unmarshal([]byte(metadata.String), &l.metadata); err != nil {
			return fmt.Errorf("metadata of a location of image %s: %w", id, err)
		}
	}
	images[id].locations = append(images[id].locations, l)
	return nil
}

func readMember(row *sql.Rows, images map[string]*record) error {
	var m member
	var id string
	var created, updated, gone sql.NullTime
	var deleted bool
	if err := row.Scan(&id, &m.Project, &m.Status, &created, &updated, &gone, &deleted); err != nil {
		return err
	}
	m.CreatedAt, m.UpdatedAt = times(created, updated)
	if deleted {
		m.deletedAt = ended(gone, m.UpdatedAt)
	}
	images[id].members = append(images[id].members, m)
	return nil
}

// tasks returns the page after an id, by ids.
func (s *Source) tasks(ctx context.Context, after string) ([]*image.Task, error) {
	page, err := rows(ctx, s, scanTask, `SELECT t.id, t.type, t.status, t.owner, t.expires_at, t.created_at, t.updated_at, t.image_id, t.request_id,
		t.user_id, i.input, i.result, i.message FROM tasks t LEFT JOIN task_info i ON i.task_id = t.id
		WHERE t.id > ? AND NOT t.deleted ORDER BY t.id LIMIT ?`, after, pageSize)
	if err != nil {
		return nil, fmt.Errorf("read the tasks of Glance: %w", err)
	}
	return page, nil
}

func scanTask(row *sql.Rows) (*image.Task, error) {
	t := &image.Task{}
	var expires, created, updated sql.NullTime
	var imageID, requestID, userID, input, result, message sql.NullString
	err := row.Scan(&t.ID, &t.Type, &t.Status, &t.Owner, &expires, &created, &updated, &imageID, &requestID, &userID, &input, &result, &message)
	t.CreatedAt, t.UpdatedAt = times(created, updated)
	t.ExpiresAt = pointer(expires.Time.UTC(), expires.Valid)
	t.ImageID, t.RequestID, t.UserID = image.ID(imageID.String), requestID.String, userID.String
	t.Input, t.Result, t.Message = object(input.String), object(result.String), message.String
	return t, err
}

// object returns a JSON object, nil for anything else.
func object(text string) json.RawMessage {
	var fields map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &fields) != nil || fields == nil {
		return nil
	}
	return json.RawMessage(text)
}
