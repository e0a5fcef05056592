package imageservice_test

import (
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/vitrine-image/vitrine/api"
	"github.com/vitrine-image/vitrine/events"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
	"github.com/vitrine-image/vitrine/imageservice/servicetest"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/metadata"
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

// cloner makes clones in one pool, in memory, each as soon as the test lets it go on.
type cloner struct {
	imagestore.Writer
	id, pool string
	err      error
	began    chan struct{} // nil to make clones at once
	goOn     chan struct{}

	mu   sync.Mutex
	made []string
}

func (c *cloner) ClonePools() []string { return []string{c.pool} }

func (c *cloner) Clones(context.Context, image.Location) ([]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.made), nil
}

func (c *cloner) Clone(_ context.Context, _ image.Location, want image.NewClone) (image.Clone, error) {
	if c.began != nil {
		c.began <- struct{}{}
		<-c.goOn
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return image.Clone{}, c.err
	}
	c.made = append(c.made, "cloned as "+want.Pool+"/"+want.Name)
	return image.Clone{Store: c.id, Location: "rbd:" + want.Pool + "/" + want.Name, Size: 4, Parent: "images/one@snap"}, nil
}

// cloners returns a service with two stores that make clones, in the pools vms and volumes, and one that makes none.
func cloners(t *testing.T, cfg imageservice.Config) (svc *imageservice.Service, vms *cloner) {
	t.Helper()
	var entries []imagestore.Entry
	dir := t.TempDir()
	for id, pool := range map[string]string{"a": "vms", "b": "volumes", "plain": ""} {
		var store imagestore.Writer = openFiles(t, id, filepath.Join(dir, id))
		if pool != "" {
			c := &cloner{Writer: store, id: id, pool: pool}
			if store = c; id == "a" {
				vms = c
			}
		}
		entries = append(entries, imagestore.Entry{ID: id, Store: store, Default: id == "a"})
	}
	return openWith(t, cfg, entries...), vms
}

// diskIn makes an image of Owner whose data lies in a store.
func diskIn(t *testing.T, svc *imageservice.Service, store, format, container string) image.ID {
	t.Helper()
	s := svc.As(servicetest.Owner)
	img, err := s.Create(t.Context(), "", []image.Edit{{Op: image.EditAdd, Name: "disk_format", Value: format},
		{Op: image.EditAdd, Name: "container_format", Value: container}})
	if err == nil {
		err = s.Upload(t.Context(), img.ID, imageservice.Upload{Body: strings.NewReader("data"), ContentLength: 4, ExpectedSize: -1, Store: store})
	}
	if err != nil {
		t.Fatal(err)
	}
	return img.ID
}

