package imageservice_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/imagestore/filestore"
	"github.com/vitrine-image/vitrine/metadata"
)

// hooked is a store that calls functions around its verbs, unless they are nil.
type hooked struct {
	imagestore.Writer
	afterPut, locate func()
	delete           func() error // in place of a deletion that it fails
}

func (h *hooked) Put(ctx context.Context, obj imagestore.Object, src imagestore.Source) (image.Location, error) {
	loc, err := h.Writer.Put(ctx, obj, src)
	if h.afterPut != nil {
		h.afterPut()
	}
	return loc, err
}

func (h *hooked) Delete(ctx context.Context, loc image.Location) error {
	if h.delete != nil {
		if err := h.delete(); err != nil {
			return err
		}
	}
	return h.Writer.Delete(ctx, loc)
}

func (h *hooked) Locate(obj imagestore.Object) image.Location {
	if h.locate != nil {
		h.locate()
	}
	return h.Writer.Locate(obj)
}

// A node is one of several processes that share a database and a directory. Its clock may be ahead of the others'.
func node(t *testing.T, db metadata.DB, dir string, ahead time.Duration) (*imageservice.Service, session, *hooked) {
	t.Helper()
	store := &hooked{Writer: openFiles(t, "local", filepath.Join(dir, "images"))}
	svc := openWith(t, imageservice.Config{DB: db, Now: func() time.Time { return time.Now().Add(ahead) }},
		imagestore.Entry{ID: "local", Store: store, Default: true})
	return svc, session{svc.As(admin)}, store
}

var rawFormats = []image.Edit{{Op: image.EditAdd, Name: "disk_format", Value: "raw"}, {Op: image.EditAdd, Name: "container_format", Value: "bare"}}

