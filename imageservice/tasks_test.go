package imageservice_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/api"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
	"github.com/vitrine-image/vitrine/imageservice/servicetest"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/metadata"
)

// tasks are the verbs of tasks that a client has, too.
type tasks interface {
	TaskPage(ctx context.Context, q image.TaskQuery) ([]*image.Task, bool, error)
	Task(ctx context.Context, id image.ID) (*image.Task, error)
	ImageTasks(ctx context.Context, id image.ID) ([]*image.Task, error)
}

func (s session) TaskPage(ctx context.Context, q image.TaskQuery) ([]*image.Task, bool, error) {
	page, err := s.Tasks(ctx, q)
	return page, len(page) > 0 && len(page) == q.Limit, err
}

// onBothWays runs a test on the service itself, and through client and API.
func onBothWays(t *testing.T, test func(t *testing.T, db metadata.DB, as func(image.Caller) tasks, svc *imageservice.Service)) {
	for way, through := range map[string]func(t *testing.T, svc *imageservice.Service) func(image.Caller) tasks{
		"service": func(t *testing.T, svc *imageservice.Service) func(image.Caller) tasks {
			return func(c image.Caller) tasks { return session{svc.As(c)} }
		},
		"HTTP": func(t *testing.T, svc *imageservice.Service) func(image.Caller) tasks {
			as := serve(t, svc, api.Config{})
			return func(c image.Caller) tasks { return as(c) }
		},
	} {
		t.Run(way, func(t *testing.T) {
			dir := t.TempDir()
			db := openDB(t, dir)
			svc := openOn(t, db, dir, nil, false)
			test(t, db, through(t, svc), svc)
		})
	}
}

// saveTask stores a task of Owner as an importer would, so many minutes after the others.
func saveTask(t *testing.T, db metadata.DB, minute int, about image.ID, status image.TaskStatus, change func(*image.Task)) *image.Task {
	t.Helper()
	at := time.Date(2026, 1, 2, 3, minute, 0, 0, time.UTC)
	task := &image.Task{ID: image.NewID(), Type: image.TaskImageImport, Status: status, Owner: servicetest.Owner.ProjectID, UserID: "u",
		RequestID: "req-1", ImageID: about, Input: json.RawMessage(`{"image_id":"x"}`), Message: "Copied 3 MiB", CreatedAt: at, UpdatedAt: at}
	if status.Ended() {
		expires := at.Add(48 * time.Hour)
		task.ExpiresAt, task.Result = &expires, json.RawMessage(`{"image_id":"x"}`)
	}
	if change != nil {
		change(task)
	}
	if err := db.Update(t.Context(), func(tx metadata.WriteTx) error { return tx.SaveTask(task) }); err != nil {
		t.Fatal(err)
	}
	return task
}

func ids(tasks []*image.Task) []image.ID {
	var list []image.ID
	for _, t := range tasks {
		list = append(list, t.ID)
	}
	return list
}

