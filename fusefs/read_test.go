package fusefs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/vitrine-image/vitrine/image"
)

// someBytes returns random bytes whose number is no multiple of a page.
func someBytes(n int) []byte {
	b := make([]byte, n+123)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

func hexHash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// The ways that bytes can take.
var ways = []struct {
	name string
	edit func(*Config)
	wrap func(*os.File, int64) Reader
}{
	{"passthrough", func(*Config) {}, nil},
	{"copy", func(cfg *Config) { cfg.NoPassthrough = true }, nil},
	{"no file", func(*Config) {}, func(f *os.File, size int64) Reader { return &plainReader{f, size} }},
}

func TestEveryWayGivesTheSameBytes(t *testing.T) {
	data := someBytes(5 << 20)
	want := hexHash(data)
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			f := newFake(t)
			f.wrap = way.wrap
			img := f.add(t, "x", data)
			s := serve(t, f, way.edit)
			if way.name == "passthrough" {
				s.mustPass()
			}
			path := s.in("by-id", string(img.ID), "disk.raw")
			c := startChild(t)
			for _, r := range []request{
				{Op: "hash", Size: 1 << 20},
				{Op: "hash", Size: 4096},
				{Op: "hash", Size: 1000},
				{Op: "hash", Size: 1 << 20, Flags: unix.O_DIRECT},
				{Op: "hash", Size: 4096, Flags: unix.O_DIRECT},
			} {
				r.Path = path
				if a := c.ok(r); string(a.Data) != want || a.N != int64(len(data)) {
					t.Errorf("%+v read %d bytes with hash %s, want %d with %s", r, a.N, a.Data, len(data), want)
				}
			}
			fd := c.open(path)
			if a := c.ok(request{Op: "mmap", FD: fd, Size: len(data)}); string(a.Data) != want {
				t.Errorf("mapped bytes have hash %s, want %s", a.Data, want)
			}
			if got := c.read(fd, int64(len(data)-100)); got != string(data[len(data)-100:]) {
				t.Errorf("the last 100 bytes read as %d others", len(got))
			}
			if got := c.read(fd, int64(len(data))); got != "" {
				t.Errorf("%d bytes were read behind the end", len(got))
			}
			c.close(fd)
			s.waitClosed(img)
			concurrently(t, path, want)
			s.waitClosed(img)
		})
	}
}

// concurrently hashes a file in several processes at once.
func concurrently(t *testing.T, path, want string) {
	var wg sync.WaitGroup
	for i := range 4 {
		c := startChild(t)
		flags := []int{0, unix.O_DIRECT}[i%2]
		done := c.send(request{Op: "hash", Path: path, Size: 32 << 10, Flags: flags})
		wg.Go(func() {
			if a, err := done(); err != nil || string(a.Data) != want {
				t.Errorf("a reader beside others got hash %s, %v, want %s", a.Data, err, want)
			}
		})
	}
	wg.Wait()
}

// waitClosed waits until the image is not in use: the kernel tells of the last close a moment later.
func (s *served) waitClosed(img *image.Image) {
	s.t.Helper()
	s.waitOpen(img, 0)
}

// waitOpen waits until the image is open no more than so often.
func (s *served) waitOpen(img *image.Image, most int) {
	s.t.Helper()
	late := time.After(childPatience)
	for {
		n, shut := s.source.opened(img)
		if n <= most {
			return
		}
		select {
		case <-shut:
		case <-late:
			s.t.Fatalf("the image is open %d times after it was closed, want %d", n, most)
		}
	}
}

// isOpen checks how often the image is open.
func (s *served) isOpen(img *image.Image, want int) {
	s.t.Helper()
	if n, _ := s.source.opened(img); n != want {
		s.t.Errorf("the image is open %d times, want %d", n, want)
	}
}

