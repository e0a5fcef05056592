package imageservice_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/imagestore/storetest"
	"github.com/vitrine-image/vitrine/metadata"
)

func objectFile(dir string, id image.ID) string {
	return filepath.Join(dir, "images", string(id[:2]), string(id))
}

// checkLost makes sure that a download fails, and that the client is told what is wrong where.
func checkLost(t *testing.T, s session, id image.ID, want error, words ...string) {
	t.Helper()
	_, err := s.Download(t.Context(), id)
	checkText(t, "Download", err, want, append(words, string(id))...)
}

// checkText makes sure that an error has a text for the client with the words.
func checkText(t *testing.T, what string, err, want error, words ...string) {
	t.Helper()
	var written *image.Error
	if !errors.Is(err, want) || !errors.As(err, &written) {
		t.Errorf("%s = %v, want %v with a text for the client", what, err, want)
		return
	}
	for _, word := range words {
		if !strings.Contains(written.Text, word) {
			t.Errorf("%s: the client is told %q, want %q in it", what, written.Text, word)
		}
	}
}

// TestLostData tells the client which data is lost in which store, and goes on with other images.
func TestLostData(t *testing.T) {
	dir := t.TempDir()
	s := session{open(t, dir, nil).As(admin)}
	short, long, gone, kept := active(t, s, "short", "data"), active(t, s, "long", "data"), active(t, s, "gone", "data"), active(t, s, "kept", "data")
	if err := os.Truncate(objectFile(dir, short.ID), 3); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(objectFile(dir, long.ID), []byte("data!"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(objectFile(dir, gone.ID)); err != nil {
		t.Fatal(err)
	}
	checkLost(t, s, short.ID, image.ErrDataMissing, "missing or damaged", `"local"`, "3 bytes", "4 were", "backup")
	checkLost(t, s, long.ID, image.ErrDataMissing, "missing or damaged", `"local"`, "5 bytes", "4 were", "backup")
	checkLost(t, s, gone.ID, image.ErrDataMissing, "missing", `"local"`, "backup")
	if got, err := s.Download(t.Context(), kept.ID); string(got) != "data" {
		t.Errorf("Download = %q, %v", got, err)
	}
}

// TestOtherCopiesAreTried loses one copy after the other of an image that two stores have.
func TestOtherCopiesAreTried(t *testing.T) {
	dir, db := t.TempDir(), openDB(t, t.TempDir())
	second := openFiles(t, "second", t.TempDir())
	entries := []imagestore.Entry{
		{ID: "local", Store: openFiles(t, "local", filepath.Join(dir, "images")), Default: true, Local: true},
		{ID: "second", Store: second},
	}
	svc := openWith(t, imageservice.Config{DB: db}, entries...)
	s := session{svc.As(admin)}
	img := active(t, s, "disk", "data")
	copied, err := second.Put(t.Context(), imagestore.Object{ImageID: img.ID, Name: string(img.ID)}, storetest.NewSource([]byte("data"), 4))
	if err != nil {
		t.Fatal(err)
	}
	img.Locations = append(img.Locations, copied)
	if err := db.Update(t.Context(), func(tx metadata.WriteTx) error { return tx.SaveImage(img) }); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(objectFile(dir, img.ID), 0); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Download(t.Context(), img.ID); string(got) != "data" {
		t.Errorf("Download with one copy lost = %q, %v", got, err)
	}
	if r, loc, err := svc.Tree(imageservice.TreeConfig{}).Open(t.Context(), img.Number); err != nil || loc.URL != copied.URL {
		t.Errorf("the mount opens the data at %v, %v, want %v", loc, err, copied)
	} else {
		r.Close()
	}
	s = session{openWith(t, imageservice.Config{DB: db}, entries[0]).As(admin)}
	checkLost(t, s, img.ID, image.ErrStoreOffline, "cannot be reached", `"second"`) // it may come back
	if err := second.Delete(t.Context(), copied); err != nil {
		t.Fatal(err)
	}
	s = session{openWith(t, imageservice.Config{DB: db}, entries...).As(admin)}
	checkLost(t, s, img.ID, image.ErrDataMissing, `"local"`)
}

// opening is a store that calls a function before each Open.
type opening struct {
	imagestore.Writer
	before func(context.Context)
}

func (o *opening) Open(ctx context.Context, loc image.Location) (imagestore.Reader, error) {
	o.before(ctx)
	return o.Writer.Open(ctx, loc)
}

// openWhile returns a service on a store that calls before, and what the service logs.
func openWhile(t *testing.T, before *func(context.Context)) (session, *imageservice.Service, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	store := &opening{openFiles(t, "local", filepath.Join(t.TempDir(), "images")), func(ctx context.Context) { (*before)(ctx) }}
	svc := openWith(t, imageservice.Config{DB: openDB(t, t.TempDir()), Logger: slog.New(slog.NewTextHandler(&log, nil))},
		imagestore.Entry{ID: "local", Store: store, Default: true})
	return session{svc.As(admin)}, svc, &log
}

// TestDeletedWhileOpening is no loss of data, and nobody is alarmed.
func TestDeletedWhileOpening(t *testing.T) {
	var before func(context.Context)
	s, svc, log := openWhile(t, &before)
	for name, open := range map[string]func(*image.Image) error{
		"Download": func(img *image.Image) error { _, err := s.Download(t.Context(), img.ID); return err },
		"Audit": func(img *image.Image) error {
			return svc.Audit(t.Context(), func(f imageservice.Finding) { t.Errorf("the audit found %+v", f) })
		},
	} {
		img := active(t, s, "disk", "data")
		before = func(ctx context.Context) {
			if err := s.Delete(ctx, img.ID); err != nil {
				t.Error(err)
			}
		}
		if err := open(img); name == "Download" && !errors.Is(err, image.ErrNotFound) || name == "Audit" && err != nil {
			t.Errorf("%s of an image that is deleted = %v", name, err)
		}
	}
	if strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("the log has errors:\n%s", log)
	}
}

// TestAuditEndsWithTheContext does not take for lost what it did not come to look at.
func TestAuditEndsWithTheContext(t *testing.T) {
	var before func(context.Context)
	s, svc, _ := openWhile(t, &before)
	active(t, s, "a", "data")
	active(t, s, "b", "data")
	ctx, cancel := context.WithCancel(t.Context())
	before = func(context.Context) { cancel() }
	err := svc.Audit(ctx, func(f imageservice.Finding) { t.Errorf("the audit found %+v", f) })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Audit = %v, want %v", err, context.Canceled)
	}
}

