package imageservice_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
	"github.com/vitrine-image/vitrine/imagestore"
)

// cloneable tells of clones, or that it cannot.
type cloneable struct {
	imagestore.Writer
	clones []string
	err    error
}

func (c *cloneable) Clones(context.Context, image.Location) ([]string, error) { return c.clones, c.err }

// TestClonesKeepAnImage whose record and data stay whole; a store that does not answer keeps nobody from deleting.
func TestClonesKeepAnImage(t *testing.T) {
	dir := t.TempDir()
	store := &cloneable{Writer: openFiles(t, "here", filepath.Join(dir, "here")), clones: []string{"cloned as vms/one"}}
	svc := openWith(t, imageservice.Config{DB: openDB(t, dir)}, imagestore.Entry{ID: "here", Store: store, Default: true})
	s := session{svc.As(admin)}
	img := active(t, s, "disk", "data")
	err := s.Delete(t.Context(), img.ID)
	var inUse *image.InUseError
	if !errors.As(err, &inUse) || inUse.ID != img.ID || !slices.Equal(inUse.Users, store.clones) {
		t.Errorf("Delete = %v, want that it is cloned", err)
	}
	if got, err := s.Get(t.Context(), img.ID); err != nil || got.Status != image.Active || len(got.Locations) != 1 {
		t.Errorf("the image is %+v, %v afterwards", got, err)
	}
	store.clones, store.err = nil, image.ErrStoreOffline
	if err := s.Delete(t.Context(), img.ID); err != nil {
		t.Errorf("Delete while the store is away = %v", err)
	}
}
