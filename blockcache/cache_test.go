package blockcache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// TestModel reads images of odd sizes at odd places through a cache that is too small for them, and whose file fails now
// and then.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := open(t, sized(rapid.Int64Range(16, 20).Draw(rt, "blocks")))
		defer c.Close()
		file := breakable(c)
		var images []*remote
		var readers []imagestore.Reader
		for i := range rapid.IntRange(1, 3).Draw(rt, "images") {
			size := rapid.OneOf(rapid.IntRange(0, 3*granule), rapid.IntRange(0, 20*blockSize)).Draw(rt, "size")
			images = append(images, newRemote(size))
			readers = append(readers, c.Reader(uint64(i+1), images[i]))
		}
		for range rapid.IntRange(1, 60).Draw(rt, "reads") {
			file.read, file.write, file.flip = nil, nil, false
			switch rapid.IntRange(0, 20).Draw(rt, "fault") {
			case 0:
				file.read = errBroken
			case 1:
				file.write = errBroken
			case 2:
				file.flip = true
			case 3:
				c.paused = time.Time{} // as a minute later
			}
			i := rapid.IntRange(0, len(images)-1).Draw(rt, "image")
			size := images[i].Size()
			off := rapid.Int64Range(0, size+granule).Draw(rt, "offset")
			n := rapid.OneOf(rapid.Int64Range(0, 2*granule), rapid.Int64Range(0, 5*blockSize)).Draw(rt, "bytes")
			if rapid.Bool().Draw(rt, "aligned") {
				off, n = off/granule*granule, n/granule*granule
			}
			want(t, readers[i], images[i].data, off, n)
			for _, call := range images[i].calls {
				if call[0] < 0 || call[1] <= 0 || call[0]+call[1] > size {
					rt.Fatalf("%d bytes at %d of %d were fetched", call[1], call[0], size)
				}
			}
			images[i].calls = nil
		}
	})
}

// TestFetchesWhatIsMissing counts the calls below.
func TestFetchesWhatIsMissing(t *testing.T) {
	data := newRemote(8*blockSize + 100)
	c := open(t)
	r := c.Reader(1, data)
	for _, tt := range []struct {
		name   string
		off, n int64
		calls  [][2]int64
	}{
		{"a few bytes are rounded out", granule + 10, 20, [][2]int64{{granule, granule}}},
		{"they are there", granule, granule, nil},
		{"and so are fewer", granule + 1, 7, nil},
		{"only the gaps", 0, 4 * granule, [][2]int64{{0, granule}, {2 * granule, 2 * granule}}},
		{"over blocks in one call", 3 * granule, 3 * blockSize, [][2]int64{{4 * granule, 3*blockSize - granule}}},
		{"across the end", 8*blockSize - 5, 1000, [][2]int64{{8*blockSize - granule, granule + 100}}},
		{"the end again", 8*blockSize + 50, 50, nil},
		{"behind the end", 8*blockSize + 100, 1, nil},
		{"nothing", 5 * blockSize, 0, nil},
	} {
		want(t, r, data.data, tt.off, tt.n)
		if calls, _ := data.asked(); !reflect.DeepEqual(calls, tt.calls) {
			t.Errorf("%s: reading %d bytes at %d fetches %v, want %v", tt.name, tt.n, tt.off, calls, tt.calls)
		}
	}
	again := c.Reader(1, data)
	want(t, again, data.data, 0, 3*blockSize)
	other := newRemote(blockSize)
	want(t, c.Reader(2, other), other.data, 0, blockSize)
	if calls, _ := data.asked(); calls != nil {
		t.Errorf("another reader of the image fetches %v", calls)
	}
	large := newRemote(2*maxFetch*granule + 1)
	r = open(t, sized(64)).Reader(1, large)
	want(t, r, large.data, 5, large.Size())
	if calls, _ := large.asked(); len(calls) != 3 {
		t.Errorf("a large read makes the calls %v", calls)
	}
}

// TestOneFetchForAll lets many read the same at once, while the data is on its way.
func TestOneFetchForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := newRemote(2 * blockSize)
		arrives := make(chan struct{})
		data.before = func(context.Context, int64, int64) error { <-arrives; return nil }
		c := open(t)
		var readers sync.WaitGroup
		for i := range 50 {
			r := c.Reader(1, data)
			readers.Go(func() { want(t, r, data.data, int64(i*100), blockSize) })
		}
		synctest.Wait()
		close(arrives)
		readers.Wait()
		if _, n := data.asked(); n != blockSize+2*granule {
			t.Errorf("%d bytes were fetched for all, want each granule once", n)
		}
	})
}