// TestClone through the service, and through client and API: who may, which image, and from which store.
func TestClone(t *testing.T) {
	notes := &notebook{names: make(map[events.Name]bool)}
	svc, vms := cloners(t, imageservice.Config{DB: openDB(t, t.TempDir()), Audit: notes})
	raw, plain := diskIn(t, svc, "a", "raw", "bare"), diskIn(t, svc, "plain", "raw", "bare")
	kernel := diskIn(t, svc, "a", "aki", "aki")
	queued, err := svc.As(servicetest.Owner).Create(t.Context(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	off := diskIn(t, svc, "a", "raw", "bare")
	if err := svc.As(servicetest.Owner).Deactivate(t.Context(), off); err != nil {
		t.Fatal(err)
	}
	web := image.NewClone{Pool: "vms", Name: "web"}
	as := serve(t, svc, api.Config{})
	type making interface {
		Clone(context.Context, image.ID, image.NewClone) (image.Clone, error)
	}
	for way, clones := range map[string]func(image.Caller) making{
		"service": func(c image.Caller) making { return svc.As(c) }, "HTTP": func(c image.Caller) making { return as(c) },
	} {
		vms.err = nil
		for _, tt := range []struct {
			caller image.Caller
			id     image.ID
			want   image.NewClone
			err    error
			text   string
		}{
			{servicetest.Admin, raw, web, nil, ""},
			{servicetest.Admin, raw, image.NewClone{Pool: "vms", Name: "web", Store: "a"}, nil, ""},
			{servicetest.Owner, raw, web, image.ErrForbidden, ""},
			{servicetest.Other, raw, web, image.ErrNotFound, ""},
			{servicetest.Admin, image.NewID(), web, image.ErrNotFound, ""},
			{servicetest.Admin, raw, image.NewClone{Pool: "vms", Name: "a/b"}, image.ErrInvalid, ""},
			{servicetest.Admin, raw, image.NewClone{Pool: "vms", Name: "web", Store: "nothing"}, image.ErrInvalid, "nothing"},
			{servicetest.Admin, raw, image.NewClone{Pool: "vms", Name: "web", Store: imagestore.Staging}, image.ErrInvalid, ""},
			{servicetest.Admin, raw, image.NewClone{Pool: "vms", Name: "web", Store: "plain"}, image.ErrConflict, "clone_pools"},
			{servicetest.Admin, raw, image.NewClone{Pool: "volumes", Name: "web", Store: "b"}, image.ErrConflict, "import --copy --store b " + string(raw)},
			{servicetest.Admin, plain, web, image.ErrConflict, "import --copy --store a " + string(plain)},
			{servicetest.Admin, plain, image.NewClone{Pool: "others", Name: "web"}, image.ErrConflict, "clone_pools"},
			{servicetest.Admin, kernel, web, image.ErrConflict, "no guest would find a disk"},
			{servicetest.Admin, queued.ID, web, image.ErrConflict, "is queued"},
			{servicetest.Admin, off, web, image.ErrConflict, "is deactivated"},
		} {
			made, err := clones(tt.caller).Clone(t.Context(), tt.id, tt.want)
			if tt.err == nil {
				if want := (image.Clone{Store: "a", Location: "rbd:vms/web", Size: 4, Parent: "images/one@snap"}); err != nil || made != want {
					t.Errorf("%s: Clone = %+v, %v, want %+v", way, made, err, want)
				}
			} else if !errors.Is(err, tt.err) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("%s: Clone of %s for %s as %+v = %v, want %v with %q", way, tt.id, tt.caller.ProjectID, tt.want, err, tt.err, tt.text)
			}
		}
		for kind, text := range map[error]string{image.ErrStoreOffline: `store "a" is offline`, image.ErrDataMissing: `missing from store "a"`,
			image.ErrStoreFull: "store is full"} {
			vms.err = kind
			if _, err := clones(servicetest.Admin).Clone(t.Context(), raw, web); !errors.Is(err, kind) || !strings.Contains(err.Error(), text) {
				t.Errorf("%s: Clone = %v, want %v with %q", way, err, kind, text)
			}
		}
	}
	vms.err = nil
	notes.take()
	for caller, want := range map[string]string{"ops": "ops clone image vms/web", "owner": "owner clone image vms/web refused"} {
		c := servicetest.Admin
		if caller == "owner" {
			c = servicetest.Owner
		}
		_, _ = svc.As(c).Clone(t.Context(), raw, web)
		if _, recorded := notes.take(); recorded != want {
			t.Errorf("recorded %q, want %q", recorded, want)
		}
	}
}

// TestCloneAndRemove never removes data of which a clone is being made: what comes second sees what came first.
func TestCloneAndRemove(t *testing.T) {
	db := openDB(t, t.TempDir())
	svc, vms := cloners(t, imageservice.Config{DB: db, Locations: imageservice.LocationConfig{Edit: true}})
	s := svc.As(servicetest.Admin)
	vms.began, vms.goOn = make(chan struct{}), make(chan struct{})
	for what, remove := range map[string]func(image.ID) error{
		"Delete":     func(id image.ID) error { return s.Delete(t.Context(), id) },
		"DeleteCopy": func(id image.ID) error { return s.DeleteCopy(t.Context(), "a", id) },
		"an edit": func(id image.ID) error {
			_, err := s.Edit(t.Context(), id, []image.Edit{{Op: image.EditRemove, Name: image.EditLocations, Item: "0"}})
			return err
		},
	} {
		vms.made = nil
		id := diskIn(t, svc, "a", "raw", "bare")
		addLocation(t, db, id, image.Location{Store: "plain", URL: "file:///elsewhere"})
		cloned, removed := make(chan error, 1), make(chan error, 1)
		go func() {
			_, err := s.Clone(t.Context(), id, image.NewClone{Pool: "vms", Name: "web"})
			cloned <- err
		}()
		<-vms.began
		go func() { removed <- remove(id) }()
		for svc.Cloning(id) < 2 && len(removed) == 0 {
			runtime.Gosched() // until it waits, or is wrong not to
		}
		vms.goOn <- struct{}{}
		if err := <-cloned; err != nil {
			t.Errorf("%s: Clone = %v", what, err)
		}
		if err := <-removed; !errors.Is(err, image.ErrInUse) {
			t.Errorf("%s while a clone is being made = %v, want %v", what, err, image.ErrInUse)
		}
		if img, err := s.Get(t.Context(), id); err != nil || len(img.Locations) != 2 || svc.Cloning(id) != 0 {
			t.Errorf("%s leaves %+v, %v, with %d at work", what, img, err, svc.Cloning(id))
		}
	}
}

func addLocation(t *testing.T, db metadata.DB, id image.ID, loc image.Location) {
	t.Helper()
	err := db.Update(t.Context(), func(tx metadata.WriteTx) error {
		img, err := tx.Image(id)
		if err == nil {
			img.Locations = append(img.Locations, loc)
			err = tx.SaveImage(img)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
