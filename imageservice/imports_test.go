package imageservice_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/metadata"
)

func refuseBad(_ context.Context, url string) error {
	if strings.Contains(url, "bad") {
		return image.Errorf(image.ErrInvalid, "The URL is bad.")
	}
	return nil
}

// TestImportRefuses looks at everything in its order: what is wrong later does not matter when something is wrong before.
func TestImportRefuses(t *testing.T) {
	dir, db := t.TempDir(), openDB(t, t.TempDir())
	local, second := openFiles(t, "local", dir+"/1"), openFiles(t, "second", dir+"/2")
	staging := openFiles(t, imagestore.Staging, dir+"/3")
	svc := openWith(t, imageservice.Config{DB: db, Import: imageservice.ImportConfig{
		Methods:  []string{image.ImportStaged, image.ImportURL, image.ImportCopy},
		CheckURL: refuseBad, Formats: image.StoreFormats{"": "raw", "second": "qcow2"}}},
		imagestore.Entry{ID: "local", Store: local, Default: true}, imagestore.Entry{ID: "second", Store: second},
		imagestore.Entry{ID: "web", Store: struct{ imagestore.Store }{local}}, imagestore.Entry{ID: imagestore.Staging, Store: staging})
	s := session{svc.As(admin)}
	plain, bare, stored := queued(t, s).ID, image.NewID(), active(t, s, "stored", "data").ID
	if _, err := s.Create(t.Context(), bare, nil); err != nil {
		t.Fatal(err)
	}
	locked := queued(t, s).ID
	if err := s.Import(t.Context(), locked, image.Import{Method: image.ImportURL, URL: "http://good"}); err != nil {
		t.Fatal(err)
	}
	copying := active(t, s, "copying", "data").ID
	if err := s.Import(t.Context(), copying, image.Import{Method: image.ImportCopy, Stores: []string{"second"}}); err != nil {
		t.Fatal(err)
	}
	reader := svc.As(image.Caller{ProjectID: admin.ProjectID, Roles: []string{"reader"}})
	owner := svc.As(image.Caller{ProjectID: admin.ProjectID, Roles: []string{"member", "reader"}})
	foreign := svc.As(image.Caller{ProjectID: "p2", Roles: []string{"member", "reader"}})
	web := image.Import{Method: image.ImportURL, URL: "http://good"}
	with := func(imp image.Import, change func(*image.Import)) image.Import {
		change(&imp)
		return imp
	}
	for _, tt := range []struct {
		name string
		s    *imageservice.Session
		id   image.ID
		imp  image.Import
		want error
		text string
	}{
		{"a method that is off", s.Session, image.NewID(), image.Import{Method: image.ImportDownload}, image.ErrInvalid, "Unknown import method"},
		{"an image that is not there", s.Session, image.NewID(), web, image.ErrNotFound, ""},
		{"an image of somebody else", foreign, plain, web, image.ErrNotFound, ""},
		{"the status, for who may not", reader, stored, web, image.ErrConflict, "must be queued"},
		{"nothing staged", s.Session, plain, image.Import{Method: image.ImportStaged}, image.ErrConflict, "must be uploading"},
		{"nothing to copy", s.Session, plain, image.Import{Method: image.ImportCopy}, image.ErrConflict, "must be active"},
		{"no formats, for who may not", reader, bare, web, image.ErrConflict, "container_format"},
		{"a reader, with a bad URL and store", reader, plain, image.Import{Method: image.ImportURL, URL: "bad", Stores: []string{"none"}}, image.ErrForbidden, ""},
		{"the owner, who may not copy", owner, stored, image.Import{Method: image.ImportCopy}, image.ErrForbidden, ""},
		{"an import under way", s.Session, locked, web, image.ErrConflict, "must be queued"},
		{"a copy under way, to no store", s.Session, copying, image.Import{Method: image.ImportCopy, Stores: []string{"none"}}, image.ErrConflict, "under way"},
		{"header and stores", s.Session, plain, with(web, func(i *image.Import) { i.Store = "none"; i.Stores = []string{"local"} }), image.ErrInvalid, "can't be both"},
		{"all and stores", s.Session, plain, with(web, func(i *image.Import) { i.AllStores = true; i.Stores = []string{"none"} }), image.ErrInvalid, "All_stores"},
		{"all and header", s.Session, plain, with(web, func(i *image.Import) { i.AllStores = true; i.Store = "none" }), image.ErrInvalid, "All_stores"},
		{"an unknown store", s.Session, plain, with(web, func(i *image.Import) { i.Store = "none" }), image.ErrConflict, "no store"},
		{"the staging area", s.Session, plain, with(web, func(i *image.Import) { i.Store = imagestore.Staging }), image.ErrConflict, "no store"},
		{"a store that only reads", s.Session, plain, with(web, func(i *image.Import) { i.Stores = []string{"web"} }), image.ErrInvalid, "takes no new data"},
		{"a store that has it", s.Session, stored, image.Import{Method: image.ImportCopy}, image.ErrInvalid, "already present"},
		{"stores with formats of their own, and a bad URL", s.Session, plain, image.Import{Method: image.ImportURL, URL: "bad", AllStores: true}, image.ErrInvalid,
			`Store "local" takes disks as raw and store "second" as qcow2`},
		{"a bad URL", s.Session, plain, image.Import{Method: image.ImportURL, URL: "bad"}, image.ErrInvalid, "The URL is bad."},
	} {
		err := tt.s.Import(t.Context(), tt.id, tt.imp)
		if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%s: Import = %v, want %v: %s", tt.name, err, tt.want, tt.text)
		}
	}
	checkStatus(t, s, plain, image.Queued)
	checkStatus(t, s, locked, image.Importing)
}