// TestReadersThatGiveUp ends the context of the one who fetches, and of one who waits; others get their bytes.
func TestReadersThatGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := newRemote(blockSize)
		arrives := make(chan struct{})
		data.before = func(ctx context.Context, _, _ int64) error {
			select {
			case <-arrives:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		r := open(t).Reader(1, data)
		read := func(ctx context.Context) chan error {
			ended := make(chan error, 1)
			go func() {
				_, err := r.ReadAt(ctx, make([]byte, granule), 0)
				ended <- err
			}()
			synctest.Wait()
			return ended
		}
		fetching, stopFetching := context.WithCancel(t.Context())
		waiting, stopWaiting := context.WithCancel(t.Context())
		defer stopFetching()
		defer stopWaiting()
		first, second, third := read(fetching), read(waiting), read(t.Context())
		stopWaiting()
		if err := <-second; !errors.Is(err, context.Canceled) {
			t.Errorf("ReadAt that waits, whose context ended = %v", err)
		}
		stopFetching()
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Errorf("ReadAt that fetches, whose context ended = %v", err)
		}
		synctest.Wait()
		close(arrives)
		if err := <-third; err != nil {
			t.Errorf("ReadAt beside readers that gave up = %v", err)
		}
		if calls, _ := data.asked(); len(calls) != 2 {
			t.Errorf("the calls were %v, want the one that was given up, and another", calls)
		}
		if _, err := r.ReadAt(fetching, make([]byte, 1), 0); !errors.Is(err, context.Canceled) {
			t.Errorf("ReadAt with a context that ended = %v", err)
		}
	})
}

// TestFailuresBelow are told to the reader, and keep nobody from trying again.
func TestFailuresBelow(t *testing.T) {
	data := newRemote(blockSize)
	r := open(t).Reader(1, data)
	lost := errors.New("lost")
	data.before = func(context.Context, int64, int64) error { return lost }
	if n, err := r.ReadAt(t.Context(), make([]byte, granule), 0); n != 0 || err != lost {
		t.Errorf("ReadAt = %d, %v, want %v", n, err, lost)
	}
	data.before = func(context.Context, int64, int64) error { panic("of the store") }
	func() {
		defer func() { recover() }()
		r.ReadAt(t.Context(), make([]byte, granule), 0)
		t.Error("a panic did not reach the reader")
	}()
	data.before = nil
	want(t, r, data.data, 0, granule)
	whole := data.data
	data.data = data.data[:blockSize/2] // cut short
	if n, err := r.ReadAt(t.Context(), make([]byte, blockSize), 0); n != granule || err != io.EOF {
		t.Errorf("ReadAt of what was cut short = %d, %v", n, err)
	}
	data.data = whole
	want(t, r, data.data, 0, blockSize)
	if _, err := r.ReadAt(t.Context(), make([]byte, 1), -1); err == nil {
		t.Error("ReadAt(-1) gives no error")
	}
}

// TestScanLeavesWhatIsUsed reads through a large image once, which must not push out what is read again and again, and then
// lets the readers turn to other data, which must find its place.
func TestScanLeavesWhatIsUsed(t *testing.T) {
	const fits = 100 // blocks
	c := open(t, sized(fits))
	used, large, later := newRemote(80*blockSize), newRemote(10*fits*blockSize), newRemote(80*blockSize)
	readAll := func(image uint64, data *remote, step int64) (fetched int64) {
		r := c.Reader(image, data)
		for off := int64(0); off < data.Size(); off += step {
			want(t, r, data.data, off, step)
		}
		_, fetched = data.asked()
		return fetched
	}
	readAll(1, used, blockSize)
	if n := readAll(1, used, blockSize); n != 0 {
		t.Errorf("%d bytes were fetched again of an image that fits", n)
	}
	for _, step := range []int64{granule, 2 * blockSize} {
		readAll(2, large, step)
		if n := readAll(1, used, blockSize); n != 0 {
			t.Errorf("after a scan in steps of %d %d bytes of other images had to be fetched again", step, n)
		}
	}
	fetched := int64(0)
	for range 8 {
		fetched = readAll(3, later, blockSize)
	}
	if fetched != 0 {
		t.Errorf("%d bytes of what is read now were fetched at the last time", fetched)
	}
	if n := int64(len(c.blocks)); n > fits {
		t.Errorf("the cache holds %d blocks of %d", n, fits)
	}
}

