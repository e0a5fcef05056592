package imageservice_test

import (
	"bytes"
	"context"
	"io"
	"path/filepath"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
	"github.com/vitrine-image/vitrine/imageservice/servicetest"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/imagestore/filestore"
	"github.com/vitrine-image/vitrine/ingest"
	"github.com/vitrine-image/vitrine/internal/signature/signaturetest"
	"github.com/vitrine-image/vitrine/metadata"
	"github.com/vitrine-image/vitrine/metadata/sqlite"
)

var admin = image.Caller{ProjectID: "p1", Roles: []string{"admin"}}

func TestContract(t *testing.T) {
	servicetest.Run(t, func(t *testing.T) servicetest.Images {
		return session{openImports(t, openDB(t, t.TempDir()), t.TempDir(), nil).As(admin)}
	})
}

// open returns a service on a database and a store in dir; wrap changes the store, unless nil.
func open(t *testing.T, dir string, wrap func(imagestore.Writer) imagestore.Writer) *imageservice.Service {
	t.Helper()
	return openOn(t, openDB(t, dir), dir, wrap, false)
}

func openDB(t testing.TB, dir string) metadata.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(dir, "vitrine.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func openOn(t *testing.T, db metadata.DB, dir string, wrap func(imagestore.Writer) imagestore.Writer, trash bool) *imageservice.Service {
	t.Helper()
	var store imagestore.Writer = openFiles(t, "local", filepath.Join(dir, "images"))
	if wrap != nil {
		store = wrap(store)
	}
	return openWith(t, imageservice.Config{DB: db, TrashInUse: trash}, imagestore.Entry{ID: "local", Store: store, Default: true, Local: true})
}

// openWithStore returns a service on a new database and a store.
func openWithStore(t testing.TB, cfg imageservice.Config) *imageservice.Service {
	t.Helper()
	dir := t.TempDir()
	cfg.DB = openDB(t, dir)
	return openWith(t, cfg, imagestore.Entry{ID: "local", Store: openFiles(t, "local", filepath.Join(dir, "images")), Default: true, Local: true})
}

// openImports returns a service with two stores and a staging area in dir, which imports; wrap changes each, unless nil.
func openImports(t *testing.T, db metadata.DB, dir string, wrap func(id string, w imagestore.Writer) imagestore.Writer) *imageservice.Service {
	t.Helper()
	var entries []imagestore.Entry
	for _, id := range []string{"local", "second", imagestore.Staging} {
		var store imagestore.Writer = openFiles(t, id, filepath.Join(dir, "images", id))
		if wrap != nil {
			store = wrap(id, store)
		}
		entries = append(entries, imagestore.Entry{ID: id, Store: store, Default: id == "local", Local: true})
	}
	return openWith(t, imageservice.Config{DB: db, Signatures: signaturetest.Verifier(t, signaturetest.Default()),
		Import: imageservice.ImportConfig{Methods: image.ImportMethods(), CheckURL: anyURL, FindRegion: anyRegion}}, entries...)
}

func anyRegion(context.Context, image.Caller, string, string) (string, error) {
	return "http://other", nil
}

func anyURL(context.Context, string) error { return nil }

// openFiles returns a store with directories, the first one preferred.
func openFiles(t testing.TB, id string, dirs ...string) *filestore.Store {
	t.Helper()
	cfg := filestore.Config{ID: id}
	for i, dir := range dirs {
		cfg.Dirs = append(cfg.Dirs, filestore.Dir{Path: dir, Priority: -i})
	}
	store, err := filestore.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

func anyStore(string) bool { return true }

// openWith fills in what the configuration lacks. The heart of the new instance beats once.
func openWith(t testing.TB, cfg imageservice.Config, entries ...imagestore.Entry) *imageservice.Service {
	t.Helper()
	var err error
	if cfg.Stores, err = imagestore.NewSet(entries...); err != nil {
		t.Fatal(err)
	}
	cfg.Ingest = newIngester(t)
	cfg.Instance = t.Name() + string(image.NewID())
	svc, err := imageservice.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := svc.Beat(t.Context()); err != nil {
		t.Fatal(err)
	}
	return svc
}

func newIngester(t testing.TB) *ingest.Ingester {
	t.Helper()
	in, err := ingest.New(ingest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// session is a Session in the words of the suite.
type session struct{ *imageservice.Session }

func (s session) Upload(ctx context.Context, id image.ID, body io.Reader, size int64) error {
	return s.Session.Upload(ctx, id, imageservice.Upload{Body: body, ContentLength: size, ExpectedSize: -1})
}

func (s session) Stage(ctx context.Context, id image.ID, body io.Reader, size int64) error {
	return s.Session.Stage(ctx, id, imageservice.Upload{Body: body, ContentLength: size, ExpectedSize: -1})
}

func (s session) Download(ctx context.Context, id image.ID) ([]byte, error) {
	return s.DownloadAs(ctx, id, "")
}

func (s session) DownloadAs(ctx context.Context, id image.ID, format string) ([]byte, error) {
	data, err := s.Session.Open(ctx, id, imageservice.OpenOptions{Format: format})
	if err != nil {
		return nil, err
	}
	defer data.Reader.Close()
	if data.Stream != nil {
		var b bytes.Buffer
		err := data.Stream.Stream(ctx, &b)
		return b.Bytes(), err
	}
	p := make([]byte, data.Reader.Size())
	if n, err := data.Reader.ReadAt(ctx, p, 0); err != nil && (err != io.EOF || n != len(p)) {
		return nil, err
	}
	data.Sent(ctx, int64(len(p)), int64(len(p)), nil)
	return p, nil
}

// active makes an image with data.
func active(t *testing.T, s session, name, data string) *image.Image {
	t.Helper()
	img, err := s.Create(t.Context(), "", []image.Edit{{Op: image.EditAdd, Name: "name", Value: name},
		{Op: image.EditAdd, Name: "disk_format", Value: "raw"}, {Op: image.EditAdd, Name: "container_format", Value: "bare"}})
	if err == nil {
		err = s.Upload(t.Context(), img.ID, bytes.NewReader([]byte(data)), int64(len(data)))
	}
	if err == nil {
		img, err = s.Get(t.Context(), img.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	return img
}
