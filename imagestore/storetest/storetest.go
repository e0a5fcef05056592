// Package storetest is the suite that every imagestore.Store must pass, wrappers included. Start reading at Run.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
)

// A Factory makes the stores under test.
type Factory struct {
	ID string // of the store, in its locations
	// New returns a store that holds nothing.
	New func(t *testing.T) imagestore.Writer
	// Reopen returns a store over what New's store keeps, as after a restart; nil leaves that test out.
	Reopen func(t *testing.T, old imagestore.Writer) imagestore.Writer
}

// Run tests what the interfaces of package imagestore promise. What a store cannot do (by its type, or by saying
// errors.ErrUnsupported) is left out.
func Run(t *testing.T, f Factory) {
	run(t, slices.Concat(reading, writing), func(t *testing.T) suite { return suite{Factory: f, Writer: f.New(t)} })
}

// A ReadFactory makes stores that take no data.
type ReadFactory struct {
	ID string // of the store, in its locations
	// New returns a store, and how data gets to where the store finds it.
	New func(t *testing.T) (store imagestore.Store, publish func(data []byte) image.Location)
}

// RunRead tests a store that takes no data as Run does others.
func RunRead(t *testing.T, f ReadFactory) {
	run(t, reading, func(t *testing.T) suite {
		store, publish := f.New(t)
		return suite{Factory: Factory{ID: f.ID}, Writer: published{Store: store, publish: publish}}
	})
}

func run(t *testing.T, tests []test, setup func(*testing.T) suite) {
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, setup(t)) })
	}
}

// A test is one of the suite.
type test struct {
	name string
	test func(*testing.T, suite)
}

// reading is what every store must pass, writing what those must that take data.
var (
	reading = []test{
		{"sizes", testSizes},
		{"zeros", testZeros},
		{"read at any offset", testReadAt},
		{"read in order", testReadInOrder},
		{"reads end with the context", testReadCancelled},
		{"concurrent reads", testConcurrentReads},
		{"foreign locations", testForeignLocations},
		{"files", testFile},
		{"extents", testExtents},
		{"lending", testLending},
	}
	writing = []test{
		{"unknown size", testUnknownSize},
		{"an object is never overwritten", testConflict},
		{"one of many concurrent puts wins", testConcurrentConflict},
		{"concurrent puts", testConcurrentPuts},
		{"a broken source leaves nothing", testBrokenSource},
		{"a source of the wrong size leaves nothing", testWrongSize},
		{"a cancelled put leaves nothing", testCancelledPut},
		{"delete", testDelete},
		{"locate", testLocate},
		{"data of others stays", testOthers},
		{"a restart loses nothing", testReopen},
		{"space", testSpace},
		{"audit", testAudit},
		{"sweep", testSweep},
	}
)

// A suite is one test's store.
type suite struct {
	Factory
	imagestore.Writer
}

// put stores data as an object of a new image.
func (s suite) put(t *testing.T, data []byte) (imagestore.Object, image.Location) {
	t.Helper()
	obj := NewObject()
	loc, err := s.Put(t.Context(), obj, NewSource(data, 64<<10))
	if err != nil {
		t.Fatalf("Put of %d bytes = %v", len(data), err)
	}
	return obj, loc
}

// open opens a location until the test ends.
func (s suite) open(t *testing.T, loc image.Location) imagestore.Reader {
	t.Helper()
	r, err := s.Open(t.Context(), loc)
	if err != nil {
		t.Fatalf("Open = %v", err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
	})
	return r
}

// check compares what the store keeps with data.
func (s suite) check(t *testing.T, loc image.Location, data []byte) {
	t.Helper()
	r, err := s.Open(t.Context(), loc)
	if err != nil {
		t.Errorf("Open = %v", err)
		return
	}
	defer r.Close()
	if r.Size() != int64(len(data)) {
		t.Errorf("Size = %d, want %d", r.Size(), len(data))
	}
	got, err := ReadAll(t.Context(), r)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("the store gives %s (error %v), want %s", describe(got), err, describe(data))
	}
}

// checkNothing makes sure that the object is not there, and that its name can be used again.
func (s suite) checkNothing(t *testing.T, obj imagestore.Object) {
	t.Helper()
	if r, err := s.Open(t.Context(), s.Locate(obj)); !errors.Is(err, image.ErrDataMissing) {
		t.Errorf("Open of what should not be there = %v, want %v", err, image.ErrDataMissing)
		if err == nil {
			r.Close()
		}
	}
	if found := s.audit(t); len(found) != 0 {
		t.Errorf("Audit finds %v, want nothing", found)
	}
	data := Random(1000)
	loc, err := s.Put(t.Context(), obj, NewSource(data, 100))
	if err != nil {
		t.Fatalf("Put under the name of what should not be there = %v", err)
	}
	s.check(t, loc, data)
}

// audit returns the findings, none if the store has no auditor.
func (s suite) audit(t *testing.T) (found []imagestore.Finding) {
	t.Helper()
	a, ok := s.Writer.(imagestore.Auditor)
	if !ok {
		return nil
	}
	err := a.Audit(t.Context(), func(f imagestore.Finding) error {
		found = append(found, f)
		return nil
	})
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		t.Fatalf("Audit = %v", err)
	}
	return found
}

// ReadAll returns all bytes of a reader.
func ReadAll(ctx context.Context, r imagestore.Reader) ([]byte, error) {
	p := make([]byte, r.Size())
	n, err := r.ReadAt(ctx, p, 0)
	if err == io.EOF && int64(n) == r.Size() {
		err = nil
	}
	return p[:n], err
}

func describe(b []byte) string {
	if len(b) <= 16 {
		return fmt.Sprintf("%x", b)
	}
	return fmt.Sprintf("%d bytes %x...", len(b), b[:16])
}