func queued(t *testing.T, s session) *image.Image {
	t.Helper()
	img, err := s.Create(t.Context(), "", rawFormats)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func send(t *testing.T, s session, id image.ID, data string) error {
	return s.Upload(t.Context(), id, bytes.NewReader([]byte(data)), int64(len(data)))
}

func checkStatus(t *testing.T, s session, id image.ID, want image.Status) {
	t.Helper()
	if img, err := s.Get(t.Context(), id); err != nil || img.Status != want {
		t.Errorf("the image is %+v, %v, want it %s", img, err, want)
	}
}

func checkData(t *testing.T, s session, id image.ID, want string) {
	t.Helper()
	if got, err := s.Download(t.Context(), id); string(got) != want || err != nil {
		t.Errorf("Download = %q, %v, want %q", got, err, want)
	}
}

// abandoned makes an image whose upload died with its process.
func abandoned(t *testing.T, db metadata.DB, s session) *image.Image {
	t.Helper()
	img := queued(t, s)
	err := db.Update(t.Context(), func(tx metadata.WriteTx) error {
		img.Status = image.Saving
		if err := tx.SaveImage(img); err != nil {
			return err
		}
		return tx.AddUpload(image.Upload{ID: "upload-of-" + string(img.ID), Number: img.Number, ImageID: img.ID, Store: "local",
			Object: string(img.ID), Instance: "dead", Bytes: -1, Started: img.CreatedAt})
	})
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// TestTakenForDead lets another node clean up after an upload whose process slept between its last byte and its record:
// the image must not become active without bytes.
func TestTakenForDead(t *testing.T) {
	dir, db := t.TempDir(), openDB(t, t.TempDir())
	_, s, store := node(t, db, dir, 0)
	other, _, _ := node(t, db, dir, 2*time.Minute)
	img := queued(t, s)
	store.afterPut = func() {
		if err := other.Sweep(t.Context(), anyStore); err != nil {
			t.Error(err)
		}
	}
	if err := send(t, s, img.ID, "data"); !errors.Is(err, image.ErrConflict) {
		t.Errorf("Upload = %v, want %v", err, image.ErrConflict)
	}
	checkStatus(t, s, img.ID, image.Queued)
	store.afterPut = nil
	if err := send(t, s, img.ID, "again"); err != nil {
		t.Fatal(err)
	}
	checkData(t, s, img.ID, "again")
}

// TestSweepThatIsOvertaken has a node fall asleep while it settles a dead upload. When it wakes up another one has done
// so, and somebody is uploading anew.
func TestSweepThatIsOvertaken(t *testing.T) {
	dir, db := t.TempDir(), openDB(t, t.TempDir())
	sleepy, s, store := node(t, db, dir, 2*time.Minute)
	awake, awakeSession, _ := node(t, db, dir, 10*time.Minute)
	img := abandoned(t, db, s)
	body, client := io.Pipe()
	done := make(chan error, 1)
	store.delete = func() error {
		if err := awake.Sweep(t.Context(), anyStore); err != nil {
			t.Error(err)
		}
		checkStatus(t, s, img.ID, image.Queued)
		go func() {
			defer body.Close() // nobody goes on writing to an upload that failed
			done <- awakeSession.Upload(context.Background(), img.ID, body, -1)
		}()
		_, err := client.Write([]byte("data")) // is read once the reservation is there
		return err
	}
	if err := sleepy.Sweep(t.Context(), anyStore); err != nil {
		t.Error(err)
	}
	checkStatus(t, s, img.ID, image.Saving)
	client.Close()
	if err := <-done; err != nil {
		t.Errorf("the new upload = %v", err)
	}
	checkData(t, s, img.ID, "data")
}

// beforeUpdate is a database that calls a function before its first UpdateFreeing.
type beforeUpdate struct {
	metadata.DB
	call func()
}

func (db *beforeUpdate) UpdateFreeing(ctx context.Context, fn func(metadata.WriteTx) error) error {
	if call := db.call; call != nil {
		db.call = nil
		call()
	}
	return db.DB.UpdateFreeing(ctx, fn)
}

// TestTwoSweeps lets two nodes find the same dead upload: one of them settles it.
func TestTwoSweeps(t *testing.T) {
	dir, db := t.TempDir(), openDB(t, t.TempDir())
	first, s, firstStore := node(t, db, dir, 0)
	late := &beforeUpdate{DB: db}
	second, _, secondStore := node(t, late, dir, 0)
	img := abandoned(t, db, s)
	deleting, goOn, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	firstStore.delete = func() error { close(deleting); <-goOn; return nil }
	secondStore.delete = func() error { t.Error("the second node deletes, too"); return nil }
	late.call = func() { // it has seen the upload, and the first one is faster
		go func() { done <- first.Sweep(context.Background(), anyStore) }()
		select {
		case <-deleting:
		case err := <-done:
			t.Errorf("the first sweep deletes nothing: %v", err)
			done <- err
		}
	}
	if err := second.Sweep(t.Context(), anyStore); err != nil {
		t.Error(err)
	}
	checkStatus(t, s, img.ID, image.Saving)
	close(goOn)
	if err := <-done; err != nil {
		t.Error(err)
	}
	checkStatus(t, s, img.ID, image.Queued)
}

// TestUploadWhileADirectoryIsAway fails while nobody can tell whether it left something in the directory that is away.
// The image can be uploaded again at once, and what is removed once the directory is back is not the new data.
func TestUploadWhileADirectoryIsAway(t *testing.T) {
	for _, preferred := range []int{0, 1} {
		parent, db := t.TempDir(), openDB(t, t.TempDir())
		dirs := []string{filepath.Join(parent, "one"), filepath.Join(parent, "two")}
		one, two := dirs[preferred], dirs[1-preferred]
		openFiles(t, "local", dirs...).Close()
		move := func(from, to string) {
			t.Helper()
			if err := os.Rename(from, to); err != nil {
				t.Fatal(err)
			}
		}
		move(one, one+" away")
		store := imagestore.Entry{ID: "local", Store: openFiles(t, "local", dirs...), Default: true}
		s := session{openWith(t, imageservice.Config{DB: db}, store).As(admin)}
		img := queued(t, s)
		for range 2 {
			if err := s.Upload(t.Context(), img.ID, iotest.ErrReader(errors.New("reset")), -1); !errors.Is(err, image.ErrInterrupted) {
				t.Errorf("Upload = %v, want %v", err, image.ErrInterrupted)
			}
			checkStatus(t, s, img.ID, image.Queued)
		}
		move(one+" away", one)
		move(two, two+" away") // so that new data goes where the garbage is
		store.Store = openFiles(t, "local", dirs...)
		svc := openWith(t, imageservice.Config{DB: db}, store)
		s = session{svc.As(admin)}
		if err := send(t, s, img.ID, "data"); err != nil {
			t.Fatal(err)
		}
		if err := svc.Sweep(t.Context(), anyStore); !errors.Is(err, image.ErrStoreOffline) {
			t.Errorf("Sweep = %v, want %v", err, image.ErrStoreOffline)
		}
		checkData(t, s, img.ID, "data")
		move(two+" away", two)
		if err := svc.Audit(t.Context(), func(f imageservice.Finding) { t.Errorf("the audit found %+v", f) }); err != nil {
			t.Error(err)
		}
		checkNoGarbage(t, db)
	}
}

func checkNoGarbage(t *testing.T, db metadata.DB) {
	t.Helper()
	err := db.View(t.Context(), func(tx metadata.Tx) error {
		left, err := tx.Garbage(0, 10)
		if len(left) != 0 {
			t.Errorf("garbage %v is left", left)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestDeletionMindsItsOwnData does not try again what an earlier deletion could not do.
func TestDeletionMindsItsOwnData(t *testing.T) {
	dir := t.TempDir()
	svc, s, store := node(t, openDB(t, dir), dir, 0)
	first, second := active(t, s, "first", "data"), active(t, s, "second", "data")
	calls := 0
	store.delete = func() error { calls++; return image.ErrStoreOffline }
	for _, img := range []*image.Image{first, second} {
		if err := s.Delete(t.Context(), img.ID); err != nil {
			t.Error(err)
		}
	}
	if calls != 2 {
		t.Errorf("two deletions asked the store %d times", calls)
	}
	err := svc.Sweep(t.Context(), anyStore)
	if !errors.Is(err, image.ErrStoreOffline) || strings.Count(err.Error(), "image") != 1 || calls != 4 {
		t.Errorf("Sweep asks the store %d times and says %v, want that it tries both and tells of one", calls-2, err)
	}
	store.delete = nil
	if err := svc.Sweep(t.Context(), anyStore); err != nil {
		t.Error(err)
	}
	if n := files(t, dir); n != 0 {
		t.Errorf("%d files are left", n)
	}
}

// writing is a database that knows whether an Update or UpdateFreeing is under way.
type writing struct {
	metadata.DB
	now atomic.Bool
}

func (db *writing) Update(ctx context.Context, fn func(metadata.WriteTx) error) error {
	return db.DB.Update(ctx, db.watched(fn))
}

func (db *writing) UpdateFreeing(ctx context.Context, fn func(metadata.WriteTx) error) error {
	return db.DB.UpdateFreeing(ctx, db.watched(fn))
}

func (db *writing) watched(fn func(metadata.WriteTx) error) func(metadata.WriteTx) error {
	return func(tx metadata.WriteTx) error {
		db.now.Store(true)
		defer db.now.Store(false)
		return fn(tx)
	}
}

// TestNoUpdateWaitsForADisk wants no store to be asked while all writers of the database wait.
func TestNoUpdateWaitsForADisk(t *testing.T) {
	db := &writing{DB: openDB(t, t.TempDir())}
	_, s, store := node(t, db, t.TempDir(), 0)
	asked := 0
	store.locate = func() {
		if asked++; db.now.Load() {
			t.Error("a store is asked within an Update")
		}
	}
	img := active(t, s, "disk", "data")
	if err := s.Delete(t.Context(), img.ID); err != nil {
		t.Error(err)
	}
	if asked == 0 {
		t.Error("the store was not asked at all")
	}
}

// TestDataInTheWay finds data of the image that no record names, as a restored database may leave it.
func TestDataInTheWay(t *testing.T) {
	dir := t.TempDir()
	s := session{open(t, dir, nil).As(admin)}
	img := queued(t, s)
	file := objectFile(dir, img.ID)
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("old"), 0o640); err != nil {
		t.Fatal(err)
	}
	var written *image.Error
	if err := send(t, s, img.ID, "new"); !errors.Is(err, image.ErrConflict) || !errors.As(err, &written) {
		t.Errorf("Upload = %v, want %v with a text for the client", err, image.ErrConflict)
	}
	checkStatus(t, s, img.ID, image.Queued)
	if err := send(t, s, img.ID, "new"); err != nil {
		t.Errorf("the next Upload = %v", err)
	}
	checkData(t, s, img.ID, "new")
}

// TestFullStoreIsLogged tells the operator what the client is told as well.
func TestFullStoreIsLogged(t *testing.T) {
	store, err := filestore.Open(filestore.Config{ID: "local", Dirs: []filestore.Dir{{Path: t.TempDir()}}, MinFree: 1 << 60})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	var log bytes.Buffer
	svc := openWith(t, imageservice.Config{DB: openDB(t, t.TempDir()), Logger: slog.New(slog.NewTextHandler(&log, nil))},
		imagestore.Entry{ID: "local", Store: store, Default: true})
	s := session{svc.As(admin)}
	img := queued(t, s)
	if err := send(t, s, img.ID, "data"); !errors.Is(err, image.ErrStoreFull) {
		t.Errorf("Upload = %v, want %v", err, image.ErrStoreFull)
	}
	checkStatus(t, s, img.ID, image.Queued)
	if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "no room") {
		t.Errorf("the log says\n%s", log.String())
	}
}