func TestPassthroughIsUsed(t *testing.T) {
	f := newFake(t)
	img := f.add(t, "x", someBytes(1<<20))
	s := serve(t, f)
	s.mustPass()
	c := startChild(t)
	fd := c.open(s.in("by-id", string(img.ID), "disk.raw"))
	h, err := s.handles.acquire(t.Context(), imageNode(kindPassedData, img.Number), false)
	if err != nil || h.backing == 0 {
		t.Fatalf("the file is open as %+v, %v, want it passed through", h, err)
	}
	s.handles.release(h, false)
	again := c.open(s.in("by-id", string(img.ID), "image.raw"))
	c.close(fd)
	if got := c.read(again, 0); len(got) != 4096 {
		t.Errorf("after one of two closes %d bytes are read", len(got))
	}
	s.isOpen(img, 1)
	c.close(again)
	s.waitClosed(img)
}

// What a lookup promised may turn out to be impossible when the file is opened: it is read another way then, for as
// long as it is open, and nobody gets an error.
func TestRefusedPassthroughFallsBack(t *testing.T) {
	f := newFake(t)
	data := someBytes(1 << 20)
	img := f.add(t, "x", data)
	s := serve(t, f)
	s.mustPass()
	var st unix.Stat_t
	if err := unix.Stat(f.dir, &st); err != nil {
		t.Fatal(err)
	}
	s.refused.add(st.Dev)
	c := startChild(t)
	path := s.in("by-id", string(img.ID), "disk.raw")
	first := c.open(path)
	s.refused.mu.Lock()
	delete(s.refused.devices, st.Dev) // it would work now, but not while the file is open
	s.refused.mu.Unlock()
	if a := c.ok(request{Op: "hash", Path: path, Size: 64 << 10}); string(a.Data) != hexHash(data) {
		t.Errorf("hash %s, want %s", a.Data, hexHash(data))
	}
	c.close(first)
	s.waitClosed(img)
	if a := c.ok(request{Op: "hash", Path: path, Size: 64 << 10}); string(a.Data) != hexHash(data) {
		t.Errorf("passed through: hash %s, want %s", a.Data, hexHash(data))
	}
	s.waitClosed(img)
}

// A file on a file system that the kernel does not pass through, such as a FUSE mount, is read another way.
func TestImagesOnFUSE(t *testing.T) {
	lower := newFake(t)
	data := someBytes(1 << 20)
	below := lower.add(t, "x", data)
	under := serve(t, lower, func(cfg *Config) { cfg.Path = t.TempDir() })
	target := under.in("by-id", string(below.ID), "disk.raw")

	// The mount on top is served by a child, since this process must not open files of its own mount.
	c := startChild(t)
	top := t.TempDir()
	c.ok(request{Op: "serve", Path: top, Path2: target})
	defer c.do(request{Op: "unserve"})
	reader := startChild(t)
	a := reader.ok(request{Op: "hash", Path: top + "/by-id/00000000-0000-4000-8000-abcd00000001/disk.raw", Size: 64 << 10})
	if string(a.Data) != hexHash(data) {
		t.Errorf("hash %s, want %s", a.Data, hexHash(data))
	}
}

func TestReadsOfFilesNeverOpened(t *testing.T) {
	f := newFake(t)
	data := someBytes(1 << 20)
	img := f.add(t, "x", data)
	s := serve(t, f, func(cfg *Config) { cfg.NoPassthrough = true })
	c := startChild(t)
	fd := c.ok(request{Op: "open", Path: s.in("by-id", string(img.ID), "disk.raw"), Flags: unix.O_DIRECT})
	s.handles.closeAll() // as if this process had just taken over
	s.isOpen(img, 0)
	if got := c.read(int(fd.N), 4096); got != string(data[4096:8192]) {
		t.Error("a file that a predecessor opened reads wrong")
	}
	s.isOpen(img, 1)
	c.close(int(fd.N))
	s.waitClosed(img)
}

