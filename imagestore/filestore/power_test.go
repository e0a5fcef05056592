package filestore

import (
	"bytes"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/imagestore/storetest"
	"github.com/vitrine-image/vitrine/internal/crashfs"
	"github.com/vitrine-image/vitrine/internal/testservers"
	"golang.org/x/sys/unix"
)

// A history is what a store promised until the power went.
type history struct {
	uuid     string // "" if not even Open came to its end
	objects  []imagestore.Object
	kept     map[string][]byte // by name: the data that Put acknowledged
	finished bool
}

// work uses a store until something fails, and deletes some of what it stored. The last object moves there from another store.
func work(t *testing.T, dir string) (h history) {
	h.kept = map[string][]byte{}
	s, err := tryOpen(Config{}, filepath.Join(dir, "new", "store"))
	if err != nil {
		return h
	}
	defer s.Close()
	h.uuid = s.UUID()
	for i, shard := range []string{"aa", "aa", "bb"} {
		id := image.ID(shard + string(image.NewID())[2:])
		obj := imagestore.Object{ImageID: id, Name: string(id)}
		h.objects = append(h.objects, obj)
		data := storetest.Random(5000 * (i + 1))
		put := func(src imagestore.Source) error {
			_, err := s.Put(t.Context(), obj, src)
			if err == nil {
				h.kept[obj.Name] = data
			}
			return err
		}
		if shard == "bb" {
			err = moveFrom(t, filepath.Join(dir, "new", "staging"), data, put)
		} else {
			err = put(storetest.NewSource(data, 4096))
		}
		if err != nil {
			return h
		}
	}
	delete(h.kept, h.objects[0].Name) // if the deletion fails, nobody knows whether it is there
	if err := s.Delete(t.Context(), s.Locate(h.objects[0])); err != nil {
		h.objects = h.objects[1:]
		return h
	}
	h.finished = true
	return h
}

// moveFrom lets put take the data's file from a store in dir, and deletes it there.
func moveFrom(t *testing.T, dir string, data []byte, put func(imagestore.Source) error) error {
	staging, err := tryOpen(Config{}, dir)
	if err != nil {
		return err
	}
	defer staging.Close()
	loc, err := staging.Put(t.Context(), storetest.NewObject(), storetest.NewSource(data, 4096))
	if err != nil {
		return err
	}
	r, err := staging.Open(t.Context(), loc)
	if err != nil {
		return err
	}
	defer r.Close()
	file := r.(imagestore.FileReader).File()
	if err := put(fileSource{storetest.NewSource(data, 4096), file, true}); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &st); err != nil {
		return err
	}
	if st.Nlink != 2 {
		t.Errorf("the file has %d names, want one in each store", st.Nlink)
	}
	return staging.Delete(t.Context(), loc)
}

// verify opens what a power cut left and returns what is wrong with it.
func (h history) verify(t *testing.T, dir string) (faults []string) {
	if h.uuid == "" {
		return nil
	}
	s, err := tryOpen(Config{UUID: h.uuid}, filepath.Join(dir, "new", "store"))
	if err != nil {
		return []string{err.Error()}
	}
	defer s.Close()
	if _, err := s.Sweep(t.Context()); err != nil {
		return []string{err.Error()}
	}
	for i, obj := range h.objects {
		want, kept := h.kept[obj.Name]
		r, err := s.Open(t.Context(), s.Locate(obj))
		if err != nil {
			if kept {
				faults = append(faults, fmt.Sprintf("object %d is lost: %v", i, err))
			}
			continue
		}
		got, err := storetest.ReadAll(t.Context(), r)
		r.Close()
		switch {
		case kept && (err != nil || !bytes.Equal(got, want)):
			faults = append(faults, fmt.Sprintf("object %d has other bytes (error %v)", i, err))
		case !kept && h.finished:
			faults = append(faults, fmt.Sprintf("object %d came back", i))
		}
	}
	return faults
}

// Whatever the disk forgets at whatever moment: what was acknowledged is there with its bytes, and what was deleted is
// gone.
func TestPowerCuts(t *testing.T) {
	testservers.Require(t, "fuse")
	for _, mode := range []crashfs.Mode{crashfs.Drop, crashfs.Tear, crashfs.Scatter} {
		t.Run(string(mode), func(t *testing.T) {
			for step := 1; ; step++ {
				h, faults := cutAt(t, crashfs.Config{}, crashfs.Cut{Mode: mode, Step: step, Seed: uint64(step)})
				for _, fault := range faults {
					t.Errorf("power cut before durable step %d: %s", step, fault)
				}
				if h.finished {
					break
				}
			}
		})
	}
}

// On a disk that lies about what it has written, the same work loses data: the test can fail.
func TestPowerCutsBite(t *testing.T) {
	testservers.Require(t, "fuse")
	h, faults := cutAt(t, crashfs.Config{Lying: true}, crashfs.Cut{Mode: crashfs.Drop, Op: 1 << 20})
	if !h.finished || len(faults) == 0 {
		t.Errorf("nothing is lost on a lying disk; finished %v", h.finished)
	}
}

// cutAt works on a file system that forgets, whose power goes as planned or at the end.
func cutAt(t *testing.T, cfg crashfs.Config, cut crashfs.Cut) (history, []string) {
	t.Helper()
	cfg.Mount = t.TempDir()
	fs, err := crashfs.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := fs.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := fs.Arm(cut); err != nil {
		t.Fatal(err)
	}
	h := work(t, cfg.Mount)
	left := t.TempDir()
	if err := fs.Cut(cut.Mode, cut.Seed); err != nil {
		t.Fatal(err)
	}
	if err := fs.Survivors(left); err != nil {
		t.Fatal(err)
	}
	return h, h.verify(t, left)
}
