//go:build ceph

package rbdstore

import (
	"encoding/json"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/imagestore/storetest"
	"github.com/vitrine-image/vitrine/internal/testservers"
	"github.com/vitrine-image/vitrine/rbd"
)

// In a pool that others use, too, an upload, its clean-up, and the sweep touch nothing of theirs.
func TestOthersInThePool(t *testing.T) {
	c := testservers.SharedCeph(t)
	s := emptyStore(t, config(c))
	data := storetest.Random(100_000)
	finished, half, trashed, begun := storetest.NewObject(), storetest.NewObject(), storetest.NewObject(), storetest.NewObject()
	must(t, c.GlanceImage(t.Context(), finished.Name, data))
	must(t, c.HalfGlanceImage(t.Context(), half.Name, data))
	must(t, c.HalfGlanceImage(t.Context(), trashed.Name, data))
	_, err := c.RBD(t.Context(), "images", "image-meta", "set", "images/"+trashed.Name, noteDeleted, "the id of an image of which it is a clone")
	must(t, err)
	_, err = c.RBD(t.Context(), "images", "trash", "mv", "images/"+trashed.Name)
	must(t, err)
	must(t, s.pool.Create(t.Context(), uploadPrefix+begun.Upload, 1<<20, 1<<20)) // as one that is just beginning
	ending := uploadPrefix + "ending"
	must(t, s.pool.Create(t.Context(), ending, 1<<20, 1<<20))
	finish(t, s, ending)
	must(t, s.pool.Create(t.Context(), uploadPrefix+"cut", 1<<20, 1<<20))
	removeHeader(t, c, uploadPrefix+"cut")
	for _, obj := range []imagestore.Object{finished, half} {
		_, err := s.Put(t.Context(), obj, storetest.NewSource([]byte("other"), 10))
		var written *image.Error
		if !errors.As(err, &written) || written.Kind != image.ErrConflict || !strings.Contains(written.Text, "keeps it") {
			t.Errorf("Put = %v, want a conflict that says what is there", err)
		}
		must(t, s.Delete(t.Context(), s.Locate(obj)))
	}
	if removed, err := s.Sweep(t.Context()); removed != 0 || err != nil {
		t.Errorf("Sweep = %d, %v, want nothing", removed, err)
	}
	cfg := config(c)
	cfg.User = "reader"
	reader := openStore(t, cfg)
	for range 2 {
		if removed, err := reader.Sweep(t.Context()); removed != 0 || err != nil {
			t.Errorf("Sweep as a reader = %d, %v, want nothing", removed, err)
		}
		passTime(reader)
	}
	glances := image.Location{Store: "ceph", URL: s.Locate(finished).URL}
	wantStored(t, s, glances, data)
	var found []imagestore.Finding
	must(t, s.Audit(t.Context(), func(f imagestore.Finding) error {
		found = append(found, f)
		return nil
	}))
	slices.SortFunc(found, func(a, b imagestore.Finding) int { return strings.Compare(a.Foreign, b.Foreign) })
	if len(found) != 2 || found[0].Location.URL != glances.URL || found[0].Bytes != int64(len(data)) || !strings.Contains(found[1].Foreign, "without the snapshot") {
		t.Errorf("Audit finds %+v, want an object and what is none", found)
	}
	list, err := s.pool.Trashed(t.Context())
	if err != nil || len(list) != 1 || list[0].Name != trashed.Name {
		t.Errorf("the trash holds %v, %v, want what others put there", list, err)
	}
	_, err = c.RBD(t.Context(), "images", "trash", "rm", "--no-progress", "images/"+list[0].ID)
	must(t, err)
	if removed, err := s.Sweep(t.Context()); removed != 0 || err != nil {
		t.Errorf("Sweep soon afterwards = %d, %v, want nothing", removed, err)
	}
	passTime(s)
	if removed, err := s.Sweep(t.Context()); removed != 3 || err != nil {
		t.Errorf("Sweep = %d, %v, want that what had just begun or ended before the last one is gone", removed, err)
	}
}