// TestImportOfOneStore has nothing to be lenient about.
func TestImportOfOneStore(t *testing.T) {
	svc := openWith(t, imageservice.Config{DB: openDB(t, t.TempDir()), Import: imageservice.ImportConfig{Methods: []string{image.ImportURL}, CheckURL: anyURL}},
		imagestore.Entry{ID: "local", Store: openFiles(t, "local", t.TempDir()), Default: true},
		imagestore.Entry{ID: imagestore.Staging, Store: openFiles(t, imagestore.Staging, t.TempDir())})
	s := session{svc.As(admin)}
	err := s.Import(t.Context(), queued(t, s).ID, image.Import{Method: image.ImportURL, URL: "http://good", AllowFailure: true})
	if !errors.Is(err, image.ErrInvalid) {
		t.Errorf("Import = %v, want %v", err, image.ErrInvalid)
	}
	err = s.Import(t.Context(), queued(t, s).ID, image.Import{Method: image.ImportURL, URL: "http://good", Store: "local", Stores: []string{"local"}})
	if err != nil {
		t.Errorf("Import with the store in header and body: %v", err)
	}
}

// beforeTask is a database that calls a function before its next Update.
type beforeTask struct {
	metadata.DB
	call func()
}

func (db *beforeTask) Update(ctx context.Context, fn func(metadata.WriteTx) error) error {
	if call := db.call; call != nil {
		db.call = nil
		call()
	}
	return db.DB.Update(ctx, fn)
}

// TestDeletedWhileTaken deletes the image of a task that is just being taken up: that is no error, and the next task need not wait.
func TestDeletedWhileTaken(t *testing.T) {
	dir := t.TempDir()
	db := &beforeTask{DB: openDB(t, dir)}
	svc := openImports(t, db, dir, nil)
	s := session{svc.As(admin)}
	var ids []image.ID
	for range 2 {
		ids = append(ids, queued(t, s).ID)
		if err := s.Import(t.Context(), ids[len(ids)-1], image.Import{Method: image.ImportURL, URL: "http://good"}); err != nil {
			t.Fatal(err)
		}
	}
	db.call = func() {
		if err := s.Delete(t.Context(), ids[0]); err != nil {
			t.Error(err)
		}
	}
	var reached bool
	for i := 0; i < 3 && !reached; i++ { // the cancelled one, that again to end it, the other one
		ran, err := svc.RunTask(t.Context(), func(ctx context.Context, task *image.Task) error {
			reached = task.ImageID == ids[1]
			return svc.EndImport(ctx, task, &image.ImportPlan{}, true, "gone")
		})
		if !ran || err != nil {
			t.Fatalf("RunTask = %v, %v", ran, err)
		}
	}
	if !reached {
		t.Error("the task behind the cancelled one was not reached")
	}
}

