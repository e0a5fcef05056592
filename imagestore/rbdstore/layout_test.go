//go:build ceph

package rbdstore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/imagestore/storetest"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// clone makes a clone as Nova does, of the older or the newer kind.
func clone(t *testing.T, c *testservers.Ceph, loc image.Location, kind string) (name string) {
	t.Helper()
	name = "vms/" + string(image.NewID()) + "_disk"
	_, err := c.RBD(t.Context(), "vms", "clone", "--rbd-default-clone-format", kind, "images/"+imageOf(loc)+"@snap", name)
	must(t, err)
	t.Cleanup(func() { c.RBD(context.Background(), "vms", "rm", "--no-progress", name) }) // the test may have done so
	return name
}

// What Put leaves is what Nova and Cinder expect, by Ceph's own commands.
func TestLayout(t *testing.T) {
	c := testservers.SharedCeph(t)
	s := emptyStore(t, config(c))
	data := slices.Concat(storetest.Random(8<<20), make([]byte, 16<<20), storetest.Random(5))
	obj := storetest.NewObject()
	src := storetest.NewSource(data, 1<<20)
	src.Announced = -1
	loc, err := s.Put(t.Context(), obj, src)
	must(t, err)
	if want := "rbd://" + c.FSID + "/images/" + obj.Name + "/snap"; loc.URL != want || loc.Store != "ceph" {
		t.Errorf("Put = %v, want %s", loc, want)
	}
	var info struct {
		Size     int64
		Order    int
		Features []string
	}
	out, err := c.RBD(t.Context(), "images", "info", "--format", "json", "images/"+obj.Name)
	must(t, err)
	must(t, json.Unmarshal([]byte(out), &info))
	want := []string{"layering", "exclusive-lock", "object-map", "fast-diff", "deep-flatten"}
	if info.Size != int64(len(data)) || info.Order != 23 || !slices.Equal(info.Features, want) {
		t.Errorf("rbd info says %+v, want %d bytes, order 23 and %v", info, len(data), want)
	}
	var snaps []struct {
		Name      string
		Protected string
	}
	out, err = c.RBD(t.Context(), "images", "snap", "ls", "--format", "json", "images/"+obj.Name)
	must(t, err)
	must(t, json.Unmarshal([]byte(out), &snaps))
	if len(snaps) != 1 || snaps[0].Name != "snap" || snaps[0].Protected != "true" {
		t.Errorf("rbd snap ls says %+v, want snap, protected", snaps)
	}
	out, err = c.RBD(t.Context(), "images", "image-meta", "ls", "images/"+obj.Name)
	if err != nil || !strings.Contains(out, noteUpload) || !strings.Contains(out, obj.Upload) {
		t.Errorf("rbd image-meta ls says %q, %v, want the upload", out, err)
	}
	out, err = c.RBD(t.Context(), "vms", "export", "--no-progress", clone(t, c, loc, "1"), "-")
	if err != nil || out != string(data) {
		t.Errorf("a clone gives %d other bytes, %v", len(out), err)
	}
	// The hole was not written.
	extents, err := openReader(t, s, loc).(imagestore.ExtentReader).Extents(t.Context(), 0, 1<<62)
	if err != nil || !slices.Equal(extents, []imagestore.Extent{{Offset: 0, Length: 8 << 20}, {Offset: 24 << 20, Length: 5}}) {
		t.Errorf("Extents = %v, %v", extents, err)
	}
}

