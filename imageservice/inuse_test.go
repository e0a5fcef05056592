package imageservice_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
)

func TestAnImageInUseIsNotDeleted(t *testing.T) {
	svc := open(t, t.TempDir(), nil)
	s := session{svc.As(admin)}
	img := active(t, s, "disk", "data")
	r, _, err := svc.Tree(imageservice.TreeConfig{}).Open(t.Context(), img.Number)
	if err != nil {
		t.Fatal(err)
	}
	err = s.Delete(t.Context(), img.ID)
	var inUse *image.InUseError
	if !errors.As(err, &inUse) || !strings.Contains(err.Error(), "mount") {
		t.Errorf("deleting an image that is open: %v, want an InUseError that says where", err)
	}
	if _, err := s.Get(t.Context(), img.ID); err != nil {
		t.Errorf("the image after a refused deletion: %v", err)
	}
	r.Close()
	r.Close() // a second Close ends no other hold
	if err := s.Delete(t.Context(), img.ID); err != nil {
		t.Errorf("deleting it when it is closed: %v", err)
	}
	if _, _, err := svc.Tree(imageservice.TreeConfig{}).Open(t.Context(), img.Number); !errors.Is(err, image.ErrNotFound) {
		t.Errorf("opening a deleted image: %v", err)
	}
}

func TestTrashKeepsTheDataUntilItIsClosed(t *testing.T) {
	dir := t.TempDir()
	svc := openOn(t, openDB(t, dir), dir, nil, true)
	s := session{svc.As(admin)}
	img := active(t, s, "disk", "data")
	r, _, err := svc.Tree(imageservice.TreeConfig{}).Open(t.Context(), img.Number)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Pin(t.Context(), img.ID, "web-1"); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), img.ID); !errors.Is(err, image.ErrInUse) || strings.Contains(err.Error(), "mount") {
		t.Errorf("deleting an image that a stopped guest needs: %v, want one that only the guest uses", err)
	}
	if err := s.Unpin(t.Context(), img.ID, "web-1"); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), img.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), img.ID); !errors.Is(err, image.ErrNotFound) {
		t.Errorf("a deleted image: %v", err)
	}
	if n := files(t, dir); n != 1 {
		t.Errorf("%d files while the image is open, want 1", n)
	}
	p := make([]byte, 4)
	if n, _ := r.ReadAt(t.Context(), p, 0); string(p[:n]) != "data" {
		t.Errorf("read %q", p[:n])
	}
	r.Close()
	<-svc.Released("local")
	if err := svc.Sweep(t.Context(), anyStore); err != nil {
		t.Fatal(err)
	}
	if n := files(t, dir); n != 0 {
		t.Errorf("%d files after the last Close, want none", n)
	}
}

// TestOpenWhileTheMountHearsOfADeletion must not wait for the deletion's end, which waits for the mount.
func TestOpenWhileTheMountHearsOfADeletion(t *testing.T) {
	svc := open(t, t.TempDir(), nil)
	s := session{svc.As(admin)}
	var img *image.Image
	svc.Follow(func(ctx context.Context, _ int64) error {
		if img != nil {
			if _, _, err := svc.Tree(imageservice.TreeConfig{}).Open(ctx, img.Number); !errors.Is(err, image.ErrNotFound) {
				t.Errorf("Open = %v, want %v", err, image.ErrNotFound)
			}
		}
		return nil
	})
	img = active(t, s, "disk", "data")
	if err := s.Delete(t.Context(), img.ID); err != nil {
		t.Error(err)
	}
}

// files counts the objects in the store's directory.
func files(t *testing.T, dir string) (n int) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(dir, "images"), func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && !strings.HasPrefix(e.Name(), ".vitrine") {
			n++
		}
		return err
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return n
}
