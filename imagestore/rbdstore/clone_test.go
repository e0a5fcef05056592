//go:build ceph

package rbdstore

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore/storetest"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// cloning is the configuration of a store that may make clones, of the older or the newer kind.
func cloning(t *testing.T, c *testservers.Ceph, kind string) Config {
	t.Helper()
	text, err := os.ReadFile(c.Conf)
	must(t, err)
	cfg := config(c)
	cfg.User, cfg.ClonePools, cfg.Conf = "cloner", []string{"vms", "small", "nothing"}, filepath.Join(t.TempDir(), "ceph.conf")
	must(t, os.WriteFile(cfg.Conf, slices.Concat(text, []byte("[client]\nrbd default clone format = "+kind+"\n")), 0o600))
	return cfg
}

// volumes returns what lies in a pool.
func volumes(t *testing.T, c *testservers.Ceph, pool string) (names []string) {
	t.Helper()
	out, err := c.RBD(t.Context(), "admin", "ls", "--format", "json", pool)
	must(t, err)
	must(t, json.Unmarshal([]byte(out), &names))
	return names
}

func wantExport(t *testing.T, c *testservers.Ceph, volume, data string) {
	t.Helper()
	if out, err := c.RBD(t.Context(), "vms", "export", "--no-progress", volume, "-"); err != nil || out != data {
		t.Errorf("%s gives %d other bytes, %v", volume, len(out), err)
	}
}

func TestClone(t *testing.T) {
	c := testservers.SharedCeph(t)
	for _, kind := range []string{"1", "2"} {
		s := emptyStore(t, cloning(t, c, kind))
		data := storetest.Random(9<<20 + 512)
		loc := put(t, s, data)
		parent := "images/" + imageOf(loc) + "@snap"
		for _, want := range []image.NewClone{{Pool: "vms", Name: "same" + kind}, {Pool: "vms", Name: "grown" + kind, Size: 64 << 20}} {
			size := max(want.Size, int64(len(data)))
			location := "rbd:vms/" + want.Name
			made, err := s.Clone(t.Context(), loc, want)
			if made != (image.Clone{Store: "ceph", Location: location, Size: size, Parent: parent}) || err != nil {
				t.Errorf("kind %s: Clone(%+v) = %+v, %v", kind, want, made, err)
			}
			var info struct {
				Size   int64
				Order  int
				Parent struct{ Image string }
			}
			out, err := c.RBD(t.Context(), "vms", "info", "--format", "json", "vms/"+want.Name)
			must(t, err)
			must(t, json.Unmarshal([]byte(out), &info))
			if info.Size != size || info.Order != 23 || info.Parent.Image != imageOf(loc) {
				t.Errorf("kind %s: rbd info says %+v", kind, info)
			}
			wantExport(t, c, "vms/"+want.Name, string(data)+strings.Repeat("\x00", int(size)-len(data)))
		}
		_, err := s.Clone(t.Context(), loc, image.NewClone{Pool: "vms", Name: "same" + kind})
		wantError(t, "Clone by a name that is taken", err, image.ErrConflict)
		err = s.Delete(t.Context(), loc)
		var inUse *image.InUseError
		if !errors.As(err, &inUse) || !slices.Equal(slices.Sorted(slices.Values(inUse.Users)), []string{"cloned as vms/grown" + kind, "cloned as vms/same" + kind}) {
			t.Errorf("kind %s: Delete = %v, want that it names the clones", kind, err)
		}
		if names := volumes(t, c, "vms"); !slices.Equal(names, []string{"grown" + kind, "same" + kind}) {
			t.Errorf("kind %s: the pool holds %q", kind, names)
		}
		for _, name := range volumes(t, c, "vms") {
			_, err := c.RBD(t.Context(), "vms", "rm", "--no-progress", "vms/"+name)
			must(t, err)
		}
		must(t, s.Delete(t.Context(), loc))
	}
}

