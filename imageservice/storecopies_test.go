package imageservice_test

import (
	"errors"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/metadata"
)

func TestDeleteCopy(t *testing.T) {
	dir, db := t.TempDir(), openDB(t, t.TempDir())
	svc := openImports(t, db, dir, nil)
	s := session{svc.As(admin)}
	owner := svc.As(image.Caller{ProjectID: admin.ProjectID, Roles: []string{"member", "reader"}})
	foreign := svc.As(image.Caller{ProjectID: "p2", Roles: []string{"member", "reader"}})
	img := active(t, s, "disk", "data")
	second := openFiles(t, "second", dir+"/images/second").Locate(imagestore.Object{ImageID: img.ID, Name: string(img.ID)})
	for _, tt := range []struct {
		name  string
		s     *imageservice.Session
		store string
		id    image.ID
		want  error
	}{
		{"an unknown store, for who may not", foreign, "none", img.ID, image.ErrConflict},
		{"the staging area", s.Session, imagestore.Staging, img.ID, image.ErrConflict},
		{"an unknown image", s.Session, "second", image.NewID(), image.ErrNotFound},
		{"an image of somebody else", foreign, "local", img.ID, image.ErrNotFound},
		{"the owner", owner, "local", img.ID, image.ErrForbidden},
		{"a queued image", s.Session, "local", queued(t, s).ID, image.ErrConflict},
		{"a store without it", s.Session, "second", img.ID, image.ErrNotFound},
		{"the last copy", s.Session, "local", img.ID, image.ErrForbidden},
	} {
		if err := tt.s.DeleteCopy(t.Context(), tt.store, tt.id); !errors.Is(err, tt.want) {
			t.Errorf("%s: DeleteCopy = %v, want %v", tt.name, err, tt.want)
		}
	}
	err := db.Update(t.Context(), func(tx metadata.WriteTx) error {
		img.Locations = append(img.Locations, second)
		return tx.SaveImage(img)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteCopy(t.Context(), "second", img.ID); err != nil {
		t.Error(err)
	}
	if got, err := s.Get(t.Context(), img.ID); err != nil || len(got.Locations) != 1 || got.Locations[0].Store != "local" {
		t.Errorf("the image is in %v, %v", got.Locations, err)
	}
	checkData(t, s, img.ID, "data")
	checkNoGarbage(t, db)
	single := openOn(t, db, t.TempDir(), nil, false)
	if err := single.As(admin).DeleteCopy(t.Context(), "local", img.ID); !errors.Is(err, image.ErrNotFound) {
		t.Errorf("DeleteCopy of a single store = %v, want %v", err, image.ErrNotFound)
	}
}