// Images that Glance wrote are read in place, by both forms of its locations, and other users may only read.
func TestGlanceImages(t *testing.T) {
	c := testservers.SharedCeph(t)
	emptyStore(t, config(c))
	data := append(make([]byte, 9<<20), storetest.Random(1<<20)...)
	name := string(image.NewID())
	must(t, c.GlanceImage(t.Context(), name, data))
	for _, user := range []string{"images", "reader"} {
		cfg := config(c)
		cfg.User = user
		s := openStore(t, cfg)
		for _, url := range []string{"rbd://" + c.FSID + "/images/" + name + "/snap", "rbd://" + name} {
			r := openReader(t, s, image.Location{Store: "ceph", URL: url})
			wantData(t, r, data)
			extents, err := r.(imagestore.ExtentReader).Extents(t.Context(), 0, r.Size())
			if err != nil || len(extents) != 1 || extents[0].Offset != 8<<20 {
				t.Errorf("Extents as %s = %v, %v, want the second object", user, extents, err)
			}
		}
		for _, url := range []string{"rbd://" + string(image.NewID()) + "/images/" + name + "/snap", "rbd://" + c.FSID + "/vms/" + name + "/snap",
			"rbd://" + c.FSID + "/images/" + name + "/other", "rbd://" + c.FSID + "/images%2F/" + name + "/snap", "rbd://other"} {
			_, err := s.Open(t.Context(), image.Location{Store: "ceph", URL: url})
			wantError(t, "Open of "+url, err, image.ErrDataMissing)
		}
	}
	cfg := config(c)
	cfg.FSID = string(image.NewID())
	wantError(t, "Delete in another cluster", openStore(t, cfg).Delete(t.Context(), image.Location{Store: "ceph", URL: "rbd://" + name}), image.ErrStoreOffline)
	wantStored(t, openStore(t, config(c)), image.Location{Store: "ceph", URL: "rbd://" + name}, data)
	cfg = config(c)
	cfg.User = "reader"
	_, err := openStore(t, cfg).Put(t.Context(), storetest.NewObject(), storetest.NewSource(nil, 1))
	wantError(t, "Put by a reader", err, image.ErrStoreReadOnly)
}

// A quoted part is what Python's urllib makes of it.
func TestQuote(t *testing.T) {
	if got := quote("a b/c+d~e%é"); got != "a%20b%2Fc%2Bd~e%25%C3%A9" {
		t.Errorf("quote = %s", got)
	}
}

func TestDeleteWithClones(t *testing.T) {
	c := testservers.SharedCeph(t)
	cfg := config(c)
	s := emptyStore(t, cfg)
	cfg.TrashInUse = true
	trashing := openStore(t, cfg)
	cfg.User, cfg.TrashInUse = "admin", false
	admin := openStore(t, cfg)
	data := storetest.Random(100_000)
	for _, kind := range []string{"1", "2"} {
		loc := put(t, s, data)
		name := clone(t, c, loc, kind)
		for st, want := range map[*Store]string{s: "cloned in a pool that client.images may not read", admin: "cloned as " + name} {
			err := st.Delete(t.Context(), loc)
			var inUse *image.InUseError
			if !errors.As(err, &inUse) || !slices.Equal(inUse.Users, []string{want}) || string(inUse.ID) != imageOf(loc) {
				t.Errorf("kind %s: Delete = %v, want in use, %s", kind, err, want)
			}
			if clones, err := st.Clones(t.Context(), loc); err != nil || !slices.Equal(clones, []string{want}) {
				t.Errorf("kind %s: Clones = %q, %v, want %q", kind, clones, err, want)
			}
			wantStored(t, s, loc, data)
		}
		if clones, err := trashing.Clones(t.Context(), loc); err != nil || len(clones) > 0 {
			t.Errorf("kind %s: Clones where they keep nothing = %q, %v", kind, clones, err)
		}
		must(t, trashing.Delete(t.Context(), loc))
		_, err := openStore(t, config(c)).Open(t.Context(), loc)
		wantError(t, "Open of what was deleted", err, image.ErrDataMissing)
		s.images.forget(imageOf(loc))
		if removed, err := s.Sweep(t.Context()); removed != 0 || err != nil {
			t.Errorf("kind %s: Sweep while there is a clone = %d, %v", kind, removed, err)
		}
		if out, err := c.RBD(t.Context(), "vms", "export", "--no-progress", name, "-"); err != nil || out != string(data) {
			t.Errorf("kind %s: the clone gives %d other bytes, %v", kind, len(out), err)
		}
		_, err = c.RBD(t.Context(), "vms", "rm", "--no-progress", name)
		must(t, err)
		if removed, err := s.Sweep(t.Context()); removed != 1 || err != nil {
			t.Errorf("kind %s: Sweep without the clone = %d, %v", kind, removed, err)
		}
		wantNothing(t, s)
	}
}

