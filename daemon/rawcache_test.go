package daemon_test

import (
	"bytes"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/diskformat/formattest"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore/storetest"
	"github.com/vitrine-image/vitrine/internal/testdaemon"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

const (
	keptAsFile   = "the disk of an image is kept as a file"
	stillAsFile  = "the disk of an image is still kept as a file"
	noLongerFile = "the disk of an image is no longer kept as a file"
)

// A hotDisk is an image in another format in a daemon's mount.
type hotDisk struct {
	d    *testdaemon.Daemon
	id   image.ID
	path string // of its disk.raw
	sum  string // of what a guest sees
	size int64
}

// newHotDisk makes an image of a disk of some MiB that holds what can be compressed, and as many of zeros.
func newHotDisk(t *testing.T, d *testdaemon.Daemon, store, options string, megabytes int) *hotDisk {
	t.Helper()
	pattern := storetest.Random(1 << 20)
	data := make([]byte, 2*megabytes<<20)
	for i := range megabytes {
		copy(data[i<<20:], pattern[:512<<10+i])
		copy(data[i<<20+512<<10:], bytes.Repeat(fmt.Appendf(nil, "text %d ", i), 512<<10)[:512<<10])
	}
	sum := sha512.Sum512(data)
	disk := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(disk, data, 0o600); err != nil {
		t.Fatal(err)
	}
	path, format := fromRaw(t, disk, options)
	id := newFileIn(t, d.Client, store, format, path)
	return (&hotDisk{id: id, sum: hex.EncodeToString(sum[:]), size: int64(len(data))}).in(d)
}

// in returns the disk in another daemon's mount.
func (h *hotDisk) in(d *testdaemon.Daemon) *hotDisk {
	now := *h
	now.d, now.path = d, filepath.Join(d.Mount, "by-id", string(h.id), "disk.raw")
	return &now
}

// read reads the disk past the page cache.
func (h *hotDisk) read(t *testing.T) {
	t.Helper()
	h.end(t, "a reader", startGuest(t, h.path, 0, "iflag=direct"))
}

func (h *hotDisk) end(t *testing.T, who string, g *guest) {
	t.Helper()
	if got := g.end(t); got != h.sum {
		t.Errorf("%s reads a disk with the hash %s, want %s", who, got, h.sum)
	}
}

// heatUp reads the disk until it is kept as a file.
func (h *hotDisk) heatUp(t *testing.T) {
	t.Helper()
	before := h.lines(keptAsFile)
	for range 3 {
		h.read(t)
	}
	h.logged(t, keptAsFile, before+1)
}

// lines returns how often the log says something of the disk.
func (h *hotDisk) lines(message string) (n int) {
	id := fmt.Sprintf(`"image_id":"%s"`, h.id)
	for l := range strings.Lines(h.d.Log()) {
		if strings.Contains(l, id) && strings.Contains(l, message) {
			n++
		}
	}
	return n
}

// logged waits until the log tells so many times of the disk.
func (h *hotDisk) logged(t *testing.T, message string, times int) {
	t.Helper()
	for end := time.Now().Add(time.Minute); h.lines(message) < times; {
		if err := h.d.Client.Health(t.Context()); err != nil || time.Now().After(end) {
			t.Fatalf("the log does not tell %d times %q of image %s; %v", times, message, h.id, err)
		}
	}
}

// passed tells whether the kernel reads by itself for who opens the disk now: nothing comes through the daemon.
func (h *hotDisk) passed(t *testing.T) bool {
	t.Helper()
	before := writtenBy(t, h.d)
	h.read(t)
	return writtenBy(t, h.d)-before < h.size/20
}

// checkHoles makes sure that the disk has the holes that the file has.
func (h *hotDisk) checkHoles(t *testing.T) {
	t.Helper()
	f, err := os.Open(h.path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	disk, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	data := dataIn(t, f)
	checkHoles(t, data, disk)
	if want := []formattest.Range{{Length: h.size / 2}}; !slices.Equal(data, want) {
		t.Errorf("there is data at %v, want %v", data, want)
	}
}

// files returns what lies in the directory of the files.
func (h *hotDisk) files(t *testing.T) []string {
	t.Helper()
	return entries(t, filepath.Join(h.d.Data, "cache", "raw"))
}

// TestHotRawViews reads a zstd qcow2 until the kernel reads it by itself, in a mount with and without passthrough. Who had it open goes
// on, also when the image is deleted meanwhile.
func TestHotRawViews(t *testing.T) {
	testservers.Require(t, "fuse", "qemu", "passthrough")
	d := testdaemon.Start(t, testdaemon.Config{Dir: t.TempDir(), Mount: true})
	h := newHotDisk(t, d, "", "qcow2 -c -o compression_type=zstd", 16)
	info, err := os.Stat(h.path)
	if err != nil {
		t.Fatal(err)
	}
	if h.passed(t) {
		t.Error("the kernel reads a compressed image by itself")
	}
	before := startGuest(t, h.path, 4, "iflag=direct")
	h.heatUp(t)
	if !h.passed(t) {
		t.Error("what is read often still comes through the daemon")
	}
	during := startGuest(t, h.path, 4, "iflag=direct")
	h.end(t, "who opened it before", before)
	if now, err := os.Stat(h.path); err != nil || now.Sys().(*syscall.Stat_t).Ino != info.Sys().(*syscall.Stat_t).Ino {
		t.Errorf("the inode has changed from %v to %v, %v", info.Sys(), now, err)
	}
	h.checkHoles(t)
	qemuImg(t, "compare", "-q", "-f", "raw", "-F", "qcow2", h.path, filepath.Join(filepath.Dir(h.path), "image.qcow2"))
	if err := d.Client.Deactivate(t.Context(), h.id); err != nil {
		t.Fatal(err)
	}
	h.logged(t, noLongerFile, 1)
	if left := h.files(t); len(left) > 0 {
		t.Errorf("files of an image that is not shown: %q", left)
	}
	h.end(t, "who had the file open that was removed", during)
	if err := d.Client.Reactivate(t.Context(), h.id); err != nil {
		t.Fatal(err)
	}
	if h.passed(t) {
		t.Error("the kernel reads a file that is gone")
	}
	h.heatUp(t)
	deleteClosed(t, d.Client, h.id)
	h.logged(t, noLongerFile, 2)
	if left := h.files(t); len(left) > 0 {
		t.Errorf("files of a deleted image: %q", left)
	}
}

// TestHotRawViewsThroughTheDaemon has a mount without passthrough, and room for one file.
func TestHotRawViewsThroughTheDaemon(t *testing.T) {
	testservers.Require(t, "fuse", "qemu")
	dir := t.TempDir()
	mountSays(t, dir, "passthrough = false\nraw_cache_size = \"20MiB\"\n")
	d := testdaemon.Start(t, testdaemon.Config{Dir: dir, Mount: true})
	a, b := newHotDisk(t, d, "", "vmdk -o subformat=streamOptimized", 16), newHotDisk(t, d, "", "qcow2", 16)
	old := startGuest(t, a.path, 4, "iflag=direct")
	a.heatUp(t)
	a.end(t, "who opened it before", old)
	a.read(t)
	old = startGuest(t, a.path, 0, "iflag=direct")
	for range 3 {
		b.read(t)
	}
	b.logged(t, "not kept as a file", 1)
	a.end(t, "who has the file open", old)
	if got := a.files(t); len(got) != 1 || !strings.HasPrefix(got[0], string(a.id)) {
		t.Errorf("there are the files %q, want that of %s", got, a.id)
	}
	deleteClosed(t, d.Client, a.id)
	deleteClosed(t, d.Client, b.id)
}

// TestKillWhileDiskIsCopied kills the daemon in the middle of a copy, and once more when the file is there.
func TestKillWhileDiskIsCopied(t *testing.T) {
	testservers.Require(t, "fuse", "qemu", "passthrough")
	cfg := testdaemon.Config{Dir: t.TempDir(), Mount: true}
	launch := func() *testdaemon.Daemon {
		t.Helper()
		d, err := testdaemon.Launch(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	d := launch()
	h := newHotDisk(t, d, "", "qcow2 -c", 64)
	unfinished := filepath.Join(d.Data, "cache", "raw", "new")
	for end := time.Now().Add(time.Minute); ; h.read(t) {
		if _, err := os.Stat(unfinished); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the disk is not copied")
		}
	}
	if err := d.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(unfinished); err != nil {
		t.Fatalf("the daemon was killed too late: %v", err)
	}
	h = h.in(launch())
	if left := h.files(t); len(left) > 0 {
		t.Errorf("the daemon finds %q, and keeps it", left)
	}
	h.heatUp(t)
	if err := h.d.Kill(); err != nil {
		t.Fatal(err)
	}
	h = h.in(testdaemon.Start(t, cfg))
	h.logged(t, stillAsFile, 1)
	if !h.passed(t) {
		t.Error("the file that was there is not read by the kernel")
	}
}

// TestHotRawViewOfDamagedImage reads an image that is damaged where nobody reads.
func TestHotRawViewOfDamagedImage(t *testing.T) {
	testservers.Require(t, "fuse", "qemu")
	d := testdaemon.Start(t, testdaemon.Config{Dir: t.TempDir(), Mount: true})
	disk := filepath.Join(t.TempDir(), "disk")
	data := bytes.Repeat([]byte("text "), 1<<20)
	if err := os.WriteFile(disk, data, 0o600); err != nil {
		t.Fatal(err)
	}
	path, _ := fromRaw(t, disk, "qcow2 -o cluster_size=4k")
	h := (&hotDisk{id: newFileIn(t, d.Client, "", "qcow2", path), size: 5 << 20}).in(d)
	object := filepath.Join(d.Data, "images", string(h.id[:2]), string(h.id))
	file, err := os.ReadFile(object)
	if err != nil {
		t.Fatal(err)
	}
	l1 := int(binary.BigEndian.Uint64(file[40:]))
	file = formattest.Put64(file, l1+8, 1<<40) // of the second table
	if err := os.WriteFile(object, file, 0); err != nil {
		t.Fatal(err)
	}
	for range 6 {
		if got := readHead(t, h.path, 2<<20); !bytes.Equal(got, data[:2<<20]) {
			t.Error("the part of the image that is in order reads wrong")
		}
	}
	h.logged(t, "not kept as a file", 1)
	if left := h.files(t); len(left) > 0 {
		t.Errorf("the files of a damaged image: %q", left)
	}
	if got := readHead(t, h.path, 2<<20); !bytes.Equal(got, data[:2<<20]) {
		t.Error("the part of the image that is in order reads wrong afterwards")
	}
}

// readHead reads the first n bytes past the page cache.
func readHead(t *testing.T, path string, n int) []byte {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECT, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p, err := syscall.Mmap(-1, 0, n, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE) // aligned
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Munmap(p)
	if _, err := f.ReadAt(p, 0); err != nil {
		t.Error(err)
	}
	return bytes.Clone(p)
}

// TestFullDiskKeepsNoFiles gives the data a small disk: images are read as before, and uploads have the room.
func TestFullDiskKeepsNoFiles(t *testing.T) {
	testservers.Require(t, "fuse", "qemu")
	d := testdaemon.Start(t, testdaemon.Config{Dir: t.TempDir(), Data: smallDisk(t), Mount: true})
	h := newHotDisk(t, d, "", "qcow2 -c", 8)
	for range 4 {
		h.read(t)
	}
	h.logged(t, "there is no room", 1)
	if left := h.files(t); len(left) > 0 {
		t.Errorf("files on a disk with less free than is kept free: %q", left)
	}
}