// What is wrong is said, and nothing is left.
func TestClonesThatAreRefused(t *testing.T) {
	c := testservers.SharedCeph(t)
	cfg := cloning(t, c, "1")
	s := emptyStore(t, cfg)
	loc := put(t, s, storetest.Random(1000))
	gone := put(t, s, nil)
	must(t, s.Delete(t.Context(), gone))
	empty, loose := put(t, s, nil), put(t, s, storetest.Random(1))
	_, err := c.RBD(t.Context(), "images", "snap", "unprotect", "images/"+imageOf(loose)+"@snap")
	must(t, err)
	cfg.User = "images"
	poor := openStore(t, cfg)
	for _, tt := range []struct {
		store *Store
		loc   image.Location
		want  image.NewClone
		err   error
		text  string
	}{
		{s, loc, image.NewClone{Pool: "images"}, image.ErrForbidden, `Store "ceph" makes no clones in pool "images": clone_pools`},
		{s, loc, image.NewClone{Pool: "nothing"}, image.ErrConflict, `has no pool "nothing"`},
		{s, loc, image.NewClone{Pool: "vms", Size: 999}, image.ErrInvalid, "the image has 1000"},
		{s, loc, image.NewClone{Pool: "vms", Size: 1 << 60}, image.ErrInvalid, "more than Ceph can make"},
		{s, empty, image.NewClone{Pool: "vms", Size: 1 << 30}, image.ErrConflict, "no data"},
		{s, loose, image.NewClone{Pool: "vms", Size: 1 << 30}, image.ErrConflict, "its snapshot snap is not protected"},
		{s, gone, image.NewClone{Pool: "vms"}, image.ErrDataMissing, "no such image"},
		{poor, loc, image.NewClone{Pool: "vms"}, image.ErrForbidden, "ceph auth caps client.images mon 'profile rbd' " +
			"osd 'profile rbd pool=images, profile rbd pool=vms, profile rbd pool=small, profile rbd pool=nothing' mgr "},
	} {
		tt.want.Name = "new"
		_, err := tt.store.Clone(t.Context(), tt.loc, tt.want)
		if !errors.Is(err, tt.err) || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("Clone(%+v) = %v, want %v: %s", tt.want, err, tt.err, tt.text)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.Clone(ended, loc, image.NewClone{Pool: "vms", Name: "new"})
	wantError(t, "Clone with an ended context", err, context.Canceled)
	if names := volumes(t, c, "vms"); len(names) > 0 {
		t.Errorf("the pool holds %q", names)
	}
}

func TestCloneIntoFullPool(t *testing.T) {
	c := testservers.SharedCeph(t)
	s := emptyStore(t, cloning(t, c, "1"))
	loc := put(t, s, storetest.Random(1000))
	_, err := c.Ceph(t.Context(), "osd", "pool", "set-quota", "small", "max_objects", "1")
	must(t, err)
	t.Cleanup(func() { c.Ceph(context.Background(), "osd", "pool", "set-quota", "small", "max_objects", "0") })
	for err == nil { // until the monitor has counted
		_, err = s.Clone(t.Context(), loc, image.NewClone{Pool: "small", Name: string(image.NewID())})
	}
	if !errors.Is(err, image.ErrStoreFull) || !strings.Contains(err.Error(), `no space left in pool "small"`) {
		t.Errorf("Clone into a full pool = %v", err)
	}
	for _, name := range volumes(t, c, "small") {
		if strings.HasPrefix(name, unfinishedClone) {
			t.Errorf("%s is left", name)
		}
		must(t, s.cluster.Pool("small").Remove(t.Context(), name))
	}
}

// A cluster that goes away in the middle leaves no volume by the name that was asked for, and what it leaves is removed later.
func TestCloneWhileTheClusterIsAway(t *testing.T) {
	c := testservers.SharedCeph(t)
	cfg := cloning(t, c, "1")
	s := emptyStore(t, cfg)
	loc := put(t, s, storetest.Random(1000))
	cfg.Timeout = 2 * time.Second
	impatient := openStore(t, cfg)
	wantStored(t, impatient, loc, storetest.Random(1000))
	resume, err := c.PauseOSD()
	must(t, err)
	t.Cleanup(resume)
	_, err = impatient.Clone(t.Context(), loc, image.NewClone{Pool: "vms", Name: "new"})
	wantError(t, "Clone while the OSD stands still", err, image.ErrStoreOffline)
	resume()
	must(t, s.cluster.Pool("vms").Create(t.Context(), unfinishedClone+"1", 1<<20, 1<<20))
	removed, err := s.Sweep(t.Context())
	if left := volumes(t, c, "vms"); err == nil || removed != 0 || !slices.Contains(left, unfinishedClone+"1") || slices.Contains(left, "new") {
		t.Errorf("Sweep = %d, %v, and the pool holds %q; want what a clone left, which may still be made", removed, err, left)
	}
	s.clonePools = []string{"vms"}
	passTime(s)
	removed, err = s.Sweep(t.Context())
	if left := volumes(t, c, "vms"); err != nil || removed == 0 || len(left) > 0 {
		t.Errorf("Sweep later = %d, %v, and the pool holds %q", removed, err, left)
	}
	_, err = s.Clone(t.Context(), loc, image.NewClone{Pool: "vms", Name: "new"})
	must(t, err)
	must(t, s.cluster.Pool("vms").Remove(t.Context(), "new"))
}

// Clone and Delete at the same time: a clone that was made has its data, for whoever came first.
func TestCloneWhileDeleting(t *testing.T) {
	c := testservers.SharedCeph(t)
	data := storetest.Random(100_000)
	for _, kind := range []string{"1", "2"} {
		s := emptyStore(t, cloning(t, c, kind))
		for range 8 {
			loc := put(t, s, data)
			failed := make(chan error)
			go func() {
				_, err := s.Clone(context.Background(), loc, image.NewClone{Pool: "vms", Name: "raced"})
				failed <- err
			}()
			if err := s.Delete(t.Context(), loc); err != nil {
				wantError(t, "Delete", err, image.ErrInUse)
			}
			if err := <-failed; err != nil {
				continue
			}
			wantExport(t, c, "vms/raced", string(data))
			must(t, s.cluster.Pool("vms").Remove(t.Context(), "raced"))
			must(t, s.Delete(t.Context(), loc))
		}
		s.images.close()
		_, err := s.emptyTrash(t.Context())
		must(t, err)
		wantNothing(t, s)
		if names := volumes(t, c, "vms"); len(names) > 0 {
			t.Errorf("the pool holds %q", names)
		}
	}
}
