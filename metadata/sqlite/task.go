package sqlite

import (
	"cmp"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

const taskColumns = `SELECT id, type, status, owner, user_id, request_id, image_id, input, result, message, state, instance,
	created_at, updated_at, expires_at FROM tasks`

func (t *tx) tasks(rest string, args ...any) ([]*image.Task, error) {
	var tasks []*image.Task
	err := t.query(taskColumns+rest, args, func(row []driver.Value) error {
		task := &image.Task{ID: unpackID(row[0]), Type: image.TaskType(text(row[1])), Status: image.TaskStatus(text(row[2])),
			Owner: text(row[3]), UserID: text(row[4]), RequestID: text(row[5]), ImageID: unpackID(row[6]),
			Input: document(row[7]), Result: document(row[8]), Message: text(row[9]), State: document(row[10]),
			Instance: text(row[11]), CreatedAt: moment(row[12]), UpdatedAt: moment(row[13])}
		if row[14] != nil {
			at := moment(row[14])
			task.ExpiresAt = &at
		}
		tasks = append(tasks, task)
		return nil
	})
	return tasks, err
}

func document(v driver.Value) json.RawMessage {
	if v == nil {
		return nil
	}
	return json.RawMessage(text(v))
}

// Task implements metadata.Tx.
func (t *tx) Task(id image.ID) (*image.Task, error) {
	found, err := t.tasks(` WHERE id = ?`, packID(id))
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("task %s: %w", id, image.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

// ImageTasks implements metadata.Tx.
func (t *tx) ImageTasks(id image.ID) ([]*image.Task, error) {
	return t.tasks(` WHERE image_id = ? ORDER BY created_at DESC, id DESC`, packID(id))
}

// OpenTasks implements metadata.Tx.
func (t *tx) OpenTasks() ([]*image.Task, error) {
	return t.tasks(` WHERE status IN ('pending', 'processing') ORDER BY created_at, id`)
}

// Tasks implements metadata.Tx. A task that has not ended sorts as if it had expired long ago.
func (t *tx) Tasks(q image.TaskQuery) ([]*image.Task, error) {
	column, direction, beyond := "created_at", "DESC", "<"
	if q.Sort != "" {
		column = q.Sort
	}
	if !slices.Contains(image.TaskSortFields, column) {
		return nil, image.Errorf(image.ErrInvalid, "Tasks cannot be sorted by %q", column)
	}
	if q.Asc {
		direction, beyond = "ASC", ">"
	}
	where, args := ` WHERE ('' = ?1 OR owner = ?1) AND ('' = ?2 OR type = ?2) AND ('' = ?3 OR status = ?3)`,
		[]any{q.Owner, string(q.Type), string(q.Status), max(q.Limit, 0)}
	key := column
	if column == "expires_at" {
		key = "coalesce(expires_at, 0)"
	}
	if q.Marker != "" {
		known, err := t.exists(`SELECT 1 FROM tasks WHERE id = ?1 AND ('' = ?2 OR owner = ?2)`, packID(q.Marker), q.Owner)
		if err != nil {
			return nil, err
		}
		if !known {
			return nil, image.Errorf(image.ErrInvalid, "There is no task %s to start after", q.Marker)
		}
		where += ` AND (` + key + `, id) ` + beyond + ` (SELECT ` + key + `, id FROM tasks WHERE id = ?5)`
		args = append(args, packID(q.Marker))
	}
	return t.tasks(where+` ORDER BY `+key+` `+direction+`, id `+direction+` LIMIT ?4`, args...)
}

// SaveTask implements metadata.WriteTx.
func (t *writeTx) SaveTask(task *image.Task) error {
	if packID(task.ID) == nil {
		return image.Errorf(image.ErrInvalid, "%q is no id of a task", task.ID)
	}
	var about, expires any
	if task.ImageID != "" {
		about = packID(task.ImageID)
	}
	if task.ExpiresAt != nil {
		expires = task.ExpiresAt.UnixMicro()
	}
	_, err := t.exec(`INSERT OR REPLACE INTO tasks (id, type, status, owner, user_id, request_id, image_id, input, result, message, state,
		instance, created_at, updated_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		packID(task.ID), string(task.Type), string(task.Status), task.Owner, task.UserID, task.RequestID, about,
		cmp.Or(string(task.Input), "{}"), nullable(string(task.Result)), task.Message, nullable(string(task.State)), task.Instance,
		task.CreatedAt.UnixMicro(), task.UpdatedAt.UnixMicro(), expires)
	return err
}

// DropTasks implements metadata.WriteTx.
func (t *writeTx) DropTasks(now time.Time, limit int) ([]*image.Task, error) {
	expired, err := t.tasks(` WHERE expires_at < ? ORDER BY expires_at, id LIMIT ?`, now.UnixMicro(), limit)
	for _, task := range expired {
		if err == nil {
			_, err = t.exec(`DELETE FROM tasks WHERE id = ?`, packID(task.ID))
		}
	}
	return expired, err
}