// TestReadersOfEverything has more readers than the cache has blocks.
func TestReadersOfEverything(t *testing.T) {
	var log bytes.Buffer
	c := open(t, func(cfg *Config) { cfg.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	data := newRemote(64*blockSize + 33)
	var readers sync.WaitGroup
	for i := range 40 {
		r := c.Reader(1+uint64(i%2), data)
		random := rand.New(rand.NewPCG(1, uint64(i)))
		readers.Go(func() {
			for range 60 {
				want(t, r, data.data, random.Int64N(data.Size()), random.Int64N(3*blockSize))
			}
		})
	}
	readers.Wait()
	for key, b := range c.blocks {
		if b.pins != 0 || b.awaited != 0 {
			t.Errorf("block %v has %d pins and awaits %b when nobody reads", key, b.pins, b.awaited)
		}
	}
	if log.Len() > 0 {
		t.Errorf("the log tells of trouble:\n%s", &log)
	}
}

// TestBrokenFile reads on without the cache while its file fails, and with it a minute after.
func TestBrokenFile(t *testing.T) {
	for _, tt := range []struct {
		name   string
		damage func(*broken)
		again  int64 // bytes fetched for what the cache had
	}{
		{"writes fail", func(b *broken) { b.write = syscall.ENOSPC }, 0},
		{"reads fail", func(b *broken) { b.read = errBroken }, granule},
		{"other bytes", func(b *broken) { b.flip = true }, granule},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				c := open(t, func(cfg *Config) { cfg.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
				file := breakable(c)
				data := newRemote(4 * blockSize)
				r := c.Reader(1, data)
				want(t, r, data.data, 0, granule)
				data.asked()
				tt.damage(file)
				want(t, r, data.data, 0, granule)
				if _, n := data.asked(); n != tt.again {
					t.Errorf("%d bytes were fetched of what the cache had, want %d", n, tt.again)
				}
				for range 3 {
					want(t, r, data.data, blockSize, blockSize)
				}
				if _, n := data.asked(); n != 3*blockSize {
					t.Errorf("%d bytes were fetched without a cache, want all each time", n)
				}
				if got := strings.Count(log.String(), "takes nothing new"); got != 1 {
					t.Errorf("the log tells of the trouble %d times, want once:\n%s", got, &log)
				}
				*file = broken{File: file.File}
				time.Sleep(pause)
				for range 3 {
					want(t, r, data.data, blockSize, blockSize)
				}
				if _, n := data.asked(); n != blockSize {
					t.Errorf("%d bytes were fetched once the file works, want all once", n)
				}
			})
		})
	}
}