// TestLimitsOfZero: an operator who says that there may be no properties, tags and members is taken at his word.
func TestLimitsOfZero(t *testing.T) {
	s := session{openWithStore(t, imageservice.Config{Limits: &imageservice.Limits{}}).As(admin)}
	for _, edit := range []image.Edit{{Op: image.EditAdd, Name: "p", Value: "v"}, {Op: image.EditAdd, Name: "tags", Value: []any{"t"}}} {
		if _, err := s.Create(t.Context(), "", []image.Edit{edit}); !errors.Is(err, image.ErrTooLarge) {
			t.Errorf("Create with %s = %v, want ErrTooLarge", edit.Name, err)
		}
	}
	if img := active(t, s, "disk", "data"); img.Status != image.Active {
		t.Errorf("an image without them is %s", img.Status)
	}
}

// TestLoweredQuotas lets an image keep and give away what it has above a limit that was lowered.
func TestLoweredQuotas(t *testing.T) {
	db, store := openDB(t, t.TempDir()), openFiles(t, "local", t.TempDir())
	serve := func(limits imageservice.Limits) session {
		svc := openWith(t, imageservice.Config{DB: db, Limits: &limits}, imagestore.Entry{ID: "local", Store: store, Default: true})
		return session{svc.As(admin)}
	}
	add := func(name string, value any) image.Edit {
		return image.Edit{Op: image.EditAdd, Name: name, Value: value}
	}
	img, err := serve(imageservice.DefaultLimits).Create(t.Context(), "", []image.Edit{add("a", "1"), add("b", "1"), add("c", "1"),
		add("tags", []any{"x", "y", "z"})})
	if err != nil {
		t.Fatal(err)
	}
	s := serve(imageservice.Limits{ImageSize: 1 << 20, Properties: 1, Tags: 1})
	for _, tt := range []struct {
		name string
		edit image.Edit
		want error
	}{
		{"a name", add("name", "new"), nil},
		{"another value", add("a", "2"), nil},
		{"one property less", image.Edit{Op: image.EditRemove, Name: "b"}, nil},
		{"one tag less", add("tags", []any{"y", "z"}), nil},
		{"another property", add("d", "1"), image.ErrTooLarge},
		{"other tags", add("tags", []any{"v", "w"}), image.ErrTooLarge},
		{"one tag", add("tags", []any{"v"}), nil},
	} {
		if _, err := s.Edit(t.Context(), img.ID, []image.Edit{tt.edit}); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	if err := s.AddTag(t.Context(), img.ID, "w"); !errors.Is(err, image.ErrTooLarge) {
		t.Errorf("AddTag = %v, want %v", err, image.ErrTooLarge)
	}
}

// measured is a store of a given size, or one that is away.
type measured struct {
	imagestore.Store
	space imagestore.Space
	err   error
}

func (m measured) Space(context.Context) (imagestore.Space, error) { return m.space, m.err }

// TestSpaceWhileAStoreIsAway still answers for the others.
func TestSpaceWhileAStoreIsAway(t *testing.T) {
	db, files := openDB(t, t.TempDir()), openFiles(t, "a", t.TempDir())
	some, away := imagestore.Space{Total: 10, Free: 3}, image.ErrStoreOffline
	for _, tt := range []struct {
		errs [2]error
		want imagestore.Space
		err  error
	}{
		{[2]error{nil, nil}, imagestore.Space{Total: 20, Free: 6}, nil},
		{[2]error{away, nil}, some, nil},
		{[2]error{nil, away}, some, nil},
		{[2]error{away, away}, imagestore.Space{}, away},
	} {
		svc := openWith(t, imageservice.Config{DB: db},
			imagestore.Entry{ID: "a", Store: measured{files, some, tt.errs[0]}, Default: true},
			imagestore.Entry{ID: "b", Store: measured{files, some, tt.errs[1]}},
			imagestore.Entry{ID: "c", Store: struct{ imagestore.Store }{files}}) // does not know
		got, err := svc.Tree(imageservice.TreeConfig{}).Space(t.Context())
		if got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("with the errors %v: Space = %+v, %v, want %+v, %v", tt.errs, got, err, tt.want, tt.err)
		}
	}
}