func TestTasks(t *testing.T) {
	onBothWays(t, func(t *testing.T, db metadata.DB, as func(image.Caller) tasks, svc *imageservice.Service) {
		a := saveTask(t, db, 1, "", image.TaskSuccess, nil)
		b := saveTask(t, db, 2, image.NewID(), image.TaskFailure, func(t *image.Task) { t.Type, t.Owner = image.TaskImport, "other" })
		c := saveTask(t, db, 3, "", image.TaskPending, nil)
		for _, tt := range []struct {
			q    image.TaskQuery
			want []image.ID
			more bool
		}{
			{image.TaskQuery{Limit: 5}, []image.ID{c.ID, b.ID, a.ID}, false},
			{image.TaskQuery{Limit: 2}, []image.ID{c.ID, b.ID}, true},
			{image.TaskQuery{Limit: 2, Marker: b.ID}, []image.ID{a.ID}, false},
			{image.TaskQuery{Limit: 5, Asc: true}, []image.ID{a.ID, b.ID, c.ID}, false},
			{image.TaskQuery{Limit: 5, Sort: "status"}, []image.ID{a.ID, c.ID, b.ID}, false},
			{image.TaskQuery{Limit: 5, Status: image.TaskPending}, []image.ID{c.ID}, false},
			{image.TaskQuery{Limit: 5, Type: image.TaskImport}, []image.ID{b.ID}, false},
		} {
			page, more, err := as(servicetest.Admin).TaskPage(t.Context(), tt.q)
			if !slices.Equal(ids(page), tt.want) || more != tt.more || err != nil {
				t.Errorf("%+v: %q, %v, %v, want %q, %v", tt.q, ids(page), more, err, tt.want, tt.more)
			}
		}
		for _, task := range []*image.Task{a, b, c} {
			if got, err := as(servicetest.Admin).Task(t.Context(), task.ID); err != nil || !reflect.DeepEqual(got, task) {
				t.Errorf("Task = %+v, %v, want %+v", got, err, task)
			}
			if _, err := as(servicetest.Owner).Task(t.Context(), task.ID); !errors.Is(err, image.ErrForbidden) {
				t.Errorf("Task for who is no admin = %v", err)
			}
		}
		if _, err := as(servicetest.Admin).Task(t.Context(), image.NewID()); !errors.Is(err, image.ErrNotFound) {
			t.Errorf("Task of no one = %v", err)
		}
		if _, _, err := as(servicetest.Owner).TaskPage(t.Context(), image.TaskQuery{Limit: 1}); !errors.Is(err, image.ErrForbidden) {
			t.Errorf("Tasks for who is no admin = %v", err)
		}
		if _, _, err := as(servicetest.Admin).TaskPage(t.Context(), image.TaskQuery{Limit: 1, Marker: image.NewID()}); !errors.Is(err, image.ErrInvalid) {
			t.Errorf("an unknown marker = %v", err)
		}
	})
}

func TestImageTasks(t *testing.T) {
	onBothWays(t, func(t *testing.T, db metadata.DB, as func(image.Caller) tasks, svc *imageservice.Service) {
		owner := session{svc.As(servicetest.Owner)}
		id := active(t, owner, "disk", "data").ID
		if _, err := owner.AddMember(t.Context(), id, servicetest.Member.ProjectID); err != nil {
			t.Fatal(err)
		}
		first := saveTask(t, db, 1, id, image.TaskFailure, nil)
		second := saveTask(t, db, 2, id, image.TaskProcessing, nil)
		saveTask(t, db, 3, image.NewID(), image.TaskPending, nil)
		all := []image.ID{second.ID, first.ID}
		for _, visibility := range []image.Visibility{image.Shared, image.Community, image.Public} {
			if err := patch("visibility", string(visibility))(t.Context(), svc.As(servicetest.Admin), id); err != nil {
				t.Fatal(err)
			}
			for _, tt := range []struct {
				caller image.Caller
				want   []image.ID
				err    error
			}{
				{servicetest.Admin, all, nil},
				{servicetest.Owner, all, nil},
				{servicetest.Member, all, nil},
				{servicetest.Other, nil, image.ErrNotFound},
			} {
				if visibility != image.Shared && tt.caller.ProjectID != servicetest.Owner.ProjectID && !tt.caller.IsAdmin() {
					tt.want, tt.err = nil, nil // they see the image, and nothing of how it came to be
				}
				got, err := as(tt.caller).ImageTasks(t.Context(), id)
				if !slices.Equal(ids(got), tt.want) || !errors.Is(err, tt.err) {
					t.Errorf("%s sees tasks of the %s image: %q, %v, want %q, %v", tt.caller.ProjectID, visibility, ids(got), err, tt.want, tt.err)
				}
			}
		}
		got, err := as(servicetest.Owner).ImageTasks(t.Context(), id)
		if err != nil || len(got) != 2 || !reflect.DeepEqual(got[0], second) {
			t.Errorf("ImageTasks = %+v, %v, want first %+v", got, err, second)
		}
		if _, err := as(servicetest.Owner).ImageTasks(t.Context(), image.NewID()); !errors.Is(err, image.ErrNotFound) {
			t.Errorf("tasks of no image: %v", err)
		}
	})
}

