package importer

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
)

// without returns a lab in which one of the stores takes nothing.
func without(t *testing.T, store string) *lab {
	return newLab(t, openDB(t), t.TempDir(), func(id string, w imagestore.Writer) imagestore.Writer {
		if id == store {
			return refusing{w}
		}
		return w
	})
}

// everywhere is what a success in both stores comes to.
var everywhere = want{status: image.Active, stores: "first,second", task: image.TaskSuccess, data: data}

// TestFetchedInOnePass needs no staging area for data with which nothing is to be done, whatever plugins there are.
func TestFetchedInOnePass(t *testing.T) {
	packed := packGzip(t, data)
	for _, tt := range []struct {
		name    string
		data    []byte
		plugins []string
		format  string
		staged  bool
	}{
		{"as it is", data, nil, "raw", false},
		{"with properties", data, []string{Injection}, "raw", false},
		{"packed, and nobody unpacks", packed, nil, "raw", false},
		{"not packed", data, []string{Decompression}, "raw", false},
		{"less than tells whether it is packed", data[:3], []string{Decompression}, "raw", false},
		{"nothing", nil, []string{Decompression}, "raw", false},
		{"packed", packed, []string{Decompression}, "raw", true},
		{"of the format that it would be converted to", data, []string{Conversion, Decompression}, "raw", false},
		{"no disk", data, []string{Conversion}, "ari", false},
		{"of another format", data, []string{Conversion}, "qcow2", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := without(t, imagestore.Staging)
			l.usePlugins(PluginConfig{Enabled: tt.plugins, Inject: map[string]string{"imported": "yes"}})
			container := map[bool]string{true: "ari", false: "bare"}[tt.format == "ari"]
			img, err := l.Create(t.Context(), "", []image.Edit{{Op: image.EditAdd, Name: "disk_format", Value: tt.format},
				{Op: image.EditAdd, Name: "container_format", Value: container}})
			if err != nil {
				t.Fatal(err)
			}
			l.do(img.ID, image.Import{Method: image.ImportURL, URL: serveBytes(t, tt.data), AllStores: true})
			if tt.staged {
				l.check(img.ID, want{status: image.Queued, failed: "first,second", task: image.TaskFailure, message: "store is full"})
				return
			}
			l.check(img.ID, want{status: image.Active, stores: "first,second", task: image.TaskSuccess, data: tt.data})
			if img, err = l.Get(t.Context(), img.ID); err != nil || (img.Properties["imported"] == "yes") != (len(tt.plugins) > 0 && tt.plugins[0] == Injection) {
				t.Errorf("properties = %q, %v", img.Properties, err)
			}
		})
	}
}

// TestStoresThatFailDuringAFetch: another one gets the data from its source, if the import may do without them. A source that
// fails is asked once.
func TestStoresThatFailDuringAFetch(t *testing.T) {
	for _, tt := range []struct {
		name    string
		failing string
		path    string
		allow   bool
		asked   int32
		want    want
	}{
		{"the first", "first", "/data", true, 2, want{status: image.Active, stores: "second", failed: "first", message: "Store first: The import failed: store is full."}},
		{"the second", "second", "/data", true, 1, want{status: image.Active, stores: "first", failed: "second", message: "Store second:"}},
		{"one of all that must succeed", "first", "/data", false, 1, want{status: image.Queued, failed: "first,second", message: "Store first:"}},
		{"the second of all that must succeed", "second", "/data", false, 1, want{status: image.Queued, failed: "first,second", message: "Store second:"}},
		{"the source", "", "/short", true, 1, want{status: image.Queued, failed: "first,second", message: "ended early"}},
		{"the data", "", "/qcow2", true, 1, want{status: image.Queued, failed: "first,second", message: "cannot be stored as raw"}},
		{"the limit", "", "/large", true, 1, want{status: image.Queued, failed: "first,second", message: "1048576 bytes"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := without(t, tt.failing)
			var asked atomic.Int32
			from := web(t)
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				http.Redirect(w, r, from+r.URL.Path, http.StatusFound)
			}))
			defer srv.Close()
			id := l.create()
			l.do(id, image.Import{Method: image.ImportURL, URL: srv.URL + tt.path, AllStores: true, AllowFailure: tt.allow})
			tt.want.data, tt.want.task = data, image.TaskFailure
			if tt.want.status == image.Active {
				tt.want.task = image.TaskSuccess
			}
			l.check(id, tt.want)
			if asked.Load() != tt.asked {
				t.Errorf("the source was asked %d times, want %d", asked.Load(), tt.asked)
			}
		})
	}
}

