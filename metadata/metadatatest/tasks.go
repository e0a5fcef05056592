package metadatatest

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadata"
)

// newTask is a task that has ended and has all its fields.
func newTask() *image.Task {
	return &image.Task{ID: image.NewID(), Type: image.TaskImageImport, Status: image.TaskSuccess, Owner: "project-1", UserID: "u",
		RequestID: "req-1", ImageID: image.NewID(), Input: json.RawMessage(`{"a":1}`), Result: json.RawMessage(`{"b":2}`),
		Message: "Copied 3 MiB", State: json.RawMessage(`{"c":3}`), Instance: "i1", CreatedAt: epoch, UpdatedAt: epoch.Add(time.Minute),
		ExpiresAt: pointer(epoch.Add(48 * time.Hour))}
}

func saveTasks(t *testing.T, db metadata.DB, tasks ...*image.Task) {
	t.Helper()
	update(t, db, func(tx metadata.WriteTx) error {
		for _, task := range tasks {
			if err := tx.SaveTask(task); err != nil {
				return err
			}
		}
		return nil
	})
}

func testTasks(t *testing.T, db metadata.DB) {
	full := newTask()
	bare := &image.Task{ID: image.NewID(), Type: image.TaskImport, Status: image.TaskPending, Input: json.RawMessage(`{}`),
		CreatedAt: epoch.Add(time.Second), UpdatedAt: epoch.Add(time.Second)}
	saveTasks(t, db, full, bare)
	wantTask := func(want *image.Task) {
		t.Helper()
		view(t, db, func(tx metadata.Tx) error {
			got, err := tx.Task(want.ID)
			if err == nil && printTask(got) != printTask(want) {
				t.Errorf("Task = %s, want %s", printTask(got), printTask(want))
			}
			return err
		})
	}
	wantTask(full)
	wantTask(bare)
	update(t, db, func(tx metadata.WriteTx) error {
		blank := newTask()
		blank.Input = nil
		if err := tx.SaveTask(blank); err != nil {
			return err
		}
		got, err := tx.Task(blank.ID)
		if err == nil && string(got.Input) != "{}" {
			t.Errorf("the input of a task without one is %q, want an empty object", got.Input)
		}
		_, dropped := tx.DropTasks(blank.ExpiresAt.Add(time.Second), 1)
		return errors.Join(err, dropped)
	})
	saveTasks(t, db, full)
	later := newTask()
	later.ImageID, later.CreatedAt, later.Status = full.ImageID, epoch.Add(time.Hour), image.TaskProcessing
	saveTasks(t, db, later)
	view(t, db, func(tx metadata.Tx) error {
		got, err := tx.ImageTasks(full.ImageID)
		if err == nil && !slices.Equal(taskIDs(got), []image.ID{later.ID, full.ID}) {
			t.Errorf("ImageTasks = %v", taskIDs(got))
		}
		return err
	})
	view(t, db, func(tx metadata.Tx) error {
		got, err := tx.OpenTasks()
		if err == nil && !slices.Equal(taskIDs(got), []image.ID{bare.ID, later.ID}) {
			t.Errorf("OpenTasks = %v", taskIDs(got))
		}
		return err
	})
	bare.Status, bare.Message, bare.Instance, bare.ExpiresAt = image.TaskFailure, "why", "i2", pointer(epoch.Add(time.Minute))
	saveTasks(t, db, bare)
	wantTask(bare)
	sooner := newTask()
	sooner.ExpiresAt = pointer(epoch.Add(time.Second))
	saveTasks(t, db, sooner)
	for _, want := range [][]image.ID{{sooner.ID}, {bare.ID}, nil} {
		var dropped []*image.Task
		update(t, db, func(tx metadata.WriteTx) (err error) {
			dropped, err = tx.DropTasks(epoch.Add(2*time.Minute), 1)
			return err
		})
		if !slices.Equal(taskIDs(dropped), want) {
			t.Errorf("DropTasks of one task dropped %v, want %v", taskIDs(dropped), want)
		}
	}
	view(t, db, func(tx metadata.Tx) error {
		_, err := tx.Task(bare.ID)
		wantError(t, "Task of an expired one", err, image.ErrNotFound)
		_, err = tx.Task(full.ID)
		return err
	})
	err := db.Update(ctx, func(tx metadata.WriteTx) error { return tx.SaveTask(&image.Task{ID: "x"}) })
	wantError(t, "SaveTask without an id", err, image.ErrInvalid)
}