// passTime lets suspects be so for long.
func passTime(s *Store) {
	for name, since := range s.suspects {
		s.suspects[name] = since.Add(-time.Hour)
	}
}

// removeHeader leaves the name of an image without the image.
func removeHeader(t *testing.T, c *testservers.Ceph, name string) {
	t.Helper()
	out, err := c.RBD(t.Context(), "images", "info", "--format", "json", "images/"+name)
	must(t, err)
	var info struct{ ID string }
	must(t, json.Unmarshal([]byte(out), &info))
	rados(t, c, "rm", "rbd_header."+info.ID)
}

// An image that has taken the name of another one is not read in its place, nor deleted.
func TestImageOfTheSameName(t *testing.T) {
	c := testservers.SharedCeph(t)
	s := emptyStore(t, config(c))
	loc := put(t, s, storetest.Random(100))
	must(t, s.Delete(t.Context(), loc))
	data := storetest.Random(200)
	must(t, c.GlanceImage(t.Context(), imageOf(loc), data))
	_, err := s.Open(t.Context(), loc)
	wantError(t, "Open", err, image.ErrDataMissing)
	if clones, err := s.Clones(t.Context(), loc); err != nil || clones != nil {
		t.Errorf("Clones = %v, %v", clones, err)
	}
	must(t, s.Delete(t.Context(), loc))
	wantStored(t, s, image.Location{Store: "ceph", URL: loc.URL}, data)
}

// rados runs the command of that name on the pool images.
func rados(t *testing.T, c *testservers.Ceph, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "rados", slices.Concat([]string{"-c", c.Conf, "--id", "images", "-p", "images"}, args)...).CombinedOutput()
	if err != nil {
		t.Fatalf("rados: %v: %s", err, out)
	}
	return string(out)
}

// An upload that was cut short in one of its first or last steps is removed by its reservation, whatever librbd had done of them.
func TestCutShort(t *testing.T) {
	c := testservers.SharedCeph(t)
	s := emptyStore(t, config(c))
	for name, cut := range map[string]func(obj imagestore.Object, own string){
		"while it was made": func(_ imagestore.Object, own string) { removeHeader(t, c, own) },
		"before its note":   func(imagestore.Object, string) {},
		"before its name":   func(_ imagestore.Object, own string) { finish(t, s, own) },
		"before its name was listed": func(obj imagestore.Object, own string) {
			finish(t, s, own)
			rados(t, c, "cp", "rbd_id."+own, "rbd_id."+obj.Name)
		},
		"before its old name had gone": func(obj imagestore.Object, own string) {
			finish(t, s, own)
			must(t, s.pool.Rename(t.Context(), own, obj.Name))
			rados(t, c, "cp", "rbd_id."+obj.Name, "rbd_id."+own)
		},
	} {
		obj := storetest.NewObject()
		own := uploadPrefix + obj.Upload
		must(t, s.pool.Create(t.Context(), own, 1<<20, 1<<20))
		cut(obj, own)
		if err := s.Delete(t.Context(), s.Locate(obj)); err != nil {
			t.Errorf("%s: Delete = %v", name, err)
		}
		wantNothing(t, s)
		if out := rados(t, c, "ls"); strings.Contains(out, "rbd_id.") || strings.Contains(out, "rbd_header.") {
			t.Errorf("%s: the pool still has the objects %s", name, out)
		}
	}
}

// finish does all that an upload does to an image but for its name.
func finish(t *testing.T, s *Store, name string) {
	t.Helper()
	img, err := s.pool.Open(t.Context(), name, "", rbd.Writable)
	must(t, err)
	must(t, img.Note(t.Context(), noteUpload, strings.TrimPrefix(name, uploadPrefix)))
	must(t, img.Snapshot(t.Context(), snapshot))
	must(t, img.Protect(t.Context(), snapshot))
	must(t, img.Close(t.Context()))
}
