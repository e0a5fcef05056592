package faultstore

import (
	"errors"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/imagestore/filestore"
	"github.com/vitrine-image/vitrine/imagestore/storetest"
)

func newStore(t *testing.T) *filestore.Store {
	t.Helper()
	s, err := filestore.Open(filestore.Config{ID: "local", Dirs: []filestore.Dir{{Path: t.TempDir()}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// Without a fault nobody notices the wrapper.
func TestStore(t *testing.T) {
	storetest.Run(t, storetest.Factory{
		ID:  "local",
		New: func(t *testing.T) imagestore.Writer { return New(newStore(t), 0, Before) },
	})
}

// A store that can do no more than it must.
func TestStoreWithoutExtras(t *testing.T) {
	storetest.Run(t, storetest.Factory{
		ID:  "local",
		New: func(t *testing.T) imagestore.Writer { return New(struct{ imagestore.Writer }{newStore(t)}, 0, Before) },
	})
}

func TestFaults(t *testing.T) {
	for _, tt := range []struct {
		when    When
		effects []bool // of Put and Delete: whether the object is there
	}{
		{Before, []bool{false, true}},
		{After, []bool{true, false}},
	} {
		inner := newStore(t)
		obj := storetest.NewObject()
		put := func(s imagestore.Writer) error {
			_, err := s.Put(t.Context(), obj, storetest.NewSource([]byte("data"), 4))
			return err
		}
		read := func(s imagestore.Store) error {
			r, err := s.Open(t.Context(), inner.Locate(obj))
			if err != nil {
				return err
			}
			defer r.Close()
			_, err = storetest.ReadAll(t.Context(), r)
			return err
		}
		s := New(inner, 1, tt.when)
		if err := put(s); err != ErrFault || !s.Fired() {
			t.Errorf("first call = %v, fired %v, want %v", err, s.Fired(), ErrFault)
		}
		checkThere(t, inner, obj, tt.effects[0])
		if err := put(inner); err != nil && !errors.Is(err, image.ErrConflict) {
			t.Fatal(err)
		}
		for n := 1; n <= 3; n++ {
			s = New(inner, n, tt.when)
			if err := read(s); (err == ErrFault) != (n < 3) || s.Fired() != (n < 3) {
				t.Errorf("Open and ReadAt with fault %d = %v, fired %v", n, err, s.Fired())
			}
		}
		if err := New(inner, 1, tt.when).Delete(t.Context(), inner.Locate(obj)); err != ErrFault {
			t.Errorf("Delete = %v, want %v", err, ErrFault)
		}
		checkThere(t, inner, obj, tt.effects[1])
	}
}

func checkThere(t *testing.T, s *filestore.Store, obj imagestore.Object, want bool) {
	t.Helper()
	r, err := s.Open(t.Context(), s.Locate(obj))
	if err == nil {
		r.Close()
	}
	if (err == nil) != want {
		t.Errorf("the object is there: %v, want %v", err == nil, want)
	}
}