// TestStealing takes the place of a copy that has stood still for too long; who worked on it does nothing more.
func TestStealing(t *testing.T) {
	var ahead time.Duration
	db, dir := openDB(t, t.TempDir()), t.TempDir()
	svc := openWith(t, imageservice.Config{DB: db, Import: imageservice.ImportConfig{Methods: []string{image.ImportCopy}},
		Now: func() time.Time { return time.Now().Add(ahead) }},
		imagestore.Entry{ID: "local", Store: openFiles(t, "local", dir+"/1"), Default: true},
		imagestore.Entry{ID: "second", Store: openFiles(t, "second", dir+"/2")},
		imagestore.Entry{ID: imagestore.Staging, Store: openFiles(t, imagestore.Staging, dir+"/3")})
	s := session{svc.As(admin)}
	id := active(t, s, "disk", "data").ID
	again := image.Import{Method: image.ImportCopy, Stores: []string{"second"}}
	if err := s.Import(t.Context(), id, again); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		at   time.Duration
		want error
	}{{time.Hour + time.Minute, image.ErrConflict}, {2*time.Hour + time.Minute, nil}, {3 * time.Hour, image.ErrConflict}} {
		ahead = tt.at
		if err := s.Import(t.Context(), id, again); !errors.Is(err, tt.want) {
			t.Errorf("after %v: Import = %v, want %v", tt.at, err, tt.want)
		}
	}
	ran, err := svc.RunTask(t.Context(), func(ctx context.Context, task *image.Task) error {
		ahead += time.Hour + time.Minute // which has no progress
		if err := s.Import(t.Context(), id, again); err != nil {
			t.Error(err)
		}
		if ctx.Err() == nil {
			t.Error("the work on a stolen task goes on")
		}
		plan, err := task.Plan()
		if err != nil {
			return err
		}
		if err := svc.EndImport(t.Context(), task, plan, true, "late"); err == nil {
			t.Error("a stolen task is ended by who had it")
		}
		if err := svc.Progress(t.Context(), task, "late"); err == nil {
			t.Error("a stolen task has progress")
		}
		return ctx.Err()
	})
	if !ran || err != nil {
		t.Errorf("RunTask = %v, %v", ran, err)
	}
	err = db.View(t.Context(), func(tx metadata.Tx) error {
		tasks, err := tx.ImageTasks(id)
		if err == nil && (len(tasks) != 3 || tasks[0].Status != image.TaskPending || tasks[1].Status != image.TaskFailure ||
			!strings.Contains(tasks[1].Message, "took its place") || tasks[2].Status != image.TaskFailure) {
			t.Errorf("the tasks are %+v", tasks)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestBookkeepingCountsNot lets an image have as many properties as it may, beside those of its import.
func TestBookkeepingCountsNot(t *testing.T) {
	db := openDB(t, t.TempDir())
	svc := openImports(t, db, t.TempDir(), nil)
	s := session{svc.As(admin)}
	img := queued(t, s)
	if err := s.Stage(t.Context(), img.ID, bytes.NewReader(nil), 0); err != nil {
		t.Fatal(err)
	}
	if err := s.Import(t.Context(), img.ID, image.Import{Method: image.ImportStaged}); err != nil {
		t.Fatal(err)
	}
	var edits []image.Edit
	for i := range imageservice.DefaultLimits.Properties {
		edits = append(edits, image.Edit{Op: image.EditAdd, Name: strings.Repeat("p", i+1), Value: "v"})
	}
	if _, err := s.Edit(t.Context(), img.ID, edits); err != nil {
		t.Error(err)
	}
	_, err := s.Edit(t.Context(), img.ID, []image.Edit{{Op: image.EditAdd, Name: "one_more", Value: "v"}})
	if !errors.Is(err, image.ErrTooLarge) {
		t.Errorf("one more: %v, want %v", err, image.ErrTooLarge)
	}
	_, err = s.Edit(t.Context(), img.ID, []image.Edit{{Op: image.EditRemove, Name: image.PropertyImportTask}})
	if !errors.Is(err, image.ErrForbidden) {
		t.Errorf("removing the lock: %v, want %v", err, image.ErrForbidden)
	}
}