// Snapshots that others made keep an image.
func TestDeleteWithSnapshotsOfOthers(t *testing.T) {
	c := testservers.SharedCeph(t)
	s := emptyStore(t, config(c))
	loc := put(t, s, storetest.Random(100))
	_, err := c.RBD(t.Context(), "images", "snap", "create", "--no-progress", "images/"+imageOf(loc)+"@backup")
	must(t, err)
	wantError(t, "Delete", s.Delete(t.Context(), loc), image.ErrInUse)
	wantStored(t, s, loc, storetest.Random(100))
	_, err = c.RBD(t.Context(), "images", "snap", "rm", "--no-progress", "images/"+imageOf(loc)+"@backup")
	must(t, err)
}

// Who reads an image that is deleted, through this daemon or another one, goes on reading it.
func TestDeleteWhileRead(t *testing.T) {
	c := testservers.SharedCeph(t)
	s, other := emptyStore(t, config(c)), openStore(t, config(c))
	data := storetest.Random(5 << 20)
	for _, deleting := range []*Store{s, other} {
		loc := put(t, s, data)
		r, err := s.Open(t.Context(), loc)
		must(t, err)
		must(t, deleting.Delete(t.Context(), loc))
		_, err = other.Open(t.Context(), loc)
		wantError(t, "Open of what was deleted", err, image.ErrDataMissing)
		for _, sweeping := range []*Store{s, other} {
			if removed, err := sweeping.Sweep(t.Context()); removed != 0 || err != nil {
				t.Errorf("Sweep while it is read = %d, %v", removed, err)
			}
		}
		wantData(t, r, data)
		must(t, r.Close())
		s.images.forget(imageOf(loc))
		for removed := 0; removed == 0; { // a dropped image closes in the background
			removed, err = other.Sweep(t.Context())
			must(t, err)
		}
		wantNothing(t, s)
	}
}

// What another client removes by force ends in an error, never in zeros.
func TestRemovedElsewhere(t *testing.T) {
	c := testservers.SharedCeph(t)
	data := storetest.Random(4 << 20)
	for _, user := range []string{"images", "reader"} {
		loc := put(t, emptyStore(t, config(c)), data)
		cfg := config(c)
		cfg.User = user
		s := openStore(t, cfg)
		r := openReader(t, s, loc)
		wantData(t, r, data)
		for _, args := range [][]string{{"snap", "unprotect"}, {"snap", "rm"}} {
			_, err := c.RBD(t.Context(), "images", append(args, "images/"+imageOf(loc)+"@snap")...)
			must(t, err)
		}
		_, err := c.RBD(t.Context(), "images", "rm", "--no-progress", "images/"+imageOf(loc))
		if watched := user == "images"; (err != nil) != watched {
			t.Errorf("as %s: rbd rm = %v, want that it is refused just when the image is watched", user, err)
		}
		err = nil
		p := make([]byte, 64<<10)
		for off := 0; err == nil; off = (off + len(p)) % len(data) {
			if _, err = r.ReadAt(t.Context(), p, int64(off)); err == nil && !bytes.Equal(p, data[off:off+len(p)]) {
				t.Fatalf("as %s: ReadAt gives other bytes", user)
			}
		}
		if err == io.EOF || !errors.Is(err, image.ErrDataMissing) {
			t.Errorf("as %s: ReadAt = %v, want %v", user, err, image.ErrDataMissing)
		}
		_, err = s.Open(t.Context(), loc)
		wantError(t, "Open as "+user, err, image.ErrDataMissing)
		must(t, s.Close())
	}
}