func TestSeekFindsDataAndHoles(t *testing.T) {
	f := newFake(t)
	f.wrap = func(file *os.File, size int64) Reader {
		file.Close()
		return &extentReader{size, [][2]int64{{4096, 8192}, {8192, 12288}, {40960, 45056}}}
	}
	img := f.add(t, "x", make([]byte, 65536))
	s, c := serve(t, f), startChild(t)
	fd := c.open(s.in("by-id", string(img.ID), "disk.raw"))
	doc := c.open(s.in("by-id", string(img.ID), "metadata.json"))
	for _, tt := range []struct {
		fd, whence int
		off, want  int64
		errno      syscall.Errno
	}{
		{fd, unix.SEEK_DATA, 0, 4096, 0},
		{fd, unix.SEEK_DATA, 5000, 5000, 0},
		{fd, unix.SEEK_DATA, 12288, 40960, 0},
		{fd, unix.SEEK_DATA, 45056, 0, syscall.ENXIO},
		{fd, unix.SEEK_DATA, 65536, 0, syscall.ENXIO},
		{fd, unix.SEEK_HOLE, 0, 0, 0},
		{fd, unix.SEEK_HOLE, 4096, 12288, 0},
		{fd, unix.SEEK_HOLE, 9000, 12288, 0},
		{fd, unix.SEEK_HOLE, 42000, 45056, 0},
		{fd, unix.SEEK_HOLE, 65536, 0, syscall.ENXIO},
		{doc, unix.SEEK_DATA, 1, 1, 0},
		{doc, unix.SEEK_DATA, 10000, 0, syscall.ENXIO},
		{fd, unix.SEEK_DATA, 1, 4096, 0}, // still asked after the document was
		{fd, unix.SEEK_END, 0, 65536, 0},
	} {
		a := c.do(request{Op: "seek", FD: tt.fd, Offset: tt.off, Flags: tt.whence})
		if a.Errno != tt.errno || tt.errno == 0 && a.N != tt.want {
			t.Errorf("seek %d from %d = %d, %v, want %d, %v", tt.whence, tt.off, a.N, a.Errno, tt.want, tt.errno)
		}
	}
}