// TestTasksOfTheirProject lets an operator's rule open the tasks API to everybody, who then see what is theirs.
func TestTasksOfTheirProject(t *testing.T) {
	dir := t.TempDir()
	db := openDB(t, dir)
	svc := openWith(t, imageservice.Config{DB: db, Policy: rules(t, "tasks_api_access: ''\n")},
		imagestore.Entry{ID: "local", Store: openFiles(t, "local", filepath.Join(dir, "images")), Default: true})
	mine, theirs := saveTask(t, db, 1, "", image.TaskPending, nil), saveTask(t, db, 2, "", image.TaskPending, func(t *image.Task) { t.Owner = "other" })
	owner := svc.As(servicetest.Owner)
	if page, err := owner.Tasks(t.Context(), image.TaskQuery{Limit: 5, Owner: "other"}); err != nil || !slices.Equal(ids(page), []image.ID{mine.ID}) {
		t.Errorf("Tasks = %q, %v", ids(page), err)
	}
	if _, err := owner.Task(t.Context(), mine.ID); err != nil {
		t.Errorf("his own task: %v", err)
	}
	if _, err := owner.Task(t.Context(), theirs.ID); !errors.Is(err, image.ErrNotFound) {
		t.Errorf("another's task: %v", err)
	}
	if page, err := svc.As(image.Caller{Anonymous: true}).Tasks(t.Context(), image.TaskQuery{Limit: 5}); len(page) > 0 {
		t.Errorf("tasks of nobody in particular: %q, %v", ids(page), err)
	}
}

