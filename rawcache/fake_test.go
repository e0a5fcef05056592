package rawcache

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

const mega = 1 << 20

// A fakeDisk is an image with its disk in memory.
type fakeDisk struct {
	Image
	data []byte

	mu   sync.Mutex
	gone bool
	read int64                 // bytes
	hook func(off int64) error // before each read
}

// newDisk makes an image with so many blocks of data, and then as many of zeros.
func newDisk(n, blocks int) *fakeDisk {
	id := image.ID(fmt.Sprintf("00000000-0000-4000-8000-%012d", n))
	data := make([]byte, 2*blocks*blockSize+100)
	for i := range blocks * blockSize {
		data[i] = byte(i/blockSize+i) | 1
	}
	return &fakeDisk{Image: Image{ID: id, Number: int64(n), Disk: uint64(n), Size: int64(len(data)), Stored: int64(blocks * blockSize / 2), Copies: []uint64{7}}, data: data}
}

func (d *fakeDisk) set(change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change()
}

// open returns the disk as it is read without a file.
func (d *fakeDisk) open() Disk { return &openDisk{d} }

type openDisk struct{ d *fakeDisk }

func (o *openDisk) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	o.d.mu.Lock()
	hook := o.d.hook
	o.d.read += int64(len(p))
	o.d.mu.Unlock()
	if hook != nil {
		if err := hook(off); err != nil {
			return 0, err
		}
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	return bytes.NewReader(o.d.data).ReadAt(p, off)
}

func (o *openDisk) Size() int64  { return int64(len(o.d.data)) }
func (o *openDisk) Close() error { return nil }

// DataAt tells of ranges of a few pages that touch, as some formats do.
func (o *openDisk) DataAt(_ context.Context, off int64) (start, end int64, err error) {
	const step = 5 * 4096
	for off < o.Size() {
		end := min(off/step*step+step, o.Size())
		if !isZero(o.d.data[off:end]) {
			return off, end, nil
		}
		off = end
	}
	return o.Size(), o.Size(), nil
}

// A fixture is a cache that runs.
type fixture struct {
	*Cache
	t     *testing.T
	disks map[image.ID]*fakeDisk
	moved []int64 // by Run, to be read once that waits
	stop  func()
	log   *bytes.Buffer
	asked func() // called by Run after each question for an image, unless nil
}

func (f *fixture) Image(_ context.Context, id image.ID) (Image, error) {
	d := f.disks[id]
	if d == nil {
		return Image{}, image.ErrNotFound
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.gone {
		return Image{}, image.ErrNotFound
	}
	img := d.Image
	img.Copies = slices.Clone(d.Copies)
	return img, nil
}

// A runSource is what Run asks.
type runSource struct{ *fixture }

func (s runSource) Image(ctx context.Context, id image.ID) (Image, error) {
	img, err := s.fixture.Image(ctx, id)
	if s.asked != nil {
		s.asked()
	}
	return img, err
}

func (f *fixture) Open(ctx context.Context, id image.ID) (Image, uint64, Disk, error) {
	img, err := f.Image(ctx, id)
	if err != nil {
		return img, 0, nil, err
	}
	return img, img.Copies[0], f.disks[id].open(), nil
}

// run opens a cache on the directory that runs until the end of the bubble, or stop.
func run(t *testing.T, dir string, size int64, disks ...*fakeDisk) *fixture {
	t.Helper()
	f := open(t, dir, size, disks...)
	f.start()
	return f
}

// open opens a cache that start lets run.
func open(t *testing.T, dir string, size int64, disks ...*fakeDisk) *fixture {
	t.Helper()
	f := &fixture{t: t, disks: make(map[image.ID]*fakeDisk), log: new(bytes.Buffer)}
	for _, d := range disks {
		f.disks[d.ID] = d
	}
	c, err := Open(Config{Dir: dir, Size: size, Reserve: mega, Logger: slog.New(slog.NewTextHandler(io.MultiWriter(f.log, t.Output()), nil))})
	if err != nil {
		t.Fatal(err)
	}
	f.Cache = c
	return f
}

func (f *fixture) start() {
	f.t.Helper()
	ctx, cancel := context.WithCancel(f.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.Run(ctx, runSource{f}, func(_ context.Context, number int64) { f.moved = append(f.moved, number) })
	}()
	f.stop = sync.OnceFunc(func() {
		cancel()
		<-done
		if err := f.Close(); err != nil {
			f.t.Error(err)
		}
	})
	f.t.Cleanup(f.stop)
	synctest.Wait()
}

// read reads all of a disk and compares it.
func (f *fixture) read(r *Reader, d *fakeDisk) {
	f.t.Helper()
	for off := int64(0); off < int64(len(d.data)); off += 300_000 {
		p := make([]byte, min(300_000, int64(len(d.data))-off))
		if _, err := r.ReadAt(f.t.Context(), p, off); err != nil {
			f.t.Fatalf("reading %s at %d: %v", d.ID, off, err)
		}
		if !bytes.Equal(p, d.data[off:off+int64(len(p))]) {
			f.t.Fatalf("%s reads wrong at %d", d.ID, off)
		}
	}
}

// open returns a Reader as the mount has it.
func (f *fixture) open(d *fakeDisk) *Reader {
	f.t.Helper()
	img, err := f.Image(f.t.Context(), d.ID)
	if err != nil {
		f.t.Fatal(err)
	}
	return f.Reader(img, d.open())
}

// heatUp reads a disk until a file is made of it, or should be.
func (f *fixture) heatUp(d *fakeDisk) {
	f.t.Helper()
	r := f.open(d)
	defer r.Close()
	for range hotReads {
		f.read(r, d)
	}
	synctest.Wait()
}

// has compares which disks lie in files.
func (f *fixture) has(what string, want ...*fakeDisk) {
	f.t.Helper()
	var names []string
	for _, d := range f.disks {
		kept := slices.Contains(want, d)
		if f.Has(d.Image) != kept {
			f.t.Errorf("%s: Has(%s) = %v, want %v", what, d.ID, !kept, kept)
		}
		if kept {
			names = append(names, string(d.ID))
		}
	}
	slices.Sort(names)
	if got := f.names(); !slices.Equal(got, names) {
		f.t.Errorf("%s: the directory holds files of %q, want %q", what, got, names)
	}
}

// names returns what the names in the directory begin with.
func (f *fixture) names() (names []string) {
	entries, err := os.ReadDir(f.dir.Name())
	if err != nil {
		f.t.Fatal(err)
	}
	for _, e := range entries {
		id, _, _ := strings.Cut(e.Name(), ".")
		names = append(names, id)
	}
	return names
}

// path returns the path of the only file.
func (f *fixture) path() string {
	f.t.Helper()
	entries, err := os.ReadDir(f.dir.Name())
	if err != nil || len(entries) != 1 {
		f.t.Fatalf("the directory holds %v, %v, want one file", entries, err)
	}
	return f.dir.Name() + "/" + entries[0].Name()
}

// minutes lets time pass.
func minutes(n int) {
	time.Sleep(time.Duration(n) * time.Minute)
	synctest.Wait()
}
