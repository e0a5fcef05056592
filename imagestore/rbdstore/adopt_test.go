//go:build ceph

package rbdstore

import (
	"slices"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/imagestore/storetest"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// rbdCommands runs commands of rbd on the pool images.
func rbdCommands(t *testing.T, c *testservers.Ceph, commands ...[]string) {
	t.Helper()
	for _, args := range commands {
		_, err := c.RBD(t.Context(), "images", args...)
		must(t, err)
	}
}

// What others finished is read, kept from being removed, and goes with its location.
func TestAdopt(t *testing.T) {
	c := testservers.SharedCeph(t)
	s := emptyStore(t, config(c))
	data := storetest.Random(100_000)
	for name, url := range map[string]string{
		string(image.NewID()): "", // as Glance and Nova call theirs
		"golden image+é":      "rbd://" + c.FSID + "/images/golden%20image%2B%C3%A9/snap",
	} {
		if url == "" {
			url = "rbd://" + c.FSID + "/images/" + name + "/snap"
		}
		must(t, c.HalfGlanceImage(t.Context(), name, data))
		_, err := s.Adopt(t.Context(), url)
		wantError(t, "Adopt without a snapshot", err, image.ErrInvalid)
		at := "images/" + name + "@snap"
		rbdCommands(t, c, []string{"snap", "create", "--no-progress", at})
		must(t, s.CheckURL(t.Context(), url))
		loc, err := s.Adopt(t.Context(), url)
		if err != nil || loc.URL != url || loc.Store != "ceph" || loc.Metadata[image.MetadataVersion] == "" {
			t.Fatalf("Adopt = %+v, %v", loc, err)
		}
		if _, err := c.RBD(t.Context(), "images", "snap", "rm", "--no-progress", at); err == nil {
			t.Error("the snapshot can be removed")
		}
		wantStored(t, s, loc, data)
		must(t, s.Audit(t.Context(), func(f imagestore.Finding) error {
			if f.Location.URL != url || f.Foreign != "" {
				t.Errorf("Audit finds %+v, want %s", f, url)
			}
			return nil
		}))
		s.images.forget(name)
		rbdCommands(t, c, []string{"snap", "unprotect", at}, []string{"snap", "rm", "--no-progress", at}, []string{"snap", "create", "--no-progress", at})
		_, err = s.Open(t.Context(), loc)
		wantError(t, "Open of another snapshot", err, image.ErrDataMissing)
		r := openReader(t, s, image.Location{Store: "ceph", URL: url})
		must(t, s.Delete(t.Context(), loc)) // to the trash, while it is read
		must(t, r.Close())
		s.images.forget(name)
		for removed := 0; removed == 0; { // a dropped image closes in the background
			removed, err = s.Sweep(t.Context())
			must(t, err)
		}
		wantNothing(t, s)
	}
}

// An image of the name that an adopted one had is another one.
func TestDeleteOfAdoptedThatWasReplaced(t *testing.T) {
	c := testservers.SharedCeph(t)
	s := emptyStore(t, config(c))
	name, data := string(image.NewID()), storetest.Random(100)
	must(t, c.GlanceImage(t.Context(), name, data))
	loc, err := s.Adopt(t.Context(), "rbd://"+c.FSID+"/images/"+name+"/snap")
	must(t, err)
	must(t, s.Delete(t.Context(), loc))
	wantNothing(t, s)
	must(t, c.GlanceImage(t.Context(), name, data))
	must(t, s.Delete(t.Context(), loc))
	wantStored(t, s, image.Location{Store: "ceph", URL: loc.URL}, data)
}

func TestAdoptRefuses(t *testing.T) {
	c := testservers.SharedCeph(t)
	s := emptyStore(t, config(c))
	name := string(image.NewID())
	must(t, c.GlanceImage(t.Context(), name, []byte("data")))
	uploading := uploadPrefix + name
	must(t, c.GlanceImage(t.Context(), uploading, []byte("data")))
	prefix := "rbd://" + c.FSID + "/images/"
	for url, want := range map[string]error{
		prefix + string(image.NewID()) + "/snap":                       image.ErrDataMissing,
		prefix + uploading + "/snap":                                   image.ErrInvalid,
		prefix + name + "/other":                                       image.ErrInvalid,
		prefix + name:                                                  image.ErrInvalid,
		prefix + "%zz" + name + "/snap":                                image.ErrInvalid,
		prefix + "%2E" + name + "/snap":                                image.ErrInvalid,
		prefix + name + "%00/snap":                                     image.ErrInvalid,
		"rbd://" + name:                                                image.ErrInvalid,
		"rbd://" + c.FSID + "/vms/" + name + "/snap":                   image.ErrInvalid,
		"rbd://" + string(image.NewID()) + "/images/" + name + "/snap": image.ErrInvalid,
	} {
		_, err := s.Adopt(t.Context(), url)
		wantError(t, "Adopt of "+url, err, want)
		if want == image.ErrInvalid && url != prefix+uploading+"/snap" {
			wantError(t, "CheckURL of "+url, s.CheckURL(t.Context(), url), want)
		}
	}
}

// A user who may only read adopts what is protected already, and leaves it when it is deleted.
func TestAdoptByReader(t *testing.T) {
	c := testservers.SharedCeph(t)
	s := emptyStore(t, config(c))
	cfg := config(c)
	cfg.User = "reader"
	reader := openStore(t, cfg)
	name, data := string(image.NewID()), storetest.Random(100)
	must(t, c.GlanceImage(t.Context(), name, data))
	url := "rbd://" + c.FSID + "/images/" + name + "/snap"
	loc, err := reader.Adopt(t.Context(), url)
	must(t, err)
	wantStored(t, reader, loc, data)
	must(t, reader.Delete(t.Context(), loc))
	wantStored(t, s, loc, data)
	s.images.forget(name)
	rbdCommands(t, c, []string{"snap", "unprotect", "images/" + name + "@snap"})
	_, err = reader.Adopt(t.Context(), url)
	wantError(t, "Adopt of what is not protected", err, image.ErrInvalid)
	if names, err := s.pool.List(t.Context()); err != nil || !slices.Equal(names, []string{name}) {
		t.Errorf("the pool holds %v, %v", names, err)
	}
}