// TestCreateTask makes images whose data is to come from a URL, or says why not.
func TestCreateTask(t *testing.T) {
	dir, db := t.TempDir(), openDB(t, t.TempDir())
	stores := []imagestore.Entry{{ID: "local", Store: openFiles(t, "local", dir+"/1"), Default: true},
		{ID: imagestore.Staging, Store: openFiles(t, imagestore.Staging, dir+"/2")}}
	svc := openWith(t, imageservice.Config{DB: db, Import: imageservice.ImportConfig{Methods: []string{image.ImportURL}, CheckURL: refuseBad}}, stores...)
	over := serve(t, svc, api.Config{})
	type creator interface {
		CreateTask(ctx context.Context, kind image.TaskType, input map[string]any) (*image.Task, error)
		Get(ctx context.Context, id image.ID) (*image.Image, error)
	}
	for way, as := range map[string]func(image.Caller) creator{
		"service": func(c image.Caller) creator { return svc.As(c) },
		"HTTP":    func(c image.Caller) creator { return over(c) },
	} {
		t.Run(way, func(t *testing.T) {
			id := image.NewID()
			properties := map[string]any{"id": string(id), "name": "debian", "min_disk": json.Number("5"), "os_distro": "debian", "tags": []any{"lts"}}
			input := map[string]any{"import_from": "http://good", "import_from_format": "qcow2", "image_properties": properties}
			task, err := as(servicetest.Admin).CreateTask(t.Context(), image.TaskImport, input)
			if err != nil {
				t.Fatal(err)
			}
			var told struct {
				From string `json:"import_from"`
			}
			if err := json.Unmarshal(task.Input, &told); err != nil || told.From != "http://good" || task.Type != image.TaskImport ||
				task.Status != image.TaskPending || task.ImageID != id || task.Owner != servicetest.Admin.ProjectID || task.ExpiresAt != nil || task.Result != nil {
				t.Errorf("the task is %+v, %v", task, err)
			}
			img, err := as(servicetest.Admin).Get(t.Context(), id)
			if err != nil || img.Status != image.Importing || *img.Name != "debian" || img.DiskFormat != "qcow2" || img.ContainerFormat != "bare" ||
				img.MinDisk != 5 || img.Properties["os_distro"] != "debian" || !slices.Equal(img.Tags, []string{"lts"}) ||
				img.Properties[image.PropertyImportTask] != string(task.ID) || img.Properties[image.PropertyImporting] != "local" {
				t.Errorf("the image is %+v, %v", img, err)
			}
			with := func(name string, value any) map[string]any {
				changed := maps.Clone(input)
				changed["image_properties"] = map[string]any{"name": "debian"}
				if changed[name] = value; value == nil {
					delete(changed, name)
				}
				return changed
			}
			for _, tt := range []struct {
				name   string
				caller image.Caller
				kind   image.TaskType
				input  map[string]any
				want   error
				text   string
			}{
				{"who may not", servicetest.Owner, "clean", map[string]any{}, image.ErrForbidden, ""},
				{"another type", servicetest.Admin, image.TaskLocationImport, input, image.ErrInvalid, `must be "import"`},
				{"no URL", servicetest.Admin, image.TaskImport, with("import_from", nil), image.ErrInvalid, "'import_from' field"},
				{"no format", servicetest.Admin, image.TaskImport, with("import_from_format", nil), image.ErrInvalid, "'import_from_format' field"},
				{"no properties", servicetest.Admin, image.TaskImport, with("image_properties", nil), image.ErrInvalid, "'image_properties' field"},
				{"a list of properties", servicetest.Admin, image.TaskImport, with("image_properties", []any{}), image.ErrInvalid, "an object"},
				{"a number as URL", servicetest.Admin, image.TaskImport, with("import_from", 5), image.ErrInvalid, "must be strings"},
				{"a URL that is refused", servicetest.Admin, image.TaskImport, with("import_from", "http://bad"), image.ErrInvalid, "The URL is bad."},
				{"an unknown format", servicetest.Admin, image.TaskImport, with("import_from_format", "doc"), image.ErrInvalid, "disk_format"},
				{"two formats", servicetest.Admin, image.TaskImport, with("image_properties", map[string]any{"disk_format": "raw"}), image.ErrInvalid, "said to be qcow2, and the image raw"},
				{"a wrong id", servicetest.Admin, image.TaskImport, with("image_properties", map[string]any{"id": 5}), image.ErrInvalid, "UUID"},
				{"an id that exists", servicetest.Admin, image.TaskImport, input, image.ErrConflict, ""},
				{"what the server sets", servicetest.Admin, image.TaskImport, with("image_properties", map[string]any{"status": "active"}), image.ErrForbidden, ""},
				{"a property that is no text", servicetest.Admin, image.TaskImport, with("image_properties", map[string]any{"os_distro": []any{}}), image.ErrInvalid, ""},
			} {
				task, err := as(tt.caller).CreateTask(t.Context(), tt.kind, tt.input)
				if !errors.Is(err, tt.want) || task != nil || !strings.Contains(err.Error(), tt.text) {
					t.Errorf("%s: %+v, %v, want %v with %q", tt.name, task, err, tt.want, tt.text)
				}
			}
		})
	}
	without := openWith(t, imageservice.Config{DB: db, Import: imageservice.ImportConfig{Methods: []string{image.ImportStaged}}}, stores...)
	input := map[string]any{"import_from": "http://good", "import_from_format": "raw", "image_properties": map[string]any{}}
	if _, err := without.As(servicetest.Admin).CreateTask(t.Context(), image.TaskImport, input); !errors.Is(err, image.ErrInvalid) {
		t.Errorf("where no URLs are fetched: %v", err)
	}
}

func TestDropTasks(t *testing.T) {
	dir := t.TempDir()
	db := openDB(t, dir)
	svc := openOn(t, db, dir, nil, false)
	ended, open := saveTask(t, db, 1, "", image.TaskSuccess, func(t *image.Task) { *t.ExpiresAt = time.Now().Add(-time.Minute) }), saveTask(t, db, 2, "", image.TaskPending, nil)
	kept := saveTask(t, db, 3, "", image.TaskFailure, func(t *image.Task) { *t.ExpiresAt = time.Now().Add(time.Hour) })
	if err := svc.DropTasks(t.Context()); err != nil {
		t.Fatal(err)
	}
	page, err := svc.As(servicetest.Admin).Tasks(t.Context(), image.TaskQuery{Limit: 5})
	if err != nil || !slices.Equal(ids(page), []image.ID{kept.ID, open.ID}) {
		t.Errorf("after dropping %s: %q, %v", ended.ID, ids(page), err)
	}
}
