package diskformat

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/vitrine-image/vitrine/diskformat/formattest"
)

// A bytesSource is an image in memory.
type bytesSource []byte

func (s bytesSource) Size() int64 { return int64(len(s)) }

func (s bytesSource) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	return bytes.NewReader(s).ReadAt(p, off)
}

// A sparseSource is a bytesSource of which 4 KiB blocks of zeros are holes.
type sparseSource struct{ bytesSource }

func (s sparseSource) Extents(_ context.Context, off, n int64) (list []Extent, _ error) {
	for end := off + n; off < end; {
		next := min(off/4096*4096+4096, end)
		if last := len(list) - 1; allZero(s.bytesSource[off:next]) {
		} else if last >= 0 && list[last].Offset+list[last].Length == off {
			list[last].Length += next - off
		} else {
			list = append(list, Extent{off, next - off})
		}
		off = next
	}
	return list, nil
}

// openDisk opens an image that must be readable, with a cache of 8 MiB.
func openDisk(t testing.TB, src Source, format string) *Disk {
	t.Helper()
	d, err := Open(t.Context(), src, format, NewCache(8<<20))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// extentsOf lists what Extents yields.
func extentsOf(t testing.TB, d *Disk, off, n int64) (list []Extent) {
	t.Helper()
	for e, err := range d.Extents(t.Context(), off, n) {
		if err != nil {
			t.Fatalf("Extents(%d, %d): %v", off, n, err)
		}
		list = append(list, e)
	}
	return list
}

func TestRawDisk(t *testing.T) {
	data := make([]byte, 64<<10)
	copy(data[8192:], bytes.Repeat([]byte("data"), 2048))
	data[len(data)-1] = 1
	d := openDisk(t, sparseSource{data}, Raw)
	checkDisk(t, d, data)
	for _, tt := range []struct {
		off  int64
		n    int
		want int
		err  error
	}{
		{0, 64 << 10, 64 << 10, nil},
		{8190, 100, 100, nil},
		{65530, 10, 6, io.EOF},
		{65536, 10, 0, io.EOF},
		{1 << 62, 10, 0, io.EOF},
		{65536, 0, 0, nil},
	} {
		p := bytes.Repeat([]byte{7}, tt.n)
		n, err := d.ReadAt(t.Context(), p, tt.off)
		if n != tt.want || err != tt.err || n > 0 && !bytes.Equal(p[:n], data[tt.off:][:n]) {
			t.Errorf("ReadAt(%d, %d) = %d, %v, want %d, %v", tt.off, tt.n, n, err, tt.want, tt.err)
		}
		if !bytes.Equal(p[n:], bytes.Repeat([]byte{7}, tt.n-n)) {
			t.Errorf("ReadAt(%d, %d) wrote behind what it read", tt.off, tt.n)
		}
	}
	if _, err := d.ReadAt(t.Context(), make([]byte, 1), -1); err == nil {
		t.Error("ReadAt reads in front of the disk")
	}
	for e, err := range d.Extents(t.Context(), -1, 10) {
		if err == nil {
			t.Errorf("Extents has %v in front of the disk", e)
		}
	}
	if got, want := extentsOf(t, d, 0, 1<<62), []Extent{{8192, 8192}, {61440, 4096}}; !slices.Equal(got, want) {
		t.Errorf("Extents = %v, want %v", got, want)
	}
	if got, want := extentsOf(t, d, 9000, 10), []Extent{{9000, 10}}; !slices.Equal(got, want) {
		t.Errorf("Extents within data = %v, want %v", got, want)
	}
	for _, outside := range []Extent{{65536, 10}, {1 << 62, 1 << 62}, {8192, 0}, {8192, -1}} {
		if got := extentsOf(t, d, outside.Offset, outside.Length); len(got) > 0 {
			t.Errorf("Extents(%d, %d) = %v", outside.Offset, outside.Length, got)
		}
	}
}

// What cannot be opened says so in a way that tells it from a failure of the store.
func TestOpenRefuses(t *testing.T) {
	for _, s := range formattest.Hostile() {
		if !Readable(s.Format) || s.Format == Raw || s.Check == "" {
			continue
		}
		_, err := Open(t.Context(), bytesSource(s.Data), s.Format, NewCache(1<<20))
		if s.Check == "log" { // which is replayed, if there is one
			if !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s: Open = %v, want ErrCorrupt", s.Name, err)
			}
			continue
		}
		var unsafe *UnsafeError
		if !errors.Is(err, ErrUnsupported) || !errors.As(err, &unsafe) {
			t.Errorf("%s: Open = %v, want the failed check %s", s.Name, err, s.Check)
		}
	}
	if _, err := Open(t.Context(), bytesSource("text"), ISO, NewCache(1<<20)); !errors.Is(err, ErrUnsupported) {
		t.Errorf("Open of an ISO image = %v", err)
	}
}

// backwards is the layout of a disk whose blocks stand in the file in the opposite order.
type backwards struct{ block, size int64 }

func (b backwards) find(_ context.Context, off, n int64) (run, error) {
	within := off % b.block
	return run{n: min(n, b.block-within), kind: runStored, at: b.size - b.block - (off - within) + within}, nil
}