func TestSeekInASparseFile(t *testing.T) {
	f := newFake(t)
	img := f.add(t, "x", nil, func(img *image.Image) { *img.Size = 1 << 20 })
	file, err := os.OpenFile(f.path(img.Number), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt([]byte("x"), 512<<10); err != nil {
		t.Fatal(err)
	}
	if err := file.Truncate(1 << 20); err != nil {
		t.Fatal(err)
	}
	file.Close()
	for _, way := range ways[:2] {
		s, c := serve(t, f, way.edit), startChild(t)
		fd := c.open(s.in("by-id", string(img.ID), "disk.raw"))
		if a := c.ok(request{Op: "seek", FD: fd, Flags: unix.SEEK_DATA}); a.N != 512<<10 {
			t.Errorf("%s: data begins at %d, want %d", way.name, a.N, 512<<10)
		}
	}
}

func TestReadsCanBeInterrupted(t *testing.T) {
	f := newFake(t)
	started := make(chan struct{}, 1)
	f.wrap = func(file *os.File, size int64) Reader { return &blockedReader{plainReader{file, size}, started} }
	img := f.add(t, "x", make([]byte, 65536))
	m, err := New(Config{Path: t.TempDir(), Source: f})
	if err != nil {
		t.Fatal(err)
	}
	interrupt, status := make(chan struct{}), make(chan fuse.Status)
	in := &fuse.ReadIn{InHeader: fuse.InHeader{NodeId: uint64(imageNode(kindData, img.Number))}, Size: 4096}
	go func() {
		_, s := m.Read(interrupt, in, make([]byte, 4096))
		status <- s
	}()
	<-started
	close(interrupt)
	if got := <-status; got != fuse.EINTR {
		t.Errorf("Read = %v, want EINTR", got)
	}
	m.handles.closeAll()
}

// TestSeeksAreNotInterrupted by what need not be a signal.
func TestSeeksAreNotInterrupted(t *testing.T) {
	f := newFake(t)
	f.wrap = func(file *os.File, size int64) Reader { return &slowExtents{plainReader{file, size}} }
	img := f.add(t, "x", make([]byte, 65536))
	m, err := New(Config{Path: t.TempDir(), Source: f})
	if err != nil {
		t.Fatal(err)
	}
	interrupted := make(chan struct{})
	close(interrupted)
	var out fuse.LseekOut
	in := &fuse.LseekIn{InHeader: fuse.InHeader{NodeId: uint64(imageNode(kindData, img.Number))}, Whence: unix.SEEK_DATA}
	if got := m.Lseek(interrupted, in, &out); got != fuse.OK || out.Offset != 4096 {
		t.Errorf("Lseek = %v, %d, want 4096", got, out.Offset)
	}
	m.handles.closeAll()
}

func TestErrorsReachTheReader(t *testing.T) {
	f := newFake(t)
	img := f.add(t, "x", []byte("data"))
	lost := f.add(t, "y", []byte("data"))
	s, c := serve(t, f), startChild(t)
	if err := os.Remove(f.path(lost.Number)); err != nil {
		t.Fatal(err)
	}
	if a := c.do(request{Op: "open", Path: s.in("by-id", string(lost.ID), "disk.raw")}); a.Errno != syscall.ENODATA {
		t.Errorf("open of an image whose bytes are lost: %v, want ENODATA", a.Errno)
	}
	if err := os.WriteFile(f.path(lost.Number), []byte("dat"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.wrap = func(file *os.File, size int64) Reader { return &plainReader{file, 3} }
	if a := c.do(request{Op: "open", Path: s.in("by-id", string(lost.ID), "disk.raw")}); a.Errno != syscall.EBADMSG {
		t.Errorf("open of an image that was cut short: %v, want EBADMSG", a.Errno)
	}
	s.isOpen(lost, 0)
	f.mu.Lock()
	f.broken = fmt.Errorf("the store says: %w", image.ErrStoreOffline)
	f.mu.Unlock()
	if a := c.do(request{Op: "open", Path: s.in("by-id", string(img.ID), "disk.raw")}); a.Errno != syscall.EHOSTDOWN {
		t.Errorf("open from a store that is offline: %v, want EHOSTDOWN", a.Errno)
	}
}

// A file that was cut short while it is open gives errors: zeros would be taken for the image's bytes.
func TestCutShortWhileOpen(t *testing.T) {
	for _, way := range ways[1:] { // what passes by this process, it cannot see
		t.Run(way.name, func(t *testing.T) {
			f := newFake(t)
			f.wrap = way.wrap
			img := f.add(t, "x", make([]byte, 1<<20))
			var log bytes.Buffer // read after the end
			logs := func(cfg *Config) { cfg.Logger = slog.New(slog.NewTextHandler(&log, nil)) }
			s, c := serve(t, f, way.edit, logs), startChild(t)
			fd := int(c.ok(request{Op: "open", Path: s.in("by-id", string(img.ID), "disk.raw"), Flags: unix.O_DIRECT}).N)
			if err := os.Truncate(f.path(img.Number), 512<<10+100); err != nil {
				t.Fatal(err)
			}
			if a := c.ok(request{Op: "pread", FD: fd, Offset: 256 << 10, Size: 128 << 10}); len(a.Data) != 128<<10 {
				t.Errorf("%d bytes of 128 KiB that are left were read", len(a.Data))
			}
			for _, off := range []int64{512 << 10, 768 << 10} { // partly there, and not at all
				for _, size := range []int{4096, 128 << 10} {
					if a := c.do(request{Op: "pread", FD: fd, Offset: off, Size: size}); a.Errno != syscall.EBADMSG {
						t.Errorf("%d bytes read from %d give %d bytes, %v, want EBADMSG", size, off, len(a.Data), a.Errno)
					}
				}
			}
			c.close(fd)
			if err := s.end(); err != nil {
				t.Error(err)
			}
			if got := strings.Count(log.String(), "op=read image_id="+string(img.ID)); got != 1 {
				t.Errorf("the log names the image %d times, want once:\n%s", got, &log)
			}
		})
	}
}

// A bad sector in the middle of what is read gives an error: a short answer would be the end of the file to the kernel, and zeros
// to a guest. The sector lies in a file of another mount, which is no file that the kernel passes through.
func TestBadSector(t *testing.T) {
	lower := newFake(t)
	lower.wrap = func(file *os.File, size int64) Reader { return &badReader{plainReader{file, size}, 576 << 10} }
	below := lower.add(t, "x", someBytes(1<<20))
	under := serve(t, lower, func(cfg *Config) { cfg.Path = t.TempDir() })
	c, reader := startChild(t), startChild(t)
	top := t.TempDir()
	c.ok(request{Op: "serve", Path: top, Path2: under.in("by-id", string(below.ID), "disk.raw")})
	defer c.do(request{Op: "unserve"})
	path := top + "/by-id/00000000-0000-4000-8000-abcd00000001/disk.raw"
	for _, flags := range []int{0, unix.O_DIRECT} {
		fd := int(reader.ok(request{Op: "open", Path: path, Flags: flags}).N)
		for _, off := range []int64{512 << 10, 576 << 10} {
			if a := reader.do(request{Op: "pread", FD: fd, Offset: off, Size: 128 << 10}); a.Errno == 0 && off+int64(len(a.Data)) > 576<<10 || a.Errno != 0 && a.Errno != syscall.EIO {
				t.Errorf("flags %#x: a read at %d over the sector gives %d bytes, %v", flags, off, len(a.Data), a.Errno)
			}
		}
		if a := reader.do(request{Op: "pread", FD: fd, Offset: 768 << 10, Size: 4096}); len(a.Data) != 4096 {
			t.Errorf("flags %#x: behind the sector, a read gives %d bytes, %v", flags, len(a.Data), a.Errno)
		}
		if a := reader.do(request{Op: "pread", FD: fd, Offset: 576 << 10, Size: 4096}); a.Errno != syscall.EIO {
			t.Errorf("flags %#x: a read of the sector gives %d bytes, %v, want EIO", flags, len(a.Data), a.Errno)
		}
		reader.close(fd)
	}
}

// What keeps the record from being read is no reason to take the image for one that left the tree.
func TestOpenTellsWhyTheRecordIsNotRead(t *testing.T) {
	f := newFake(t)
	img := f.add(t, "x", []byte("data"))
	m, err := New(Config{Path: t.TempDir(), Source: noRecords{f}})
	if err != nil {
		t.Fatal(err)
	}
	if h, err := m.openHandle(t.Context(), imageNode(kindData, img.Number)); !errors.Is(err, image.ErrUnavailable) {
		t.Errorf("openHandle = %+v, %v, want %v", h, err, image.ErrUnavailable)
	}
	if n, _ := f.opened(img); n != 0 {
		t.Errorf("the image is open %d times after a failure", n)
	}
}

// noRecords is a fake whose database does not answer.
type noRecords struct{ *fake }

func (noRecords) Image(context.Context, int64) (*image.Image, error) {
	return nil, image.ErrUnavailable
}

func TestOpenImagesAreBounded(t *testing.T) {
	f := newFake(t)
	one, two := f.add(t, "x", []byte("one")), f.add(t, "y", []byte("two"))
	warned := &watch{slog.NewTextHandler(io.Discard, nil), "mount operation failed", make(chan struct{}, 1)}
	s, c := serve(t, f, func(cfg *Config) { cfg.MaxOpen, cfg.Logger = 1, slog.New(warned) }), startChild(t)
	fd := c.open(s.in("by-id", string(one.ID), "disk.raw"))
	if a := c.do(request{Op: "open", Path: s.in("by-id", string(two.ID), "disk.raw")}); a.Errno != syscall.ENFILE {
		t.Errorf("open of one image too many: %v, want ENFILE", a.Errno)
	}
	select {
	case <-warned.logged:
	default:
		t.Error("the log does not tell of the limit")
	}
	again := c.open(s.in("by-id", string(one.ID), "disk.raw"))
	c.close(fd)
	c.close(again)
	s.waitClosed(one)
	if got := c.content(s.in("by-id", string(two.ID), "disk.raw")); got != "two" {
		t.Errorf("after the close the other image holds %q", got)
	}
}

// unserve ends what serveHere began. Both run in a child.
var unserve func() error

// serveHere mounts one image whose data is the file, for other users too if they may be let in.
func serveHere(path, file string, others bool) error {
	f := newFakeIn(path + ".data")
	st, err := os.Stat(file)
	if err == nil {
		err = os.Mkdir(f.dir, 0o700)
	}
	if err == nil {
		err = os.Symlink(file, f.path(1))
	}
	if err != nil {
		return err
	}
	f.set(1, f.image(1, "x", st.Size()))
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	m, err := New(Config{Path: path, Source: f, AllowOther: others, Logger: log, Linger: 100 * time.Millisecond})
	if err == nil {
		err = m.Attach(context.Background())
	}
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Serve(ctx) }()
	unserve = func() error {
		stop()
		defer os.RemoveAll(f.dir)
		return <-done
	}
	return nil
}
