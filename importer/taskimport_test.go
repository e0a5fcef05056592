package importer

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadata/faultdb"
)

func importInput(url string, id image.ID) map[string]any {
	return map[string]any{"import_from": url, "import_from_format": "raw",
		"image_properties": map[string]any{"id": string(id), "name": "debian", "protected": true}}
}

// TestTaskThatMakesAnImage leaves an image with its data, or none.
func TestTaskThatMakesAnImage(t *testing.T) {
	url := web(t)
	for path, message := range map[string]string{"/data": "", "/missing": "404", "/qcow2": "cannot be stored as raw"} {
		t.Run(path[1:], func(t *testing.T) {
			l, id := start(t), image.NewID()
			made, err := l.CreateTask(t.Context(), image.TaskImport, importInput(url+path, id))
			if err != nil {
				t.Fatal(err)
			}
			l.work()
			task, err := l.Task(t.Context(), made.ID)
			if err != nil || task.ExpiresAt == nil || !strings.Contains(task.Message, message) {
				t.Fatalf("the task is %+v, %v", task, err)
			}
			if message == "" {
				l.check(id, want{status: image.Active, stores: "first", task: image.TaskSuccess, data: data})
				var result struct {
					ID image.ID `json:"image_id"`
				}
				if err := json.Unmarshal(task.Result, &result); err != nil || result.ID != id {
					t.Errorf("the result is %s, %v", task.Result, err)
				}
				return
			}
			if _, err := l.Get(t.Context(), id); !errors.Is(err, image.ErrNotFound) || task.Status != image.TaskFailure || task.Result != nil {
				t.Errorf("the image: %v; the task: %+v", err, task)
			}
			l.checkNothingLeft(0)
			l.checkUsage(image.Usage{})
		})
	}
}

// TestFaultsOfATaskThatMakesAnImage ends the process at every step of the database; the next one goes on.
func TestFaultsOfATaskThatMakesAnImage(t *testing.T) {
	url := web(t)
	for _, after := range []bool{false, true} {
		for n := 1; ; n++ {
			db, dir, id := &faultdb.DB{DB: openDB(t), Nth: n, After: after}, t.TempDir(), image.NewID()
			l := newLab(t, db, dir, nil)
			_, err := l.CreateTask(t.Context(), image.TaskImport, importInput(url+"/data", id))
			accepted := err == nil
			l.svc.RunTask(t.Context(), l.imp.run) // what fails here is the next one's
			next := newLab(t, db.DB, dir, nil)
			next.takeOver()
			img, err := next.Get(t.Context(), id)
			if err == nil {
				next.checkData(img, data)
				next.checkNothingLeft(1)
			} else if next.checkNothingLeft(0); accepted || !errors.Is(err, image.ErrNotFound) {
				t.Error(err)
			}
			if t.Failed() {
				t.Fatalf("update %d fails, after its effect: %v", n, after)
			}
			if !db.Fired {
				break
			}
		}
	}
}