func printTask(task *image.Task) string {
	c := *task
	c.CreatedAt, c.UpdatedAt = c.CreatedAt.UTC(), c.UpdatedAt.UTC()
	if c.ExpiresAt != nil {
		c.ExpiresAt = pointer(c.ExpiresAt.UTC())
	}
	b, err := json.Marshal(c)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func taskIDs(tasks []*image.Task) (ids []image.ID) {
	for _, task := range tasks {
		ids = append(ids, task.ID)
	}
	return ids
}

func testTaskPages(t *testing.T, db metadata.DB) {
	var tasks []*image.Task
	for i := range 12 {
		task := newTask()
		task.Owner = fmt.Sprint("project-", i%2)
		task.Type = image.TaskTypes()[i%3]
		task.Status = image.TaskStatuses()[i%4]
		task.CreatedAt = epoch.Add(time.Duration(i/2) * time.Second) // each twice
		task.UpdatedAt = epoch.Add(time.Duration(12-i) * time.Second)
		if task.ExpiresAt = nil; task.Status.Ended() {
			task.ExpiresAt = pointer(epoch.Add(time.Duration(i) * time.Hour))
		}
		tasks = append(tasks, task)
	}
	saveTasks(t, db, tasks...)
	for _, sort := range append(image.TaskSortFields, "") {
		for _, q := range []image.TaskQuery{{}, {Asc: true}, {Owner: "project-1"}, {Type: image.TaskImport}, {Status: image.TaskFailure, Asc: true}} {
			q.Sort, q.Limit = sort, 3
			want := modelTasks(tasks, q)
			var got []image.ID
			for {
				var page []*image.Task
				view(t, db, func(tx metadata.Tx) (err error) {
					page, err = tx.Tasks(q)
					return err
				})
				got = append(got, taskIDs(page)...)
				if len(page) < q.Limit {
					break
				}
				q.Marker = page[len(page)-1].ID
			}
			if !slices.Equal(got, want) {
				t.Errorf("Tasks(%+v) in pages = %v, want %v", q, got, want)
			}
		}
	}
	for _, q := range []image.TaskQuery{{Marker: image.NewID()}, {Sort: "message"}, {Marker: tasks[0].ID, Owner: "project-1"}} {
		err := db.View(ctx, func(tx metadata.Tx) error {
			_, err := tx.Tasks(q)
			return err
		})
		wantError(t, fmt.Sprintf("Tasks(%+v)", q), err, image.ErrInvalid)
	}
}

// modelTasks says which tasks a query lists when nothing limits it.
func modelTasks(tasks []*image.Task, q image.TaskQuery) []image.ID {
	var listed []*image.Task
	for _, task := range tasks {
		if (q.Owner == "" || task.Owner == q.Owner) && (q.Type == "" || task.Type == q.Type) && (q.Status == "" || task.Status == q.Status) {
			listed = append(listed, task)
		}
	}
	key := func(task *image.Task) string {
		switch q.Sort {
		case "updated_at":
			return task.UpdatedAt.Format(time.RFC3339Nano)
		case "expires_at":
			if task.ExpiresAt == nil {
				return ""
			}
			return task.ExpiresAt.Format(time.RFC3339Nano)
		case "id":
			return ""
		case "status":
			return string(task.Status)
		case "type":
			return string(task.Type)
		}
		return task.CreatedAt.Format(time.RFC3339Nano)
	}
	slices.SortFunc(listed, func(a, b *image.Task) int {
		order := compareText(key(a), key(b))
		if order == 0 {
			order = compareText(string(a.ID), string(b.ID))
		}
		if q.Asc {
			return order
		}
		return -order
	})
	return taskIDs(listed)
}

func compareText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func testStaged(t *testing.T, db metadata.DB) {
	img, other := queued(), queued()
	img.Owner = "project-1"
	create(t, db, img, other)
	s := image.Staged{Number: img.Number, ImageID: img.ID, Size: 5, Since: epoch,
		Location: image.Location{Store: "staging", URL: "file:///staging/1", Metadata: map[string]string{"k": "v"}}}
	staged := func() (got image.Staged, err error) {
		err = db.View(ctx, func(tx metadata.Tx) (err error) {
			got, err = tx.Staged(img.Number)
			return err
		})
		got.Since = got.Since.UTC()
		return got, err
	}
	_, err := staged()
	wantError(t, "Staged before", err, image.ErrNotFound)
	update(t, db, func(tx metadata.WriteTx) error { return tx.SaveStaged(s) })
	if got, err := staged(); err != nil || !reflect.DeepEqual(got, s) {
		t.Errorf("Staged = %+v, %v, want %+v", got, err, s)
	}
	wantLocation(t, db, "staging", "file:///staging/1", true)
	wantUsage(t, db, "project-1", image.Usage{Images: 1, Staged: 5})
	wantGarbage := func(urls ...string) {
		t.Helper()
		view(t, db, func(tx metadata.Tx) error {
			garbage, err := tx.Garbage(0, 10)
			var got []string
			for _, g := range garbage {
				got = append(got, g.Location.URL)
			}
			if err == nil && !slices.Equal(got, urls) {
				t.Errorf("garbage is at %q, want %q", got, urls)
			}
			return err
		})
	}
	longer := s
	longer.Size = 6
	update(t, db, func(tx metadata.WriteTx) error { return tx.SaveStaged(longer) })
	if got, err := staged(); err != nil || !reflect.DeepEqual(got, longer) {
		t.Errorf("Staged = %+v, %v, want %+v", got, err, longer)
	}
	wantGarbage() // it lies where it lay
	again := s
	again.Location.URL = "file:///staging/2"
	update(t, db, func(tx metadata.WriteTx) error { return tx.SaveStaged(again) })
	wantGarbage("file:///staging/1")
	for range 2 { // removing what is gone is no error
		update(t, db, func(tx metadata.WriteTx) error { return tx.RemoveStaged(img.Number) })
	}
	_, err = staged()
	wantError(t, "Staged after RemoveStaged", err, image.ErrNotFound)
	wantGarbage("file:///staging/1", "file:///staging/2")
	again.Location.URL = "file:///staging/3"
	update(t, db, func(tx metadata.WriteTx) error { return tx.SaveStaged(again) })
	gone := img.Clone()
	gone.Status = image.Deleted
	save(t, db, gone)
	wantGarbage("file:///staging/1", "file:///staging/2", "file:///staging/3")
	err = db.Update(ctx, func(tx metadata.WriteTx) error { return tx.SaveStaged(again) })
	wantError(t, "SaveStaged for a deleted image", err, image.ErrNotFound)
}

func testContentSums(t *testing.T, db metadata.DB) {
	img, other := newImage(), newImage()
	create(t, db, img, other)
	wantSums := func(number int64, want ...image.ContentSum) {
		t.Helper()
		view(t, db, func(tx metadata.Tx) error {
			got, err := tx.ContentSums(number)
			if err == nil && !slices.Equal(got, want) {
				t.Errorf("ContentSums = %+v, want %+v", got, want)
			}
			return err
		})
	}
	wantSums(img.Number)
	received := image.ContentSum{Of: image.SumReceived, Algo: "sha512", Value: "ab", Size: 5}
	disk := image.ContentSum{Of: image.SumDisk, Algo: "sha256", Value: "cd", Size: 1 << 40}
	update(t, db, func(tx metadata.WriteTx) error {
		return errors.Join(tx.SaveContentSum(img.Number, received), tx.SaveContentSum(img.Number, disk), tx.SaveContentSum(other.Number, disk))
	})
	wantSums(img.Number, disk, received)
	received.Value = "ef"
	update(t, db, func(tx metadata.WriteTx) error { return tx.SaveContentSum(img.Number, received) })
	wantSums(img.Number, disk, received)
	gone := img.Clone()
	gone.Status = image.Deleted
	save(t, db, gone)
	wantSums(img.Number)
	wantSums(other.Number, disk)
	err := db.Update(ctx, func(tx metadata.WriteTx) error { return tx.SaveContentSum(img.Number, disk) })
	wantError(t, "SaveContentSum for a deleted image", err, image.ErrNotFound)
}

func wantUsage(t *testing.T, db metadata.DB, project string, want image.Usage) {
	t.Helper()
	view(t, db, func(tx metadata.Tx) error {
		got, err := tx.Usage(project)
		if err == nil && got != want {
			t.Errorf("Usage(%q) = %+v, want %+v", project, got, want)
		}
		return err
	})
}

func testUsage(t *testing.T, db metadata.DB) {
	wantUsage(t, db, "project-1", image.Usage{})
	img, saving := newImage(), queued() // the first has two copies of 3 bytes
	create(t, db, img, saving)
	wantUsage(t, db, "project-1", image.Usage{Images: 1, Bytes: 6})
	wantUsage(t, db, "", image.Usage{Images: 1})
	saving.Owner, saving.Status = "project-1", image.Saving
	save(t, db, saving)
	wantUsage(t, db, "", image.Usage{})
	wantUsage(t, db, "project-1", image.Usage{Images: 2, Bytes: 6, Uploading: 1})
	u := image.Upload{ID: "u", Number: saving.Number, ImageID: saving.ID, Store: "local", Object: "o", Instance: "i", Bytes: -1, Reserved: 10, Started: epoch}
	update(t, db, func(tx metadata.WriteTx) error { return tx.AddUpload(u) })
	wantUsage(t, db, "project-1", image.Usage{Images: 2, Bytes: 16, Uploading: 1})
	update(t, db, func(tx metadata.WriteTx) error { return tx.ReserveBytes("u", 100) })
	wantUsage(t, db, "project-1", image.Usage{Images: 2, Bytes: 106, Uploading: 1})
	err := db.Update(ctx, func(tx metadata.WriteTx) error { return tx.ReserveBytes("v", 1) })
	wantError(t, "ReserveBytes of no upload", err, image.ErrNotFound)
	update(t, db, func(tx metadata.WriteTx) error { return tx.RemoveUpload("u") })
	u.Store = image.StagingStore
	update(t, db, func(tx metadata.WriteTx) error { return tx.AddUpload(u) })
	wantUsage(t, db, "project-1", image.Usage{Images: 2, Bytes: 6, Uploading: 1, Staged: 10})
	update(t, db, func(tx metadata.WriteTx) error { return tx.RemoveUpload("u") })
	gone := img.Clone()
	gone.Status = image.Deleted
	save(t, db, gone)
	wantUsage(t, db, "project-1", image.Usage{Images: 1, Uploading: 1})
}
