package imageservice_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
	"github.com/vitrine-image/vitrine/imagestore"
)

// sweeps counts those of a store that may be away.
type sweeps struct {
	imagestore.Writer
	away bool
	n    int
}

func (s *sweeps) Sweep(context.Context) (int, error) {
	s.n++
	if s.away {
		return 0, image.ErrStoreOffline
	}
	return 0, nil
}

func (s *sweeps) Put(ctx context.Context, obj imagestore.Object, src imagestore.Source) (image.Location, error) {
	if s.away {
		return image.Location{}, image.ErrStoreOffline
	}
	return s.Writer.Put(ctx, obj, src)
}

func (s *sweeps) Delete(ctx context.Context, loc image.Location) error {
	if s.away {
		return image.ErrStoreOffline
	}
	return s.Writer.Delete(ctx, loc)
}

// TestStoresAreSweptWhereSomethingMayBeLeft: each once as soon as it is there, and again after a write that could not be
// cleaned up.
func TestStoresAreSweptWhereSomethingMayBeLeft(t *testing.T) {
	dir := t.TempDir()
	here := &sweeps{Writer: openFiles(t, "here", filepath.Join(dir, "here"))}
	other := &sweeps{Writer: openFiles(t, "other", filepath.Join(dir, "other")), away: true}
	svc := openWith(t, imageservice.Config{DB: openDB(t, dir)}, imagestore.Entry{ID: "here", Store: here, Default: true},
		imagestore.Entry{ID: "other", Store: other})
	sweep := func(want error, nHere, nOther int) {
		t.Helper()
		if err := svc.Sweep(t.Context(), anyStore); !errors.Is(err, want) || here.n != nHere || other.n != nOther {
			t.Errorf("Sweep = %v, %d and %d sweeps so far, want %v, %d and %d", err, here.n, other.n, want, nHere, nOther)
		}
	}
	sweep(image.ErrStoreOffline, 1, 1)
	sweep(image.ErrStoreOffline, 1, 2)
	other.away = false
	sweep(nil, 1, 3)
	sweep(nil, 1, 3)
	s := session{svc.As(admin)}
	active(t, s, "disk", "data")
	sweep(nil, 1, 3)
	img, err := s.Create(t.Context(), "", rawFormats)
	if err != nil {
		t.Fatal(err)
	}
	here.away = true
	if err := s.Upload(t.Context(), img.ID, strings.NewReader("data"), 4); !errors.Is(err, image.ErrStoreOffline) {
		t.Errorf("Upload = %v, want ErrStoreOffline", err)
	}
	here.away = false
	sweep(nil, 2, 3)
	sweep(nil, 2, 3)
}

// recurrent is a store that wants to be swept every hour.
type recurrent struct{ *sweeps }

func (recurrent) SweepEvery() time.Duration { return time.Hour }

// TestStoresAreSweptAtTheirTime where nothing tells that something was left.
func TestStoresAreSweptAtTheirTime(t *testing.T) {
	dir := t.TempDir()
	store := recurrent{&sweeps{Writer: openFiles(t, "here", filepath.Join(dir, "here"))}}
	now := time.Now()
	svc := openWith(t, imageservice.Config{DB: openDB(t, dir), Now: func() time.Time { return now }},
		imagestore.Entry{ID: "here", Store: store, Default: true})
	for _, tt := range []struct {
		after time.Duration
		away  bool
		want  int // sweeps so far
	}{
		{0, false, 1}, {59 * time.Minute, false, 1}, {time.Minute, true, 2}, {time.Minute, false, 3}, {time.Minute, false, 3}, {time.Hour, false, 4},
	} {
		now, store.away = now.Add(tt.after), tt.away
		if err := svc.Sweep(t.Context(), anyStore); (err != nil) != tt.away || store.n != tt.want {
			t.Errorf("Sweep %s later = %v, %d sweeps so far, want %d", tt.after, err, store.n, tt.want)
		}
	}
}

// TestErrorsNameTheStoreOnce asks for everything while the disk is away.
func TestErrorsNameTheStoreOnce(t *testing.T) {
	dir := t.TempDir()
	svc := open(t, dir, nil)
	s := session{svc.As(admin)}
	img, err := s.Create(t.Context(), "", rawFormats)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "images"), filepath.Join(dir, "elsewhere")); err != nil {
		t.Fatal(err)
	}
	for _, try := range []struct {
		what string
		do   func() error
	}{
		{"upload", func() error { return s.Upload(t.Context(), img.ID, strings.NewReader("data"), 4) }}, // finds out
		{"sweep", func() error { return svc.Sweep(t.Context(), anyStore) }},
		{"audit", func() error { return svc.Audit(t.Context(), func(imageservice.Finding) {}) }},
	} {
		err := try.do()
		if err == nil {
			t.Errorf("%s succeeds", try.what)
			continue
		}
		for line := range strings.Lines(err.Error()) {
			if strings.Count(line, "store local") != 1 {
				t.Errorf("%s: %s, want an error that names the store once", try.what, line)
			}
		}
	}
}