// TestInjectedPropertiesWin over those that come with an image of another region.
func TestInjectedPropertiesWin(t *testing.T) {
	source := image.Image{ID: image.NewID(), Status: image.Active, DiskFormat: "raw", ContainerFormat: "bare",
		Properties: map[string]string{"hw_disk_bus": "scsi", "os_type": "linux"}}
	for _, packed := range []bool{false, true} {
		l := start(t)
		l.usePlugins(PluginConfig{Enabled: []string{Decompression, Injection}, Inject: map[string]string{"hw_disk_bus": "virtio"}})
		theirs := data
		if packed {
			theirs = packGzip(t, data)
		}
		l.imp.remote = &remote{t: t, img: source, data: bytes.NewReader(theirs)}
		s := l.svc.As(image.Caller{ProjectID: "p", Roles: []string{"member", "reader"}, Token: "secret"})
		id := l.create()
		if err := s.Import(t.Context(), id, image.Import{Method: image.ImportDownload, Region: "other", Source: source.ID}); err != nil {
			t.Fatal(err)
		}
		l.work()
		l.check(id, want{status: image.Active, stores: "first", task: image.TaskSuccess, data: data})
		if img, err := l.Get(t.Context(), id); err != nil || img.Properties["hw_disk_bus"] != "virtio" || img.Properties["os_type"] != "linux" {
			t.Errorf("properties = %q, %v", img.Properties, err)
		}
	}
}

// TestStagedFilesMove into the first store; the second one gets a file of its own.
func TestStagedFilesMove(t *testing.T) {
	l := start(t)
	id := l.create()
	if err := l.Stage(t.Context(), id, upload(data)); err != nil {
		t.Fatal(err)
	}
	staged := l.fileOf(imagestore.Staging)
	l.do(id, image.Import{Method: image.ImportStaged, AllStores: true})
	l.check(id, everywhere)
	if first, second := l.fileOf("first"), l.fileOf("second"); !os.SameFile(staged, first) || os.SameFile(first, second) {
		t.Errorf("the first store has the staged file: %v; and so has the second: %v", os.SameFile(staged, first), os.SameFile(first, second))
	}
}

// fileOf describes the only file of a store.
func (l *lab) fileOf(store string) (info fs.FileInfo) {
	l.t.Helper()
	err := filepath.WalkDir(filepath.Join(l.dir, store), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.HasPrefix(e.Name(), ".vitrine") {
			return err
		}
		if info != nil {
			return fmt.Errorf("%s is a second file", path)
		}
		info, err = e.Info()
		return err
	})
	if err != nil || info == nil {
		l.t.Fatalf("store %s: %v, %v", store, info, err)
	}
	return info
}

// TestGoesOnWithTheFirstCopy ends the process between two stores: the source, which is gone, is not needed any more.
func TestGoesOnWithTheFirstCopy(t *testing.T) {
	db, dir := openDB(t), t.TempDir()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(data) }))
	l := newLab(t, db, dir, func(id string, w imagestore.Writer) imagestore.Writer {
		if id == "second" {
			return dying{w}
		}
		return w
	})
	id := l.create()
	if err := l.Import(t.Context(), id, image.Import{Method: image.ImportURL, URL: srv.URL, AllStores: true}); err != nil {
		t.Fatal(err)
	}
	func() {
		defer func() { recover() }()
		l.svc.RunTask(t.Context(), l.imp.run)
	}()
	srv.Close()
	next := newLab(t, db, dir, nil)
	next.takeOver()
	next.check(id, everywhere)
}

// dying is a store at whose use the process ends.
type dying struct{ imagestore.Writer }

func (dying) Put(context.Context, imagestore.Object, imagestore.Source) (image.Location, error) {
	panic("killed")
}

// watched tells of each Put before it begins.
type watched struct {
	imagestore.Writer
	before func()
}

func (w *watched) Put(ctx context.Context, obj imagestore.Object, src imagestore.Source) (image.Location, error) {
	w.before()
	return w.Writer.Put(ctx, obj, src)
}

// TestWhatTheImageTellsMeanwhile compares its status and properties whenever a store begins to get the data.
func TestWhatTheImageTellsMeanwhile(t *testing.T) {
	url := web(t)
	for _, method := range []string{image.ImportURL, image.ImportStaged} {
		for allow, want := range map[bool][]string{
			false: {`first: importing "first,second" ""`, `second: importing "second" ""`},
			true:  {`first: importing "first,second" ""`, `second: active "second" ""`},
		} {
			t.Run(fmt.Sprint(method, " ", allow), func(t *testing.T) {
				var l *lab
				var id image.ID
				var told []string
				l = newLab(t, openDB(t), t.TempDir(), func(store string, w imagestore.Writer) imagestore.Writer {
					if store == imagestore.Staging {
						return w
					}
					return &watched{w, func() {
						img, err := l.Get(t.Context(), id)
						if err != nil {
							t.Error(err)
							return
						}
						told = append(told, fmt.Sprintf("%s: %s %q %q", store, img.Status, img.Properties[image.PropertyImporting], img.Properties[image.PropertyFailedImport]))
					}}
				})
				id = l.create()
				imp := image.Import{Method: method, AllStores: true, AllowFailure: allow}
				if method == image.ImportURL {
					imp.URL = url + "/data"
				} else if err := l.Stage(t.Context(), id, upload(data)); err != nil {
					t.Fatal(err)
				}
				l.do(id, imp)
				l.check(id, everywhere)
				if !slices.Equal(told, want) {
					t.Errorf("the image told\n%q, want\n%q", told, want)
				}
			})
		}
	}
}