// smallDisk mounts a file system of so many blocks.
func smallDisk(t *testing.T, blocks int) string {
	t.Helper()
	testservers.Require(t, "root")
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", blocks*blockSize)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// TestFullDisk has a cache that is larger than its disk.
func TestFullDisk(t *testing.T) {
	data := newRemote(64 * blockSize)
	for _, reserve := range []int64{-1 << 30, 8 * blockSize} { // the first never looks at what is free
		dir := smallDisk(t, 32)
		c := open(t, sized(100), func(cfg *Config) { cfg.Dir, cfg.Reserve = dir, reserve })
		r := c.Reader(1, data)
		for range 2 {
			want(t, r, data.data, 0, data.Size())
		}
		var fs unix.Statfs_t
		if err := unix.Statfs(dir, &fs); err != nil {
			t.Fatal(err)
		}
		if free := int64(fs.Bavail) * fs.Frsize; free < reserve {
			t.Errorf("%d bytes are free of a disk that the cache shares, want %d", free, reserve)
		}
		if reserve > 0 && c.isPaused() {
			t.Error("the cache filled the disk")
		}
		if c.places < 16 {
			t.Errorf("only %d blocks of a disk of 32 were used", c.places)
		}
		c.Close()
	}
}

// TestHolesOfTheFileAreKeptFree fills granules here and there, which must leave room for those between them.
func TestHolesOfTheFileAreKeptFree(t *testing.T) {
	c := open(t, sized(100), func(cfg *Config) { cfg.Dir, cfg.Reserve = smallDisk(t, 32), 8*blockSize })
	data := newRemote(64 * blockSize)
	r := c.Reader(1, data)
	for off := int64(0); off < data.Size(); off += blockSize {
		want(t, r, data.data, off, granule)
	}
	if c.places != 24 {
		t.Errorf("%d blocks have a place on a disk of 32 with 8 in reserve", c.places)
	}
}

// TestMemory counts what the tables take, where each block holds one granule.
func TestMemory(t *testing.T) {
	const blocks = 1 << 14 // 1 GiB
	data := newRemote(blocks * granule)
	c := open(t, sized(blocks))
	r := c.Reader(1, spread{data})
	before := heap()
	p := make([]byte, granule)
	for i := range int64(2 * blocks) {
		if _, err := r.ReadAt(t.Context(), p, i*blockSize); err != nil {
			t.Fatal(err)
		}
	}
	if took := heap() - before; took > 5<<20 {
		t.Errorf("a cache of 1 GiB takes %d KiB of memory", took>>10)
	}
	runtime.KeepAlive(c)
}

// spread is a large image of which all blocks begin alike.
type spread struct{ *remote }

func (s spread) Size() int64 { return 1 << 40 }
func (s spread) ReadAt(_ context.Context, p []byte, _ int64) (int, error) {
	return copy(p, s.data), nil
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestReaderIsNoMoreThanBelow asks what readers can do.
func TestReaderIsNoMoreThanBelow(t *testing.T) {
	c := open(t)
	plain := newRemote(blockSize)
	r := c.Reader(1, plain)
	if _, ok := r.(imagestore.ExtentReader); ok {
		t.Error("a reader knows extents that below does not know")
	}
	if r.Size() != blockSize {
		t.Errorf("Size = %d", r.Size())
	}
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	full := c.Reader(1, &everything{plain, file})
	if e, ok := full.(imagestore.ExtentReader); !ok {
		t.Error("a reader lost the extents of below")
	} else if list, err := e.Extents(t.Context(), 1, 2); err != nil || len(list) != 1 || list[0] != (imagestore.Extent{Offset: 1, Length: 2}) {
		t.Errorf("Extents = %v, %v", list, err)
	}
	if _, ok := full.(imagestore.FileReader); ok {
		t.Error("a reader shows the file of below, past the cache")
	}
	if err := full.Close(); err != nil || !plain.closed {
		t.Errorf("Close = %v, closed below: %v", err, plain.closed)
	}
}

// everything has all that a reader may have.
type everything struct {
	*remote
	file *os.File
}

func (e *everything) File() *os.File { return e.file }
func (e *everything) Extents(_ context.Context, off, n int64) ([]imagestore.Extent, error) {
	return []imagestore.Extent{{Offset: off, Length: n}}, nil
}

// TestFileHasNoName looks for what a crash would leave behind, on file systems with and without files that have no name.
func TestFileHasNoName(t *testing.T) {
	for name, make := range map[string]func(string) (*os.File, error){"unnamed": unnamedFile, "nameless": namelessFile} {
		dir := t.TempDir()
		file, err := make(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if _, err := file.WriteAt([]byte("x"), 100); err != nil {
			t.Error(err)
		}
		if list, err := os.ReadDir(dir); err != nil || len(list) > 0 {
			t.Errorf("%s: the directory holds %v, %v", name, list, err)
		}
	}
	if c, err := Open(Config{Dir: t.TempDir(), Size: MinSize - 1}); err == nil {
		c.Close()
		t.Error("Open takes a size that is too small")
	}
	if c, err := Open(Config{Dir: "/dev/null/cache", Size: MinSize}); err == nil {
		c.Close()
		t.Error("Open takes a directory that cannot be made")
	}
}

func TestStats(t *testing.T) {
	c := open(t, sized(20))
	defer c.Close()
	r := c.Reader(1, newRemote(granule))
	for range 3 {
		if _, err := r.ReadAt(t.Context(), make([]byte, 100), 50); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := c.Stats(), (Stats{Hits: 2, Misses: 1, Bytes: blockSize}); got != want {
		t.Errorf("Stats = %+v, want %+v", got, want)
	}
}
