package imageservice_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
	"github.com/vitrine-image/vitrine/imagestore"
)

// within fails the test at once when fn hangs.
func within(t *testing.T, what string, fn func() error) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- fn() }()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	case <-time.After(time.Minute):
		t.Fatalf("%s hangs", what)
	}
}

// TestAStoreThatHangsHangsAlone: neither a deletion nor a sweep elsewhere waits for it. When it goes on, nothing is removed twice.
func TestAStoreThatHangsHangsAlone(t *testing.T) {
	dir := t.TempDir()
	far := &hooked{Writer: openFiles(t, "far", filepath.Join(dir, "far"))}
	svc := openWith(t, imageservice.Config{DB: openDB(t, dir)}, imagestore.Entry{ID: "far", Store: far, Default: true},
		imagestore.Entry{ID: "near", Store: openFiles(t, "near", filepath.Join(dir, "images"))})
	s := session{svc.As(admin)}
	in := func(store string) *image.Image {
		img := queued(t, s)
		up := imageservice.Upload{Body: strings.NewReader("data"), ContentLength: 4, ExpectedSize: -1, Store: store}
		if err := s.Session.Upload(t.Context(), img.ID, up); err != nil {
			t.Fatal(err)
		}
		return img
	}
	var due [3]*image.Image
	for i := range due {
		due[i] = in("far")
	}
	last, near := in("far"), in("near")
	far.delete = func() error { return image.ErrStoreOffline }
	for _, img := range due {
		if err := s.Delete(t.Context(), img.ID); err != nil {
			t.Fatal(err)
		}
	}

	hanging, swept, deleted := make(chan chan struct{}), make(chan error, 1), make(chan error, 1)
	far.delete = func() error {
		goOn := make(chan struct{})
		hanging <- goOn
		<-goOn
		return nil
	}
	sweep := func(store string) error {
		return svc.Sweep(context.Background(), func(id string) bool { return id == store })
	}
	go func() { swept <- sweep("far") }()
	first := <-hanging
	within(t, "a deletion elsewhere", func() error { return s.Delete(t.Context(), near.ID) })
	within(t, "a sweep elsewhere", func() error { return sweep("near") })
	if n := files(t, dir); n != 0 {
		t.Errorf("%d files of the image elsewhere are left", n)
	}
	if _, err := s.Get(t.Context(), near.ID); !errors.Is(err, image.ErrNotFound) {
		t.Errorf("the image elsewhere: %v, want %v", err, image.ErrNotFound)
	}

	go func() { deleted <- s.Delete(context.Background(), last.ID) }()
	close(first)
	removals := 1
	for waiting := 2; waiting > 0; {
		select {
		case goOn := <-hanging:
			removals++
			close(goOn)
		case err := <-deleted:
			waiting--
			if err != nil {
				t.Error(err)
			}
		case err := <-swept:
			waiting--
			if err != nil {
				t.Error(err)
			}
		}
	}
	if removals != 4 {
		t.Errorf("%d removals of 4 objects", removals)
	}
}