func TestStored(t *testing.T) {
	const block, size = 100, 1000
	for _, tt := range []struct{ off, n, at, length int64 }{
		{0, 1000, 900, 100}, // the next one stands elsewhere
		{0, 10, 900, 10}, {70, 1000, 970, 30}, {100, 100, 800, 100}, {950, 1000, 50, 50}, {1000, 5, 0, 0}, {2000, 5, 0, 0}, {5, 0, 0, 0},
	} {
		d := &Disk{&file{bytesSource(make([]byte, size)), NewCache(1), 1}, backwards{block, size}, size}
		if at, n, err := d.Stored(t.Context(), tt.off, tt.n); at != tt.at || n != tt.length || err != nil {
			t.Errorf("Stored(%d, %d) = %d, %d, %v, want %d, %d", tt.off, tt.n, at, n, err, tt.at, tt.length)
		}
	}
	cut := &Disk{&file{bytesSource(make([]byte, 850)), NewCache(1), 1}, backwards{block, size}, size}
	if _, _, err := cut.Stored(t.Context(), 0, size); !errors.Is(err, ErrCorrupt) {
		t.Errorf("Stored of what is not there = %v, want %v", err, ErrCorrupt)
	}
}

// A busySource knows how many reads it has at once. They wait until there are enough.
type busySource struct {
	bytesSource
	now, most atomic.Int32
	enough    int32
	once      sync.Once
	reached   chan struct{} // closed then
}

func (s *busySource) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	now := s.now.Add(1)
	defer s.now.Add(-1)
	for most := s.most.Load(); now > most && !s.most.CompareAndSwap(most, now); most = s.most.Load() {
	}
	if now >= s.enough {
		s.once.Do(func() { close(s.reached) })
	}
	<-s.reached
	return s.bytesSource.ReadAt(ctx, p, off)
}

// TestHelpers do pieces of a read at the same time, unless all of them have something to do.
func TestHelpers(t *testing.T) {
	data := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{}).Read(data)
	want := make([]byte, 0, len(data))
	const block = 128 << 10
	for at := len(data); at > 0; at -= block {
		want = append(want, data[at-block:at]...)
	}
	read := func(atOnce int32) {
		t.Helper()
		src := &busySource{bytesSource: data, enough: atOnce, reached: make(chan struct{})}
		d := &Disk{&file{src, NewCache(1), 1}, backwards{block, int64(len(data))}, int64(len(data))}
		got := make([]byte, len(data))
		if n, err := d.ReadAt(t.Context(), got, 0); n != len(data) || err != nil || !bytes.Equal(got, want) {
			t.Errorf("ReadAt = %d, %v, equal: %v", n, err, bytes.Equal(got, want))
		}
		if most := src.most.Load(); most != atOnce {
			t.Errorf("%d reads at once, want %d", most, atOnce)
		}
	}
	read(parallelReads)
	for range cap(helpers) {
		helpers <- struct{}{}
	}
	read(1)
	<-helpers
	read(2)
	for range cap(helpers) - 1 {
		<-helpers
	}
	read(parallelReads)
}

// checkDisk compares what a disk reads with what it must, at random places, and its extents with the data.
func checkDisk(t *testing.T, d *Disk, want []byte) {
	t.Helper()
	if d.Size() != int64(len(want)) {
		t.Fatalf("Size = %d, want %d", d.Size(), len(want))
	}
	got := make([]byte, len(want))
	if n, err := d.ReadAt(t.Context(), got, 0); n != len(want) || err != nil || !bytes.Equal(got, want) {
		t.Fatalf("read whole: %d of %d bytes, %v, equal: %v", n, len(want), err, bytes.Equal(got, want))
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		off := random.Int64N(int64(len(want)))
		p := got[:min(1+random.IntN(1<<uint(random.IntN(18))), len(want)-int(off))]
		if n, err := d.ReadAt(t.Context(), p, off); n != len(p) || err != nil || !bytes.Equal(p, want[off:][:n]) {
			t.Fatalf("ReadAt(%d, %d) = %d, %v, equal: %v", off, len(p), n, err, bytes.Equal(p, want[off:][:len(p)]))
		}
	}
	at := int64(0)
	for _, e := range extentsOf(t, d, 0, d.Size()) {
		if e.Length <= 0 || e.Offset < at || e.Offset == at && at > 0 || e.Offset+e.Length > d.Size() {
			t.Fatalf("after %d comes the extent %v", at, e)
		}
		if !allZero(want[at:e.Offset]) {
			t.Fatalf("there is data between %d and %d, and no extent", at, e.Offset)
		}
		at = e.Offset + e.Length
	}
	if !allZero(want[at:]) {
		t.Fatalf("there is data behind %d, and no extent", at)
	}
	checkStored(t, d, want)
}

// checkStored compares what a disk says to stand in the file with what the file holds, which may be older than the disk.
func checkStored(t *testing.T, d *Disk, want []byte) {
	t.Helper()
	src := d.file.Source
	if r, ok := src.(*replayed); ok {
		src = r.src
	}
	for off := int64(0); off < d.Size(); {
		at, n, err := d.Stored(t.Context(), off, d.Size()-off)
		if err != nil || n < 0 || n > d.Size()-off {
			t.Fatalf("Stored(%d) = %d bytes at %d, %v", off, n, at, err)
		}
		got := make([]byte, n)
		if _, err := src.ReadAt(t.Context(), got, at); n > 0 && (err != nil && err != io.EOF || !bytes.Equal(got, want[off:off+n])) {
			t.Fatalf("Stored(%d) = %d bytes at %d, where there are others, %v", off, n, at, err)
		}
		off += max(n, 512)
	}
}
