package importer

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/diskformat/formattest"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/imagestore/storetest"
	"github.com/vitrine-image/vitrine/metadata"
	"github.com/vitrine-image/vitrine/metadata/faultdb"
)

// A site serves one file, whose answers to GET of more than its beginning a test may change.
type site struct {
	url    string
	file   http.HandlerFunc
	opened atomic.Int32                     // how often it was asked what there is
	whole  atomic.Pointer[http.HandlerFunc] // answers what asks for more than the beginning, if set
}

func newSite(t *testing.T, data []byte) *site {
	t.Helper()
	s := &site{file: func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	}}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			s.opened.Add(1)
		}
		if h := s.whole.Load(); h != nil && strings.HasPrefix(r.Header.Get("Range"), "bytes=2097152-") {
			(*h)(w, r)
			return
		}
		s.file(w, r)
	}))
	t.Cleanup(srv.Close)
	s.url = srv.URL + "/disk"
	return s
}

func (s *site) answer(h http.HandlerFunc) { s.whole.Store(&h) }

func sums(data []byte) image.Sums {
	sum := sha512.Sum512(data)
	return image.Sums{HashAlgo: "sha512", HashValue: hex.EncodeToString(sum[:])}
}

func (l *lab) addLocation(id image.ID, add image.NewLocation) {
	l.t.Helper()
	if err := l.AddLocation(l.t.Context(), id, add); err != nil {
		l.t.Fatal(err)
	}
}

// checkLocation compares an image and its newest task with what is wanted.
func (l *lab) checkLocation(id image.ID, w want) *image.Image {
	l.t.Helper()
	img, err := l.Get(l.t.Context(), id)
	if err != nil {
		l.t.Fatal(err)
	}
	if _, locked := img.Properties[image.PropertyImportTask]; img.Status != w.status || locked || img.Has("web") != (w.stores == "web") {
		l.t.Errorf("the image is %s in %v (locked: %v), want %s in %q", img.Status, img.Locations, locked, w.status, w.stores)
	}
	tasks, err := l.ImageTasks(l.t.Context(), id)
	if err != nil || tasks[0].Type != image.TaskLocationImport || tasks[0].Status != w.task || !strings.Contains(tasks[0].Message, w.message) {
		l.t.Errorf("the tasks are %+v, %v, want %s: %s", tasks[0], err, w.task, w.message)
	}
	if text := fmt.Sprintf("%s %s", tasks[0].Input, tasks[0].Result); strings.Contains(text, "http") {
		l.t.Errorf("the task tells the URL: %s", text)
	}
	if w.status == image.Active {
		data, err := l.Open(l.t.Context(), id, imageservice.OpenOptions{})
		if err != nil {
			l.t.Fatal(err)
		}
		defer data.Reader.Close()
		got := make([]byte, data.Reader.Size())
		if _, err := data.Reader.ReadAt(l.t.Context(), got, 0); err != nil || !bytes.Equal(got, w.data) {
			l.t.Errorf("the data is %d bytes, %v, want %d", len(got), err, len(w.data))
		}
	}
	return img
}

// long is data of which the end comes after what is looked at before the image is active.
func long() []byte { return bytes.Repeat([]byte("0123456789abcdef"), 3<<16) }

func TestLocation(t *testing.T) {
	l := start(t)
	data := long()
	web := newSite(t, data)
	for name, given := range map[string]image.Sums{"without sums": {}, "with sums": sums(data)} {
		id := l.create()
		l.addLocation(id, image.NewLocation{URL: web.url, Sums: given})
		if img, err := l.Get(t.Context(), id); err != nil || img.Status != image.Importing {
			t.Errorf("%s: the image is %+v, %v before the work", name, img, err)
		}
		l.work()
		img := l.checkLocation(id, want{status: image.Active, stores: "web", task: image.TaskSuccess, message: "examined", data: data})
		if have := (image.Sums{HashAlgo: img.HashAlgo, HashValue: img.HashValue}); have != sums(data) || img.Checksum == "" ||
			*img.Size != int64(len(data)) || *img.VirtualSize != int64(len(data)) {
			t.Errorf("%s: the image is %+v", name, img)
		}
		if err := l.Delete(t.Context(), id); err != nil {
			t.Error(err)
		}
	}
	l.checkNothingLeft(0)
}