// What is wrong at the start is said, with the store's name.
func TestCheck(t *testing.T) {
	c := testservers.SharedCeph(t)
	for want, change := range map[string]func(*Config){
		"no keyring":     func(cfg *Config) { cfg.Keyring = filepath.Join(t.TempDir(), "nothing") },
		"does not allow": func(cfg *Config) { cfg.User = "stranger" },
		"no such pool":   func(cfg *Config) { cfg.Pool = "nothing" },
		"configuration":  func(cfg *Config) { cfg.Conf = filepath.Join(t.TempDir(), "nothing") },
		"data lies in":   func(cfg *Config) { cfg.FSID = string(image.NewID()) },
	} {
		cfg := config(c)
		change(&cfg)
		_, err := openStore(t, cfg).Check(t.Context())
		if !errors.Is(err, image.ErrStoreOffline) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "store ceph") {
			t.Errorf("Check = %v, want the store and %q", err, want)
		}
	}
	if fsid, err := openStore(t, config(c)).Check(t.Context()); err != nil || fsid != c.FSID {
		t.Errorf("Check = %q, %v, want %s", fsid, err, c.FSID)
	}
	for _, cfg := range []Config{{}, {ID: "ceph", Pool: "images"}, {ID: "ceph", Pool: "images", User: "images", ObjectSize: 5 << 20},
		{ID: "ceph", Pool: "images", User: "images", Timeout: 1}} {
		if _, err := Open(cfg); err == nil {
			t.Errorf("Open(%+v) succeeds", cfg)
		}
	}
}

// The cluster of a new store is remembered before anything is written to it, and told to operators from then on.
func TestClusterIsRemembered(t *testing.T) {
	c := testservers.SharedCeph(t)
	cfg := config(c)
	var saved []string
	failing := errors.New("the disk is full")
	cfg.SaveFSID = func(_ context.Context, fsid string) error {
		saved = append(saved, fsid)
		return failing
	}
	s := emptyStore(t, cfg)
	_, err := s.Put(t.Context(), storetest.NewObject(), storetest.NewSource(nil, 1))
	if !errors.Is(err, image.ErrStoreOffline) || !errors.Is(err, failing) {
		t.Errorf("Put while the cluster cannot be remembered = %v, want %v and %v", err, image.ErrStoreOffline, failing)
	}
	wantNothing(t, s)
	want := map[string]any{"pool": "images", "chunk_size": int64(DefaultObjectSize), "thin_provisioning": true}
	if got := s.Properties(); !maps.Equal(got, want) {
		t.Errorf("Properties = %v, want %v", got, want)
	}
	failing, saved = nil, nil
	put(t, s, storetest.Random(10))
	put(t, s, storetest.Random(10))
	if !slices.Equal(saved, []string{c.FSID}) {
		t.Errorf("saved %v, want %s once", saved, c.FSID)
	}
	want["fsid"] = c.FSID
	if got := s.Properties(); !maps.Equal(got, want) {
		t.Errorf("Properties = %v, want %v", got, want)
	}
}

// Readers of one image share what is open, and it stays open for the next one.
func TestReadersShareAnImage(t *testing.T) {
	c := testservers.SharedCeph(t)
	s := emptyStore(t, config(c))
	loc := put(t, s, storetest.Random(100))
	first := openReader(t, s, loc).(*reader)
	second := openReader(t, s, loc).(*reader)
	must(t, first.Close())
	must(t, second.Close())
	third := openReader(t, s, loc).(*reader)
	if first.image != second.image || first.image != third.image {
		t.Error("the image was opened more than once")
	}
	must(t, third.Close())
	s.images.expire(first.image)
	if fourth := openReader(t, s, loc).(*reader); fourth.image == first.image {
		t.Error("an image that was idle for long is still open")
	} else {
		s.Close()
		if _, err := fourth.ReadAt(t.Context(), make([]byte, 1), 0); !errors.Is(err, image.ErrStoreOffline) {
			t.Errorf("ReadAt after the store was closed = %v", err)
		}
	}
	_, err := s.Open(t.Context(), loc)
	wantError(t, "Open after the store was closed", err, image.ErrStoreOffline)
}

// An image that could not be opened is opened anew by the next reader, also while others have not yet heard of the failure.
func TestFailedOpeningIsForgotten(t *testing.T) {
	c := cache{named: map[string]*opened{}, all: map[*opened]bool{}}
	fail := func(o *opened) { o.err = errors.New("away") }
	first, err := c.enter("image", fail)
	must(t, err)
	<-first.ready
	second, err := c.enter("image", fail)
	must(t, err)
	if second == first {
		t.Error("the next reader gets the failure of the one before")
	}
	c.put(second)
	c.put(first)
	if c.close(); len(c.all)+len(c.named) != 0 {
		t.Errorf("%d images are open, and %d to be had", len(c.all), len(c.named))
	}
}
