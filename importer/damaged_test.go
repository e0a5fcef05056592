package importer

import (
	"encoding/json"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadata"
)

// TestATaskThatCannotBeRead is ended, and keeps nobody from what comes after it. Tasks of other kinds are left alone.
func TestATaskThatCannotBeRead(t *testing.T) {
	l := start(t)
	ids := []image.ID{l.create(), l.create()}
	for _, id := range ids {
		if err := l.Stage(t.Context(), id, upload(data)); err != nil {
			t.Fatal(err)
		}
		if err := l.Import(t.Context(), id, image.Import{Method: image.ImportStaged}); err != nil {
			t.Fatal(err)
		}
	}
	other := &image.Task{ID: image.NewID(), Type: "of a later release", Status: image.TaskPending, Input: json.RawMessage("{}")}
	err := l.db.Update(t.Context(), func(tx metadata.WriteTx) error {
		tasks, err := tx.ImageTasks(ids[0])
		if err != nil {
			return err
		}
		tasks[0].State = json.RawMessage(`[]`)
		if err := tx.SaveTask(tasks[0]); err != nil {
			return err
		}
		return tx.SaveTask(other)
	})
	if err != nil {
		t.Fatal(err)
	}
	l.work()
	for i, want := range []image.Status{image.Queued, image.Active} {
		if img, err := l.Get(t.Context(), ids[i]); err != nil || img.Status != want {
			t.Errorf("image %d is %+v, %v, want it %s", i, img, err, want)
		}
	}
	err = l.db.View(t.Context(), func(tx metadata.Tx) error {
		open, err := tx.OpenTasks()
		if len(open) != 1 || open[0].ID != other.ID || open[0].Instance != "" {
			t.Errorf("the open tasks are %+v", open)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