// TestLocationRefused never makes the image active.
func TestLocationRefused(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	defer gone.Close()
	down := httptest.NewServer(nil)
	down.Close()
	for _, tt := range []struct {
		name    string
		url     string
		message string
	}{
		{"another format", newSite(t, formattest.QCOW2(1<<20)).url, "cannot be stored as raw"},
		{"nothing there", gone.URL, "nothing can be read"},
		{"a server that is away", down.URL, "cannot be reached now"},
	} {
		l := start(t)
		id := l.create()
		l.addLocation(id, image.NewLocation{URL: tt.url})
		l.work()
		l.checkLocation(id, want{status: image.Queued, task: image.TaskFailure, message: tt.message})
		if err := l.AddLocation(t.Context(), id, image.NewLocation{URL: newSite(t, []byte("data")).url}); err != nil {
			t.Errorf("%s: the next try = %v", tt.name, err)
		}
	}
}

// TestLocationExamined finds out about data only when all of it is read.
func TestLocationExamined(t *testing.T) {
	data := long()
	for _, tt := range []struct {
		name string
		data []byte
		sums image.Sums
		text string
	}{
		{"unsafe at its end", formattest.FixedVHD(data), image.Sums{}, "cannot be stored as raw"},
		{"another hash", data, sums([]byte("other")), "its sha512 is"},
		{"another MD5", data, image.Sums{Checksum: strings.Repeat("1", 32)}, "its MD5 is"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := start(t)
			id := l.create()
			l.addLocation(id, image.NewLocation{URL: newSite(t, tt.data).url, Sums: tt.sums})
			l.work()
			l.checkLocation(id, want{status: image.Deactivated, task: image.TaskFailure, message: tt.text})
			if err := l.Reactivate(t.Context(), id); !errors.Is(err, image.ErrForbidden) {
				t.Errorf("Reactivate = %v, want %v", err, image.ErrForbidden)
			}
			err := l.svc.Audit(t.Context(), func(f imageservice.Finding) { t.Errorf("the audit finds %+v", f) })
			if err != nil {
				t.Error(err)
			}
			if err := l.Delete(t.Context(), id); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestLocationInAPool gives data that others left to one image, and leaves it to them when it is refused.
func TestLocationInAPool(t *testing.T) {
	pool := storetest.NewPool("second")
	l := newLab(t, openDB(t), t.TempDir(), func(id string, w imagestore.Writer) imagestore.Writer {
		if id == "second" {
			return pool
		}
		return w
	})
	good := pool.Publish("good", string(long()))
	first, second := l.create(), l.create()
	l.addLocation(first, image.NewLocation{URL: good})
	l.addLocation(second, image.NewLocation{URL: good})
	l.work()
	if img := l.checkLocation(first, want{status: image.Active, task: image.TaskSuccess, message: "examined", data: long()}); img.HashValue != sums(long()).HashValue {
		t.Errorf("the hash is %s", img.HashValue)
	}
	l.checkLocation(second, want{status: image.Queued, task: image.TaskFailure, message: "of an image"})
	bad := pool.Publish("bad", string(long()))
	l.addLocation(second, image.NewLocation{URL: bad, Sums: sums([]byte("other"))})
	l.work()
	l.checkLocation(second, want{status: image.Deactivated, task: image.TaskFailure, message: "its sha512 is"})
	if err := errors.Join(l.Delete(t.Context(), second), l.svc.Sweep(t.Context(), anyStore)); err != nil {
		t.Error(err)
	}
	if got := pool.URLs(); !slices.Equal(got, []string{bad, good}) {
		t.Errorf("the store holds %v, want %s, too", got, bad)
	}
	if err := l.Delete(t.Context(), first); err != nil {
		t.Error(err)
	}
	if got := pool.URLs(); !slices.Equal(got, []string{bad}) {
		t.Errorf("the store holds %v, want only what was refused", got)
	}
}

// TestLocationReadAgain examines once more what could not be read.
func TestLocationReadAgain(t *testing.T) {
	for retries, w := range []want{
		{status: image.Active, stores: "web", task: image.TaskFailure, message: "could not be examined", data: long()},
		{status: image.Active, stores: "web", task: image.TaskSuccess, message: "examined", data: long()},
	} {
		l := start(t)
		l.imp.retries, l.imp.pause = retries, 0
		web := newSite(t, long())
		web.answer(func(rw http.ResponseWriter, r *http.Request) {
			if web.opened.Load() >= 4 { // twice to find the data, and for the second try to examine it
				web.file(rw, r)
				return
			}
			rw.WriteHeader(http.StatusBadGateway)
		})
		id := l.create()
		l.addLocation(id, image.NewLocation{URL: web.url})
		l.work()
		if img := l.checkLocation(id, w); (img.HashValue == "") != (retries == 0) {
			t.Errorf("with %d retries the hash is %q", retries, img.HashValue)
		}
	}
}

// TestCopyOfALocation hashes and judges data that could not be examined when it is copied.
func TestCopyOfALocation(t *testing.T) {
	unsafe := formattest.FixedVHD(long())
	for _, tt := range []struct {
		data  []byte
		given image.Sums // by who added the location
		hash  string
		n     int // of locations
	}{
		{long(), image.Sums{}, sums(long()).HashValue, 2},
		{unsafe, image.Sums{}, "", 1},
		{unsafe, sums(unsafe), sums(unsafe).HashValue, 1},
	} {
		l := start(t)
		web := newSite(t, tt.data)
		web.answer(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusBadGateway) })
		id := l.create()
		l.addLocation(id, image.NewLocation{URL: web.url, Sums: tt.given})
		l.work()
		web.whole.Store(nil)
		l.do(id, image.Import{Method: image.ImportCopy, Stores: []string{"first"}})
		img, err := l.Get(t.Context(), id)
		if err != nil || len(img.Locations) != tt.n || img.HashValue != tt.hash || (img.Checksum == "") != (tt.n == 1) {
			t.Errorf("the image is %+v, %v, want %d locations", img, err, tt.n)
		}
	}
}

// TestLocationOfADeletedImage ends the examination.
func TestLocationOfADeletedImage(t *testing.T) {
	l := start(t)
	web := newSite(t, long())
	id := l.create()
	web.answer(func(_ http.ResponseWriter, r *http.Request) {
		if err := l.Delete(t.Context(), id); err != nil {
			t.Error(err)
		}
		<-r.Context().Done() // only the end of the examination ends this
	})
	l.addLocation(id, image.NewLocation{URL: web.url})
	l.work()
	err := l.db.View(t.Context(), func(tx metadata.Tx) error {
		tasks, err := tx.ImageTasks(id)
		if err == nil && (tasks[0].Status != image.TaskFailure || !strings.Contains(tasks[0].Message, "deleted")) {
			t.Errorf("the task is %+v", tasks[0])
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestLocationAfterACrash fails every single step of the database, with and without its effect; then another process goes on.
func TestLocationAfterACrash(t *testing.T) {
	web := newSite(t, long())
	for _, after := range []bool{false, true} {
		for n := 1; ; n++ {
			db := &faultdb.DB{DB: openDB(t), Nth: n + 2, After: after} // after those of Beat and create
			dir := t.TempDir()
			l := newLab(t, db, dir, nil)
			id := l.create()
			asked := l.AddLocation(t.Context(), id, image.NewLocation{URL: web.url})
			_, _ = l.svc.RunTask(t.Context(), l.imp.run)
			next := newLab(t, db.DB, dir, nil)
			if err := next.svc.BuryOthers(t.Context()); err != nil {
				t.Fatal(err)
			}
			next.work()
			img, err := next.Get(t.Context(), id)
			if err != nil || asked == nil && (img.Status != image.Active || img.HashValue != sums(long()).HashValue) ||
				img.Status != image.Active && img.Status != image.Queued {
				t.Errorf("update %d fails, after its effect: %v; asking for it = %v: the image is %+v, %v", n, after, asked, img, err)
			}
			if !db.Fired {
				break
			}
		}
	}
}

// TestLocationQuota counts the size for each of the locations.
func TestLocationQuota(t *testing.T) {
	l := start(t)
	data := long()
	id := l.create()
	l.quota.now.Size = int64(len(data)) - 1
	l.addLocation(id, image.NewLocation{URL: newSite(t, data).url})
	l.work()
	l.checkLocation(id, want{status: image.Queued, task: image.TaskFailure, message: "image_size_total"})
	l.quota.now.Size = int64(len(data))
	l.addLocation(id, image.NewLocation{URL: newSite(t, data).url})
	l.work()
	l.checkLocation(id, want{status: image.Active, stores: "web", task: image.TaskSuccess, data: data})
	if _, err := l.Edit(t.Context(), id, []image.Edit{addEdit(newSite(t, data).url)}); !errors.Is(err, image.ErrTooLarge) {
		t.Errorf("a second location = %v, want %v", err, image.ErrTooLarge)
	}
	l.quota.now.Size = 2 * int64(len(data))
	if _, err := l.Edit(t.Context(), id, []image.Edit{addEdit(newSite(t, data).url)}); err != nil {
		t.Errorf("a second location = %v", err)
	}
}

func addEdit(url string) image.Edit {
	return image.Edit{Op: image.EditAdd, Name: image.EditLocations, Item: "-", Value: map[string]any{"url": url}}
}

// TestSecondLocation examines a copy that an edit added: what is not the image's data goes, and nothing else.
func TestSecondLocation(t *testing.T) {
	data := long()
	other := append(long()[1:], 'x')
	for name, tt := range map[string]struct {
		data []byte
		task image.TaskStatus
		n    int
	}{"the same": {data, image.TaskSuccess, 2}, "other data": {other, image.TaskFailure, 1}} {
		l := start(t)
		id := l.create()
		if _, err := l.Edit(t.Context(), id, []image.Edit{addEdit(newSite(t, data).url)}); err != nil {
			t.Fatal(err)
		}
		l.work()
		img, err := l.Edit(t.Context(), id, []image.Edit{addEdit(newSite(t, tt.data).url)})
		if err != nil || len(img.Locations) != 2 {
			t.Fatalf("%s: Edit = %+v, %v", name, img, err)
		}
		l.work()
		img = l.checkLocation(id, want{status: image.Active, stores: "web", task: tt.task, data: data})
		if len(img.Locations) != tt.n {
			t.Errorf("%s: the locations are %v, want %d", name, img.Locations, tt.n)
		}
	}
}

// TestLocationGivenBack leaves the examination to the next process when this one stops.
func TestLocationGivenBack(t *testing.T) {
	l := start(t)
	web := newSite(t, long())
	ctx, stop := context.WithCancel(t.Context())
	web.answer(func(_ http.ResponseWriter, r *http.Request) {
		stop()
		<-r.Context().Done()
	})
	id := l.create()
	l.addLocation(id, image.NewLocation{URL: web.url})
	if _, err := l.svc.RunTask(ctx, l.imp.run); err != nil {
		t.Errorf("RunTask = %v", err)
	}
	web.whole.Store(nil)
	l.work()
	l.checkLocation(id, want{status: image.Active, stores: "web", task: image.TaskSuccess, message: "examined", data: long()})
}
