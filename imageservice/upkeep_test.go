package imageservice_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
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
func TestAStoreThatHangsHangsAlone(t *testing.T) { synctest.Test(t, aStoreThatHangsHangsAlone) }

func aStoreThatHangsHangsAlone(t *testing.T) {
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

// silentFor is how long a silent store keeps who asks it.
const silentFor = 30 * time.Second

// TestNobodyWaitsForOthersOfAStoreThatHangs: a deletion and the cleaning up after a failed upload wait once for the store at
// most, and not at all once it is known to give no answer. The sweep removes everything when it does again.
func TestNobodyWaitsForOthersOfAStoreThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		far := &hooked{Writer: openFiles(t, "far", filepath.Join(dir, "far"))}
		svc := openWith(t, imageservice.Config{DB: openDB(t, dir)}, imagestore.Entry{ID: "far", Store: far, Default: true})
		s := session{svc.As(admin)}
		var images []*image.Image
		for range 4 {
			images = append(images, active(t, s, "disk", "data"))
		}
		next := queued(t, s)
		far.delete = func() error {
			<-time.After(silentFor)
			return image.ErrStoreOffline
		}
		takes := func(what string, atMost time.Duration, do func() error) {
			t.Helper()
			begun := time.Now()
			if err := do(); err != nil {
				t.Errorf("%s: %v", what, err)
			}
			if took := time.Since(begun); took > atMost {
				t.Errorf("%s took %s, want %s at most", what, took, atMost)
			}
		}
		remove := func(i int) func() error {
			return func() error { return s.Delete(context.Background(), images[i].ID) }
		}
		var first sync.WaitGroup
		first.Go(func() { takes("the first deletion", silentFor, remove(0)) })
		synctest.Wait()
		takes("one beside it", 2*time.Second, remove(1))
		takes("one beside a removal that hangs", 0, remove(2))
		first.Wait()
		takes("one after it", 0, remove(3))
		takes("a failed upload", 0, func() error {
			if err := s.Upload(t.Context(), next.ID, io.MultiReader(strings.NewReader("da"), iotest.ErrReader(io.ErrUnexpectedEOF)), 4); err == nil {
				return errors.New("it succeeded")
			}
			return nil
		})

		sweep := func(ctx context.Context) error { return svc.Sweep(ctx, anyStore) }
		ctx, stop := context.WithCancel(t.Context())
		swept := make(chan error, 1)
		go func() { swept <- sweep(t.Context()) }()
		<-time.After(time.Second)
		time.AfterFunc(time.Second, stop)
		takes("a sweep beside another one that is told to stop", time.Second, func() error {
			if err := sweep(ctx); !errors.Is(err, context.Canceled) {
				return fmt.Errorf("it ended with %w", err)
			}
			return nil
		})
		if err := <-swept; !errors.Is(err, image.ErrStoreOffline) {
			t.Errorf("Sweep = %v, want %v", err, image.ErrStoreOffline)
		}
		far.delete = nil
		if err := sweep(t.Context()); err != nil {
			t.Error(err)
		}
		if n := files(t, filepath.Join(dir, "far")); n != 0 {
			t.Errorf("%d files are left", n)
		}
		takes("an upload", 0, func() error { return s.Upload(t.Context(), next.ID, strings.NewReader("data"), 4) })
	})
}

// silent is a store that gives no answer when it is asked for clones.
type silent struct{ imagestore.Writer }

func (silent) Clones(ctx context.Context, _ image.Location) ([]string, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(silentFor):
		return nil, image.ErrStoreOffline
	}
}

// TestClonesOfAStoreThatHangs are asked for at length once: then deletions and their removals do not wait for it again.
func TestClonesOfAStoreThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		far := &hooked{Writer: openFiles(t, "far", filepath.Join(dir, "far"))}
		svc := openWith(t, imageservice.Config{DB: openDB(t, dir)}, imagestore.Entry{ID: "far", Store: silent{far}, Default: true})
		s := session{svc.As(admin)}
		first, second := active(t, s, "disk", "data"), active(t, s, "disk", "data")
		far.delete = func() error {
			t.Error("the store that hangs was asked to remove data")
			return nil
		}
		for _, tt := range []struct {
			id   image.ID
			want time.Duration
		}{{first.ID, silentFor}, {second.ID, 2 * time.Second}} {
			begun := time.Now()
			if err := s.Delete(t.Context(), tt.id); err != nil || time.Since(begun) != tt.want {
				t.Errorf("Delete = %v after %s, want it after %s", err, time.Since(begun), tt.want)
			}
		}
		far.delete = nil
		if err := svc.Sweep(t.Context(), anyStore); err != nil {
			t.Error(err)
		}
		if n := files(t, filepath.Join(dir, "far")); n != 0 {
			t.Errorf("%d files are left", n)
		}
	})
}
