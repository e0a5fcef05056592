package filestore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/imagestore/storetest"
	"golang.org/x/sys/unix"
)

var errFault = errors.New("fault")

// faulty fails the nth step: with no effect, or after the effect.
type faulty struct {
	n     int // from 1; 0 for none
	after bool
	named bool // there are no files without names
	moved bool // and no hard links
	seen  []string
}

func (f *faulty) step(step string, do func() error) error {
	f.seen = append(f.seen, step)
	if f.named && step == stepCreateUnnamed {
		return withoutUnnamed(step, do)
	}
	if f.moved && step == stepLink {
		return unix.EPERM
	}
	if len(f.seen) != f.n {
		return do()
	}
	if f.after {
		if err := do(); err != nil {
			return err
		}
	}
	return errFault
}

// The order of the steps is what makes a write durable.
func TestOrderOfSteps(t *testing.T) {
	s := openIn(t, Config{}, t.TempDir())
	steps := &faulty{}
	s.fault = steps.step
	obj := storetest.NewObject()
	put := func(obj imagestore.Object) {
		t.Helper()
		if _, err := s.Put(t.Context(), obj, storetest.NewSource(storetest.Random(10_000), 5000)); err != nil {
			t.Fatal(err)
		}
	}
	put(obj)
	want := []string{stepMakeShard, stepSyncRoot, stepCreateUnnamed, stepWrite, stepWrite, stepSize, stepSyncFile, stepLink, stepSyncShard}
	if !slices.Equal(steps.seen, want) {
		t.Errorf("steps of a first write:\n%q, want\n%q", steps.seen, want)
	}
	steps.seen = nil
	put(imagestore.Object{ImageID: obj.ImageID, Name: obj.Name + ".2"})
	if want := want[2:]; !slices.Equal(steps.seen, want) {
		t.Errorf("steps of a second write:\n%q, want\n%q", steps.seen, want)
	}
	steps.seen = nil
	if err := s.Delete(t.Context(), s.Locate(obj)); err != nil {
		t.Fatal(err)
	}
	if want := []string{stepUnlink, stepSyncShard}; !slices.Equal(steps.seen, want) {
		t.Errorf("steps of a deletion:\n%q, want\n%q", steps.seen, want)
	}
}

func TestEveryStepOfAPutMayFail(t *testing.T) {
	for _, kind := range []string{"unnamed", "named", "moved"} {
		for _, after := range []bool{false, true} {
			for n := 1; ; n++ {
				s := openIn(t, Config{}, t.TempDir())
				steps := &faulty{n: n, after: after, named: kind != "unnamed", moved: kind == "moved"}
				s.fault = steps.step
				obj := storetest.NewObject()
				_, err := s.Put(t.Context(), obj, storetest.NewSource(storetest.Random(10_000), 5000))
				if len(steps.seen) < n {
					break // all were tried
				}
				step := fmt.Sprintf("%s (%s, after its effect %v)", steps.seen[n-1], kind, after)
				if steps.seen[n-1] == stepCreateUnnamed && steps.named || steps.seen[n-1] == stepLink && steps.moved {
					continue
				}
				if !errors.Is(err, errFault) {
					t.Errorf("%s: Put = %v, want %v", step, err, errFault)
				}
				s.fault = nil
				checkEmpty(t, s, step)
				if _, err := s.Put(t.Context(), obj, storetest.NewSource(storetest.Random(10), 10)); err != nil {
					t.Errorf("%s: the Put after it = %v", step, err)
				}
			}
		}
	}
}

// checkEmpty makes sure that the store holds nothing, not even what a sweep would remove.
func checkEmpty(t *testing.T, s *Store, what string) {
	t.Helper()
	if n, err := s.Sweep(t.Context()); n != 0 || err != nil {
		t.Errorf("%s: Sweep removes %d, %v, want nothing to be there", what, n, err)
	}
	for _, f := range audit(t, s) {
		t.Errorf("%s: left %s", what, f.Path)
	}
	if len(s.promises.bytes) != 0 {
		t.Errorf("%s: left promises %v", what, s.promises.bytes)
	}
}

func audit(t *testing.T, s *Store) (found []imagestore.Finding) {
	t.Helper()
	if err := s.Audit(t.Context(), func(f imagestore.Finding) error {
		found = append(found, f)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return found
}

// If even the removal of a name fails, the object is where Locate says: the sweep of its reservation finds it.
func TestWhatCannotBeUndoneIsFound(t *testing.T) {
	s := openIn(t, Config{}, t.TempDir())
	s.fault = func(step string, do func() error) error {
		if step == stepSyncShard || step == stepUnlink {
			return errFault
		}
		return do()
	}
	obj := storetest.NewObject()
	if _, err := s.Put(t.Context(), obj, storetest.NewSource(storetest.Random(10), 10)); !errors.Is(err, errFault) {
		t.Fatalf("Put = %v, want %v", err, errFault)
	}
	s.fault = nil
	if err := s.Delete(t.Context(), s.Locate(obj)); err != nil {
		t.Error(err)
	}
	checkEmpty(t, s, "after the deletion")
}

func TestEveryStepOfADeletionMayFail(t *testing.T) {
	for _, after := range []bool{false, true} {
		for n := 1; n <= 2; n++ {
			s := openIn(t, Config{}, t.TempDir())
			loc, err := s.Put(t.Context(), storetest.NewObject(), storetest.NewSource(storetest.Random(10), 10))
			if err != nil {
				t.Fatal(err)
			}
			s.fault = (&faulty{n: n, after: after}).step
			if err := s.Delete(t.Context(), loc); !errors.Is(err, errFault) {
				t.Errorf("step %d, after %v: Delete = %v, want %v", n, after, err, errFault)
			}
			s.fault = nil
			if err := s.Delete(t.Context(), loc); err != nil {
				t.Errorf("step %d, after %v: the Delete after it = %v", n, after, err)
			}
			checkEmpty(t, s, "after the second deletion")
		}
	}
}

// A file system that cannot be worked on is an offline store, and comes back.
func TestFileSystemGoesAway(t *testing.T) {
	for _, gone := range []error{unix.ESTALE, unix.ENOTCONN, unix.ENODEV, unix.EIO, unix.ETIMEDOUT, unix.EMFILE} {
		s := openIn(t, Config{}, t.TempDir())
		s.fault = func(step string, do func() error) error {
			if step == stepWrite {
				return gone
			}
			return do()
		}
		obj := storetest.NewObject()
		_, err := s.Put(context.Background(), obj, storetest.NewSource(storetest.Random(10), 10))
		if !errors.Is(err, image.ErrStoreOffline) {
			t.Errorf("%v: Put = %v, want %v", gone, err, image.ErrStoreOffline)
		}
		s.fault = nil
		checkEmpty(t, s, gone.Error())
		if _, err := s.Put(t.Context(), obj, storetest.NewSource(storetest.Random(10), 10)); err != nil {
			t.Errorf("Put after it came back = %v", err)
		}
	}
}
