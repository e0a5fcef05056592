package importer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/imagestore/faultstore"
	"github.com/vitrine-image/vitrine/imagestore/filestore"
	"github.com/vitrine-image/vitrine/imagestore/httpstore"
	"github.com/vitrine-image/vitrine/imagestore/storetest"
	"github.com/vitrine-image/vitrine/ingest"
	"github.com/vitrine-image/vitrine/internal/outbound"
	"github.com/vitrine-image/vitrine/internal/qemuimg"
	"github.com/vitrine-image/vitrine/internal/signature/signaturetest"
	"github.com/vitrine-image/vitrine/metadata"
	"github.com/vitrine-image/vitrine/metadata/faultdb"
	"github.com/vitrine-image/vitrine/metadata/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A lab is a service with two stores and a staging area, and an importer that works when it is told to.
type lab struct {
	t   *testing.T
	dir string
	db  metadata.DB
	svc *imageservice.Service
	*imageservice.Session
	imp   *Importer
	quota *quota
}

// A quota is that of every project.
type quota struct{ now imageservice.Quota }

func (q *quota) Quota(context.Context, string) (imageservice.Quota, error) { return q.now, nil }

type wrapper func(store string, w imagestore.Writer) imagestore.Writer

// newLab returns a lab in a directory; wrap changes each store, unless nil.
func newLab(t *testing.T, db metadata.DB, dir string, wrap wrapper) *lab {
	t.Helper()
	var entries []imagestore.Entry
	for _, id := range []string{"first", "second", imagestore.Staging} {
		store, err := filestore.Open(filestore.Config{ID: id, Dirs: []filestore.Dir{{Path: filepath.Join(dir, id)}}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { store.Close() })
		var w imagestore.Writer = store
		if wrap != nil {
			w = wrap(id, w)
		}
		_, shared := w.(*storetest.Pool)
		entries = append(entries, imagestore.Entry{ID: id, Store: w, Default: id == "first", Local: !shared})
	}
	in, err := ingest.New(ingest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	policy, err := outbound.NewPolicy(outbound.PolicyConfig{AllowedPorts: []int{}, AllowNetworks: []string{"127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	outgoing, err := outbound.New(outbound.Config{Policy: policy})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(outgoing.Close)
	web, err := httpstore.Open(httpstore.Config{ID: "web", Client: outgoing})
	if err != nil {
		t.Fatal(err)
	}
	stores, err := imagestore.NewSet(append(entries, imagestore.Entry{ID: "web", Store: web})...)
	if err != nil {
		t.Fatal(err)
	}
	converter, err := qemuimg.New(qemuimg.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	limits := &quota{imageservice.NoQuota}
	svc, err := imageservice.New(imageservice.Config{DB: db, Stores: stores, Ingest: in, Instance: string(image.NewID()), Quotas: limits, Converter: converter,
		Formats:    image.Formats{Disk: append([]string{"gpt", "luks", "qed", "bochs", "cloop"}, image.DiskFormats...)},
		Signatures: signaturetest.Verifier(t, signaturetest.Default()),
		Import:     imageservice.ImportConfig{Methods: image.ImportMethods(), CheckURL: outgoing.Check, FindRegion: findOther},
		Locations:  imageservice.LocationConfig{Edit: true, Verify: true}})
	if err != nil {
		t.Fatal(err)
	}
	imp, err := New(Config{Images: svc, Outgoing: outgoing, MaxSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	_ = svc.Beat(t.Context()) // a database that fails takes up nothing
	return &lab{t: t, dir: dir, db: db, svc: svc, Session: svc.As(image.Caller{ProjectID: "p", Roles: []string{"admin"}}), imp: imp, quota: limits}
}

func openDB(t *testing.T) metadata.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "vitrine.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func start(t *testing.T) *lab { return newLab(t, openDB(t), t.TempDir(), nil) }

// create makes a queued raw image.
func (l *lab) create() image.ID { return l.createAs("raw", "bare") }

// createAs makes a queued image with formats.
func (l *lab) createAs(disk, container string) image.ID {
	l.t.Helper()
	img, err := l.Create(l.t.Context(), "", []image.Edit{{Op: image.EditAdd, Name: "disk_format", Value: disk},
		{Op: image.EditAdd, Name: "container_format", Value: container}})
	if err != nil {
		l.t.Fatal(err)
	}
	return img.ID
}

func upload(data []byte) imageservice.Upload {
	return imageservice.Upload{Body: bytes.NewReader(data), ContentLength: int64(len(data)), ExpectedSize: -1}
}

// work carries out what there is to do.
func (l *lab) work() {
	l.t.Helper()
	for range 10 {
		ran, err := l.svc.RunTask(l.t.Context(), l.imp.run)
		if err != nil {
			l.t.Errorf("RunTask: %v", err)
		}
		if !ran {
			return
		}
	}
	l.t.Error("there is work without an end")
}

// do asks for an import and carries it out.
func (l *lab) do(id image.ID, imp image.Import) {
	l.t.Helper()
	if err := l.Import(l.t.Context(), id, imp); err != nil {
		l.t.Fatal(err)
	}
	l.work()
}

// A want is what an import should have come to.
type want struct {
	status  image.Status
	stores  string // with commas
	failed  string
	task    image.TaskStatus
	message string // part of it
	data    []byte // of an active image
}

func (l *lab) check(id image.ID, w want) {
	l.t.Helper()
	img, err := l.Get(l.t.Context(), id)
	if err != nil {
		l.t.Fatal(err)
	}
	var stores []string
	for _, loc := range img.Locations {
		stores = append(stores, loc.Store)
	}
	if img.Status != w.status || strings.Join(stores, ",") != w.stores {
		l.t.Errorf("the image is %s in stores %q, want %s in %q", img.Status, stores, w.status, w.stores)
	}
	importing, there := img.Properties[image.PropertyImporting]
	if importing != "" || !there || img.Properties[image.PropertyFailedImport] != w.failed {
		l.t.Errorf("the image tells %q, want that %q failed", img.Properties, w.failed)
	}
	if task, locked := img.Properties[image.PropertyImportTask]; locked {
		l.t.Errorf("task %s still has the image", task)
	}
	if w.status == image.Queued && (img.Size != nil || img.Checksum != "" || img.HashValue != "") {
		l.t.Errorf("a queued image has size or sums: %+v", img)
	}
	if w.status == image.Active {
		l.checkData(img, w.data)
	}
	err = l.db.View(l.t.Context(), func(tx metadata.Tx) error {
		tasks, err := tx.ImageTasks(id)
		if err == nil && (len(tasks) == 0 || tasks[0].Status != w.task || !strings.Contains(tasks[0].Message, w.message) ||
			tasks[0].ExpiresAt == nil) {
			l.t.Errorf("the task is %s: %s, want %s: %s", tasks[0].Status, tasks[0].Message, w.task, w.message)
		}
		return err
	})
	if err != nil {
		l.t.Error(err)
	}
	l.checkNothingLeft(len(img.Locations))
}

func (l *lab) checkData(img *image.Image, data []byte) {
	l.t.Helper()
	for _, loc := range img.Locations {
		got, err := l.Open(l.t.Context(), img.ID, imageservice.OpenOptions{Prefer: []string{loc.Store}})
		if err != nil {
			l.t.Error(err)
			continue
		}
		p := make([]byte, got.Reader.Size())
		if _, err := got.Reader.ReadAt(l.t.Context(), p, 0); err != nil && err != io.EOF || !bytes.Equal(p, data) {
			l.t.Errorf("store %s has %d bytes, %v, want %d", loc.Store, len(p), err, len(data))
		}
		got.Reader.Close()
	}
	if img.Size == nil || *img.Size != int64(len(data)) || img.Checksum == "" || img.HashValue == "" {
		l.t.Errorf("size and sums are wrong: %+v", img)
	}
}

// checkNothingLeft wants so many files in all stores, nothing staged, no reservation and no garbage.
func (l *lab) checkNothingLeft(files int) {
	l.t.Helper()
	err := filepath.WalkDir(l.dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && !strings.HasPrefix(e.Name(), ".vitrine") {
			files--
		}
		return err
	})
	if err != nil || files != 0 {
		l.t.Errorf("%d files are missing in the stores, %v", files, err)
	}
	err = l.db.View(l.t.Context(), func(tx metadata.Tx) error {
		uploads, err := tx.Uploads()
		garbage, _ := tx.Garbage(0, 10)
		open, _ := tx.OpenTasks()
		if len(uploads)+len(garbage)+len(open) > 0 {
			l.t.Errorf("left over: reservations %+v, garbage %+v, tasks %+v", uploads, garbage, open)
		}
		return err
	})
	if err != nil {
		l.t.Error(err)
	}
}

var data = bytes.Repeat([]byte("imported data \n\x00"), 10_000)

// web serves data at /data and says no elsewhere.
func web(t *testing.T) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/data":
			w.Header().Set("Content-Length", fmt.Sprint(len(data)))
			w.Write(data)
		case "/chunks":
			w.Write(data[:1000])
			w.(http.Flusher).Flush()
			w.Write(data[1000:])
		case "/short":
			w.Header().Set("Content-Length", fmt.Sprint(len(data)))
			w.Write(data[:1000])
		case "/large":
			w.Write(make([]byte, 2<<20))
		case "/qcow2":
			w.Write(append([]byte("QFI\xfb\x00\x00\x00\x03"), make([]byte, 1000)...))
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

func TestImportOfStagedData(t *testing.T) {
	for _, tt := range []struct {
		stores []string
		want   string
	}{{nil, "first"}, {[]string{"second"}, "second"}, {[]string{"second", "first", "second"}, "second,first"}} {
		l := start(t)
		id := l.create()
		if err := l.Stage(t.Context(), id, upload(data)); err != nil {
			t.Fatal(err)
		}
		l.do(id, image.Import{Method: image.ImportStaged, Stores: tt.stores})
		l.check(id, want{status: image.Active, stores: tt.want, task: image.TaskSuccess, message: "Copied 0 MiB", data: data})
	}
}

func TestImportFromURL(t *testing.T) {
	url := web(t)
	for _, tt := range []struct {
		path string
		imp  image.Import
		want want
	}{
		{"/data", image.Import{}, want{status: image.Active, stores: "first"}},
		{"/chunks", image.Import{}, want{status: image.Active, stores: "first"}},
		{"/chunks", image.Import{AllStores: true}, want{status: image.Active, stores: "first,second"}},
		{"/missing", image.Import{}, want{status: image.Queued, failed: "first", message: "404"}},
		{"/missing", image.Import{AllStores: true, AllowFailure: true}, want{status: image.Queued, failed: "first,second", message: "404"}},
		{"/short", image.Import{}, want{status: image.Queued, failed: "first", message: "ended early"}},
		{"/short", image.Import{AllStores: true}, want{status: image.Queued, failed: "first,second", message: "ended early"}},
		{"/large", image.Import{}, want{status: image.Queued, failed: "first", message: "1048576 bytes"}},
		{"/qcow2", image.Import{}, want{status: image.Queued, failed: "first", message: "cannot be stored as raw"}},
		{"/qcow2", image.Import{AllStores: true}, want{status: image.Queued, failed: "first,second", message: "cannot be stored as raw"}},
	} {
		t.Run(tt.path[1:], func(t *testing.T) {
			l := start(t)
			id := l.create()
			tt.imp.Method, tt.imp.URL = image.ImportURL, url+tt.path
			l.do(id, tt.imp)
			tt.want.data, tt.want.task = data, image.TaskFailure
			if tt.want.status == image.Active {
				tt.want.task = image.TaskSuccess
			}
			l.check(id, tt.want)
			if tt.want.status == image.Queued { // it can be tried again
				l.do(id, image.Import{Method: image.ImportURL, URL: url + "/data"})
				failed := strings.TrimPrefix(strings.TrimPrefix(tt.want.failed, "first"), ",")
				l.check(id, want{status: image.Active, stores: "first", failed: failed, task: image.TaskSuccess, data: data})
			}
		})
	}
}

func TestCopyImage(t *testing.T) {
	l := start(t)
	id := l.create()
	if err := l.Upload(t.Context(), id, upload(data)); err != nil {
		t.Fatal(err)
	}
	l.do(id, image.Import{Method: image.ImportCopy, AllStores: true})
	l.check(id, want{status: image.Active, stores: "first,second", task: image.TaskSuccess, data: data})
	if err := l.Import(t.Context(), id, image.Import{Method: image.ImportCopy, AllStores: true}); err != nil {
		t.Errorf("a copy to no store = %v", err)
	}
	if ran, err := l.svc.RunTask(t.Context(), l.imp.run); ran || err != nil {
		t.Errorf("there is something to do: %v, %v", ran, err)
	}
}

// TestCopyAndDeleteAgain moves an image from one store to the other.
func TestCopyAndDeleteAgain(t *testing.T) {
	l := start(t)
	id := l.create()
	if err := l.Upload(t.Context(), id, upload(data)); err != nil {
		t.Fatal(err)
	}
	for _, stores := range [][2]string{{"second", "first"}, {"first", "second"}, {"second", "first"}} {
		l.do(id, image.Import{Method: image.ImportCopy, Stores: stores[:1]})
		if err := l.DeleteCopy(t.Context(), stores[1], id); err != nil {
			t.Error(err)
		}
		l.check(id, want{status: image.Active, stores: stores[0], task: image.TaskSuccess, data: data})
	}
}

// refusing is a store that takes no data.
type refusing struct{ imagestore.Writer }

func (refusing) Put(context.Context, imagestore.Object, imagestore.Source) (image.Location, error) {
	return image.Location{}, image.ErrStoreFull
}

// TestAStoreThatFails is one of two. What is there already of an import that fails is removed.
func TestAStoreThatFails(t *testing.T) {
	for _, tt := range []struct {
		method  string
		failing string
		allow   bool
		want    want
	}{
		{image.ImportStaged, "second", false, want{status: image.Queued, failed: "first,second", task: image.TaskFailure, message: "Store second: The import failed: store is full."}},
		{image.ImportStaged, "second", true, want{status: image.Active, stores: "first", failed: "second", task: image.TaskSuccess, message: "Store second:"}},
		{image.ImportStaged, "first", true, want{status: image.Active, stores: "second", failed: "first", task: image.TaskSuccess, message: "Store first:"}},
		{image.ImportCopy, "second", false, want{status: image.Active, stores: "first", failed: "second", task: image.TaskFailure, message: "store is full"}},
	} {
		t.Run(fmt.Sprint(tt.method, " ", tt.failing, " ", tt.allow), func(t *testing.T) {
			l := newLab(t, openDB(t), t.TempDir(), func(store string, w imagestore.Writer) imagestore.Writer {
				if store == tt.failing {
					return refusing{w}
				}
				return w
			})
			id := l.create()
			send := l.Stage
			if tt.method == image.ImportCopy {
				send = l.Upload
			}
			if err := send(t.Context(), id, upload(data)); err != nil {
				t.Fatal(err)
			}
			l.do(id, image.Import{Method: tt.method, AllStores: true, AllowFailure: tt.allow})
			tt.want.data = data
			l.check(id, tt.want)
		})
	}
}

// TestACopyThatIsNotEqual finds that the data is not any more what was uploaded.
func TestACopyThatIsNotEqual(t *testing.T) {
	l := start(t)
	id := l.create()
	if err := l.Upload(t.Context(), id, upload(data)); err != nil {
		t.Fatal(err)
	}
	err := l.db.Update(t.Context(), func(tx metadata.WriteTx) error {
		img, err := tx.Image(id)
		if err != nil {
			return err
		}
		img.HashValue = strings.Repeat("0", 128)
		return tx.SaveImage(img)
	})
	if err != nil {
		t.Fatal(err)
	}
	l.do(id, image.Import{Method: image.ImportCopy, Stores: []string{"second"}})
	l.check(id, want{status: image.Active, stores: "first", failed: "second", task: image.TaskFailure, message: "corrupt", data: data})
}

// TestDeletedWhileImporting deletes the image in the middle of a transfer.
func TestDeletedWhileImporting(t *testing.T) {
	l := start(t)
	id := l.create()
	reached, goOn := make(chan struct{}), make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000")
		w.Write(make([]byte, 500))
		w.(http.Flusher).Flush()
		close(reached)
		<-goOn
	}))
	defer srv.Close()
	defer close(goOn)
	if err := l.Import(t.Context(), id, image.Import{Method: image.ImportURL, URL: srv.URL}); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.work()
	}()
	<-reached
	if err := l.Delete(t.Context(), id); err != nil {
		t.Error(err)
	}
	<-done
	l.checkNothingLeft(0)
	err := l.db.View(t.Context(), func(tx metadata.Tx) error {
		tasks, err := tx.ImageTasks(id)
		if err == nil && (len(tasks) != 1 || tasks[0].Status != image.TaskFailure || !strings.Contains(tasks[0].Message, "deleted")) {
			t.Errorf("the task is %+v", tasks[0])
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestStopGivesBack stops an importer in the middle of a transfer; the next one does the work.
func TestStopGivesBack(t *testing.T) {
	l := start(t)
	id := l.create()
	reached := make(chan struct{})
	first := true
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		if first {
			first = false
			w.(http.Flusher).Flush()
			close(reached)
			<-r.Context().Done()
			return
		}
		w.Write(data)
	}))
	defer srv.Close()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.imp.Run(ctx) }()
	if err := l.Import(t.Context(), id, image.Import{Method: image.ImportURL, URL: srv.URL}); err != nil {
		t.Fatal(err)
	}
	<-reached
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	err := l.db.View(t.Context(), func(tx metadata.Tx) error {
		open, err := tx.OpenTasks()
		if len(open) != 1 || open[0].Instance != "" || open[0].Status != image.TaskProcessing {
			t.Errorf("the task is %+v", open)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	l.work()
	l.check(id, want{status: image.Active, stores: "first", task: image.TaskSuccess, data: data})
}

// TestFaults fails every step of imports by each method, with and without its effect, ends the process there, and lets another
// one go on. Whatever was accepted ends: the image is active with its data, or queued, and nothing is left over.
func TestFaults(t *testing.T) {
	url := web(t)
	for _, imp := range []image.Import{
		{Method: image.ImportStaged, AllStores: true},
		{Method: image.ImportURL, URL: url + "/data"},
		{Method: image.ImportURL, URL: url + "/data", AllStores: true, AllowFailure: true},
		{Method: image.ImportCopy, Stores: []string{"second"}},
	} {
		for _, after := range []bool{false, true} {
			for n := 1; ; n++ {
				db := &faultdb.DB{DB: openDB(t), Nth: n, After: after}
				faultLife(t, fmt.Sprintf("%s: update %d fails, after its effect: %v", imp.Method, n, after), imp, db, db.DB, t.TempDir(), nil)
				if !db.Fired {
					break
				}
			}
			when := map[bool]faultstore.When{false: faultstore.Before, true: faultstore.After}[after]
			for _, failing := range []string{"first", "second", imagestore.Staging} {
				for n := 1; ; n++ {
					db := openDB(t)
					var faulty *faultstore.Store
					faultLife(t, fmt.Sprintf("%s: call %d of store %s fails, after its effect: %v", imp.Method, n, failing, after), imp, db, db, t.TempDir(),
						func(store string, w imagestore.Writer) imagestore.Writer {
							if store != failing {
								return w
							}
							faulty = faultstore.New(w, n, when)
							return faulty
						})
					if !faulty.Fired() {
						break
					}
				}
			}
		}
	}
}

func anyStore(string) bool { return true }

// takeOver does what a process does that comes after another one, and goes on with its work.
func (l *lab) takeOver() {
	l.t.Helper()
	if err := errors.Join(l.svc.BuryOthers(l.t.Context()), l.svc.Sweep(l.t.Context(), anyStore)); err != nil {
		l.t.Errorf("sweep: %v", err)
	}
	l.work()
}

func faultLife(t *testing.T, what string, imp image.Import, faulty, db metadata.DB, dir string, wrap wrapper) {
	t.Helper()
	l := newLab(t, faulty, dir, wrap)
	id := image.NewID()
	ctx := t.Context()
	_, err := l.Create(ctx, id, append(signaturetest.Default().Edits(t, data),
		image.Edit{Op: image.EditAdd, Name: "disk_format", Value: "raw"}, image.Edit{Op: image.EditAdd, Name: "container_format", Value: "bare"}))
	switch {
	case err != nil:
	case imp.Method == image.ImportStaged:
		err = l.Stage(ctx, id, upload(data))
	case imp.Method == image.ImportCopy:
		err = l.Upload(ctx, id, upload(data))
	}
	if err == nil {
		err = l.Import(ctx, id, imp)
	}
	accepted := err == nil
	l.svc.RunTask(ctx, l.imp.run) // what fails here is the next one's

	next := newLab(t, db, dir, nil)
	next.takeOver()
	if err := next.svc.Sweep(ctx, anyStore); err != nil {
		t.Errorf("%s: %v", what, err)
	}
	img, err := next.Get(ctx, id)
	if errors.Is(err, image.ErrNotFound) && !accepted {
		return
	}
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	ok := img.Status == image.Active || img.Status == image.Queued && len(img.Locations) == 0 || img.Status == image.Uploading && !accepted
	if _, locked := img.Properties[image.PropertyImportTask]; !ok || locked || img.Properties[image.PropertyImporting] != "" {
		t.Errorf("%s: the image is %+v", what, img)
	}
	if img.Status == image.Active {
		next.checkData(img, data)
	}
	staged := 0
	if img.Status == image.Uploading {
		staged = 1
	}
	next.checkNothingLeft(len(img.Locations) + staged)
	if t.Failed() {
		t.Fatal(what)
	}
}

// TestATaskThatEndsTheServer is given up after some attempts.
func TestATaskThatEndsTheServer(t *testing.T) {
	db, dir := openDB(t), t.TempDir()
	l := newLab(t, db, dir, nil)
	id := l.create()
	if err := l.Stage(t.Context(), id, upload(data)); err != nil {
		t.Fatal(err)
	}
	if err := l.Import(t.Context(), id, image.Import{Method: image.ImportStaged}); err != nil {
		t.Fatal(err)
	}
	for range maxAttempts {
		ran, err := l.svc.RunTask(t.Context(), func(context.Context, *image.Task) error { return nil }) // as if killed
		if !ran || err != nil {
			t.Fatal(ran, err)
		}
		l = newLab(t, db, dir, nil)
		if err := l.svc.BuryOthers(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	l.work()
	l.check(id, want{status: image.Queued, failed: "first", task: image.TaskFailure, message: "taken up 5 times"})
}

// TestOneOfTwo lets two processes look for the same task.
func TestOneOfTwo(t *testing.T) {
	db, dir := openDB(t), t.TempDir()
	a, b := newLab(t, db, dir, nil), newLab(t, db, dir, nil)
	id := a.create()
	if err := a.Stage(t.Context(), id, upload(data)); err != nil {
		t.Fatal(err)
	}
	if err := a.Import(t.Context(), id, image.Import{Method: image.ImportStaged}); err != nil {
		t.Fatal(err)
	}
	ran, err := a.svc.RunTask(t.Context(), func(ctx context.Context, task *image.Task) error {
		if ran, err := b.svc.RunTask(ctx, b.imp.run); ran || err != nil {
			t.Errorf("both work on the task: %v, %v", ran, err)
		}
		return a.imp.run(ctx, task)
	})
	if !ran || err != nil {
		t.Error(ran, err)
	}
	a.check(id, want{status: image.Active, stores: "first", task: image.TaskSuccess, data: data})
}

// TestProgress tells how far a transfer is, and ends it when the task is somebody else's.
func TestProgress(t *testing.T) {
	l := start(t)
	now := time.Now()
	l.imp.now = func() time.Time { now = now.Add(tellEvery); return now }
	var told []string
	l.imp.images = &listening{Images: l.svc, tell: func(message string) error { told = append(told, message); return nil }}
	id := l.create()
	if err := l.Stage(t.Context(), id, upload(data)); err != nil {
		t.Fatal(err)
	}
	l.do(id, image.Import{Method: image.ImportStaged})
	if !slices.Contains(told, "Copied 0 MiB") {
		t.Errorf("told %q", told)
	}
	l.imp.images.(*listening).tell = func(string) error { return errors.New("the task is another's") }
	id = l.create()
	if err := l.Stage(t.Context(), id, upload(data)); err != nil {
		t.Fatal(err)
	}
	l.do(id, image.Import{Method: image.ImportStaged})
	if img, err := l.Get(t.Context(), id); err != nil || img.Status != image.Queued {
		t.Errorf("the image is %+v, %v", img, err)
	}
}

type listening struct {
	Images
	tell func(message string) error
}

func (l *listening) Progress(_ context.Context, _ *image.Task, message string) error {
	return l.tell(message)
}
