package storetest

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/vitrine-image/vitrine/imagestore"
)

func testSpace(t *testing.T, s suite) {
	m, ok := s.Writer.(imagestore.Measured)
	if !ok {
		t.Skip("this store does not know its space")
	}
	space, err := m.Space(t.Context())
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("this store does not know its space")
	}
	if err != nil || space.Total <= 0 || space.Free < 0 || space.Free > space.Total {
		t.Errorf("Space = %+v, %v", space, err)
	}
}

func testAudit(t *testing.T, s suite) {
	if _, ok := s.Writer.(imagestore.Auditor); !ok {
		t.Skip("this store has no auditor")
	}
	want := map[string]int64{}
	for _, size := range []int{0, 1000, 70_000} {
		_, loc := s.put(t, Random(size))
		want[loc.URL] = int64(size)
	}
	if len(s.audit(t)) == 0 {
		t.Skip("this store has no auditor")
	}
	for _, f := range s.audit(t) {
		if size, ok := want[f.Location.URL]; !ok || f.Location.Store != s.ID || f.Foreign != "" || f.Bytes != size {
			t.Errorf("Audit finds %+v, want %d bytes of store %s", f, size, s.ID)
		}
		delete(want, f.Location.URL)
	}
	if len(want) != 0 {
		t.Errorf("Audit does not find %v", want)
	}
	stop := errors.New("enough")
	calls := 0
	err := s.Writer.(imagestore.Auditor).Audit(t.Context(), func(imagestore.Finding) error { calls++; return stop })
	if !errors.Is(err, stop) || calls != 1 {
		t.Errorf("Audit with a failing function = %v after %d calls, want its error after 1", err, calls)
	}
}

func testSweep(t *testing.T, s suite) {
	sweeper, ok := s.Writer.(imagestore.Sweeper)
	if !ok {
		t.Skip("this store has no sweeper")
	}
	data := Random(1000)
	_, loc := s.put(t, data)
	src := NewSource(Random(100_000), 50_000)
	src.Before = func() { // while a write is under way
		if n, err := sweeper.Sweep(t.Context()); n != 0 || err != nil && !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("Sweep = %d, %v, want 0", n, err)
		}
	}
	written, err := s.Put(t.Context(), NewObject(), src)
	if err != nil {
		t.Fatalf("Put during a sweep = %v", err)
	}
	s.check(t, written, Random(100_000))
	s.check(t, loc, data)
}

func testFile(t *testing.T, s suite) {
	data := Random(100_000)
	_, loc := s.put(t, data)
	r, ok := s.open(t, loc).(imagestore.FileReader)
	if !ok {
		t.Skip("this store has no files")
	}
	got, err := io.ReadAll(io.NewSectionReader(r.File(), 0, r.Size()+1))
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("the file holds %s (error %v), want %s", describe(got), err, describe(data))
	}
}

// testLending reads in order, as a download does.
func testLending(t *testing.T, s suite) {
	const step = 400_000
	data := Random(20<<20 + 7)
	_, loc := s.put(t, data)
	r, ok := s.open(t, loc).(imagestore.LendingReader)
	if !ok {
		t.Skip("this store lends nothing")
	}
	buf := make([]byte, step)
	lent := 0
	for off := 0; off < len(data); {
		want := min(step, len(data)-off)
		p, release := r.Lend(t.Context(), want, int64(off))
		if lent += len(p); p == nil {
			n, err := r.ReadAt(t.Context(), buf[:want], int64(off))
			if err != nil {
				t.Fatalf("ReadAt(%d) = %v", off, err)
			}
			p, release = buf[:n], func() {}
		}
		if len(p) == 0 || len(p) > want || !bytes.Equal(p, data[off:off+len(p)]) {
			t.Fatalf("at %d come %s, want up to %d of the bytes there", off, describe(p), want)
		}
		off += len(p)
		release()
	}
	if lent == 0 {
		t.Error("nothing was lent")
	}
	if p, _ := r.Lend(t.Context(), 1, int64(len(data))); p != nil {
		t.Errorf("Lend at the end gives %s", describe(p))
	}
}

func testExtents(t *testing.T, s suite) {
	const hole, part = 3 << 20, 1 << 20
	data := slices.Concat(Random(part), make([]byte, hole), Random(part), make([]byte, hole))
	_, loc := s.put(t, data)
	r, ok := s.open(t, loc).(imagestore.ExtentReader)
	if !ok {
		t.Skip("this store does not know its holes")
	}
	for _, window := range []imagestore.Extent{{Offset: 0, Length: int64(len(data))}, {Offset: 0, Length: 1 << 62},
		{Offset: 100, Length: part}, {Offset: part, Length: hole}, {Offset: part + hole + 5, Length: 10},
		{Offset: 5, Length: 0}, {Offset: int64(len(data)), Length: 10}} {
		extents, err := r.Extents(t.Context(), window.Offset, window.Length)
		if err != nil {
			t.Errorf("Extents(%d, %d) = %v", window.Offset, window.Length, err)
			continue
		}
		checkExtents(t, data, window, extents)
	}
}

// checkExtents makes sure that the extents are in order and apart, and that nothing but zeros lies between them.
func checkExtents(t *testing.T, data []byte, window imagestore.Extent, extents []imagestore.Extent) {
	t.Helper()
	end := min(int64(len(data)), window.Offset+window.Length)
	from := window.Offset
	for i, e := range append(extents, imagestore.Extent{Offset: end}) {
		last := i == len(extents)
		if e.Offset < from || e.Offset == from && i > 0 && !last || !last && e.Length <= 0 || e.Offset+e.Length > end {
			t.Errorf("extents of %+v: %+v follows what ends at %d", window, e, from)
			return
		}
		if len(bytes.Trim(data[from:e.Offset], "\x00")) > 0 {
			t.Errorf("extents of %+v leave out data between %d and %d", window, from, e.Offset)
		}
		from = e.Offset + e.Length
	}
}