// pensive answers as soon as the test says what, or its ctx ends.
type pensive struct {
	imagestore.Store
	answers chan measured
}

func (s pensive) Space(ctx context.Context) (imagestore.Space, error) {
	select {
	case m := <-s.answers:
		return m.space, m.err
	case <-ctx.Done():
		return imagestore.Space{}, ctx.Err()
	}
}

// TestStoresDetailWaitsForNobody tells what a slow store said last, until it fails.
func TestStoresDetailWaitsForNobody(t *testing.T) {
	files := openFiles(t, "a", t.TempDir())
	hangs := pensive{files, make(chan measured, 1)}
	svc := openWith(t, imageservice.Config{DB: openDB(t, t.TempDir())},
		imagestore.Entry{ID: "a", Store: measured{files, imagestore.Space{Total: 10, Free: 3}, nil}, Default: true, Properties: map[string]any{"chunk_size": 1}},
		imagestore.Entry{ID: "b", Store: hangs})
	detail := func() string {
		stores, err := svc.As(admin).StoresDetail(t.Context())
		if err != nil || len(stores) != 2 {
			t.Fatalf("StoresDetail = %+v, %v", stores, err)
		}
		return fmt.Sprint(stores[0].Properties, stores[1].Properties)
	}
	const quick = "map[chunk_size:1 free:3 total:10]"
	want := func(b string) {
		t.Helper()
		if got := detail(); got != quick+" "+b {
			t.Errorf("StoresDetail = %s, want %s %s", got, quick, b)
		}
	}
	want("map[]")
	hangs.answers <- measured{space: imagestore.Space{Total: 5, Free: 1}}
	want("map[free:1 total:5]")
	hangs.answers <- measured{err: image.ErrStoreOffline}
	want("map[]")
	svc.Close()
	want("map[]")
}

// TestSizeCap holds for what is announced and for what just comes; 0 is none.
func TestSizeCap(t *testing.T) {
	db, store := openDB(t, t.TempDir()), openFiles(t, "local", t.TempDir())
	for _, tt := range []struct {
		limit     int64
		announced int64
		want      error
	}{
		{4, 4, nil}, {4, -1, nil}, {3, 4, image.ErrTooLarge}, {3, -1, image.ErrTooLarge}, {0, 4, nil}, {0, -1, nil},
	} {
		svc := openWith(t, imageservice.Config{DB: db, Limits: &imageservice.Limits{ImageSize: tt.limit, Properties: -1, Tags: -1}},
			imagestore.Entry{ID: "local", Store: store, Default: true})
		s := session{svc.As(admin)}
		img := queued(t, s)
		if err := s.Upload(t.Context(), img.ID, strings.NewReader("data"), tt.announced); !errors.Is(err, tt.want) {
			t.Errorf("Upload of 4 bytes, announced as %d, with a limit of %d = %v, want %v", tt.announced, tt.limit, err, tt.want)
		}
	}
}
