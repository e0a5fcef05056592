package imageservice_test

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/metadata"
)

// fullDB takes no changes while it is full.
type fullDB struct {
	metadata.DB
	full bool
}

func (db *fullDB) Update(ctx context.Context, fn func(metadata.WriteTx) error) error {
	if db.full {
		return image.ErrUnavailable
	}
	return db.DB.Update(ctx, fn)
}

func (db *fullDB) UpdateFreeing(ctx context.Context, fn func(metadata.WriteTx) error) error {
	return db.Update(ctx, fn)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestASweepIsWokenForWhatAnUploadLeaves: an image does not stay saving until the sweep comes by itself.
func TestASweepIsWokenForWhatAnUploadLeaves(t *testing.T) {
	dir := t.TempDir()
	db := &fullDB{DB: openDB(t, dir)}
	svc := openWith(t, imageservice.Config{DB: db},
		imagestore.Entry{ID: "local", Store: openFiles(t, "local", filepath.Join(dir, "images")), Default: true, Local: true})
	s := session{svc.As(admin)}
	img := queued(t, s)
	body := io.MultiReader(strings.NewReader("data"), readerFunc(func([]byte) (int, error) {
		db.full = true
		return 0, io.EOF
	}))
	if err := s.Upload(t.Context(), img.ID, body, -1); !errors.Is(err, image.ErrUnavailable) {
		t.Fatalf("Upload = %v", err)
	}
	select {
	case <-svc.Released("local"):
	default:
		t.Error("nobody is woken")
	}
	if err := svc.Sweep(t.Context(), anyStore); !errors.Is(err, image.ErrUnavailable) {
		t.Errorf("Sweep while the database is full = %v, want an error, so that it is tried again", err)
	}
	db.full = false
	if err := svc.Sweep(t.Context(), anyStore); err != nil {
		t.Error(err)
	}
	if got, err := s.Get(t.Context(), img.ID); err != nil || got.Status != image.Queued {
		t.Errorf("the image is %+v, %v, want it queued again", got, err)
	}
}
