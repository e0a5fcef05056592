package fusefs

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vitrine-image/vitrine/image"
)

// TestRawView shows the disk beside the bytes as uploaded, each with its own size, pages and inode.
func TestRawView(t *testing.T) {
	f := newFake(t)
	disk := someBytes(1 << 20)
	img := f.addDisk(t, "x", disk)
	s, c := serve(t, f), startChild(t)
	s.mustPass()
	dir := s.in("by-id", string(img.ID))
	if got := fmt.Sprint(c.names(dir)); got != "[disk.raw image.qcow2 metadata.json sha512sum]" {
		t.Errorf("the image has the files %s", got)
	}
	view, data := c.stat(dir+"/disk.raw").Stat, c.stat(dir+"/image.qcow2").Stat
	if view.Size != int64(len(disk)) || view.Nlink != 1 || view.Blocks == 0 || view.Blocks > view.Size/512 {
		t.Errorf("disk.raw has size %d, %d links, %d blocks, want size %d, 1 link, and fewer blocks than would hold it",
			view.Size, view.Nlink, view.Blocks, len(disk))
	}
	if data.Size != 10 || data.Ino == view.Ino {
		t.Errorf("image.qcow2 has size %d and inode %#x, disk.raw %#x", data.Size, data.Ino, view.Ino)
	}
	viewFD, dataFD := c.open(dir+"/disk.raw"), c.open(dir+"/image.qcow2")
	s.wantOpen("both open", 1, 1)
	if got := c.read(dataFD, 0); got != "qcow bytes" {
		t.Errorf("image.qcow2 holds %q", got)
	}
	if got := c.read(viewFD, 8192); got != string(disk[8192:8192+4096]) {
		t.Error("disk.raw reads wrong")
	}
	if a := c.ok(request{Op: "mmap", FD: viewFD, Size: len(disk)}); string(a.Data) != hexHash(disk) {
		t.Error("disk.raw is mapped wrong")
	}
	c.close(dataFD)
	s.waitOpen(img, 1)
	s.wantOpen("the data closed", 1, 0)
	c.close(viewFD)
	s.waitClosed(img)
	concurrently(t, dir+"/disk.raw", hexHash(disk))
}

// TestRawViewKeepsItsPages reads it twice, and asks for its bytes once.
func TestRawViewKeepsItsPages(t *testing.T) {
	f := newFake(t)
	var read atomic.Int64
	f.wrap = func(file *os.File, size int64) Reader { return &countingReader{plainReader{file, size}, &read} }
	disk := someBytes(1 << 20)
	img := f.addDisk(t, "x", disk)
	s, c := serve(t, f), startChild(t)
	path := s.in("by-id", string(img.ID), "disk.raw")
	for range 2 {
		if c.content(path) != string(disk) {
			t.Error("disk.raw reads wrong")
		}
		s.waitClosed(img)
	}
	if n := read.Load(); n > int64(len(disk))*5/4 { // a page may be dropped at any time
		t.Errorf("%d bytes were asked for, to read %d twice", n, len(disk))
	}
}

func TestRawViewHasHoles(t *testing.T) {
	f := newFake(t)
	f.wrap = func(file *os.File, size int64) Reader {
		file.Close()
		return &extentReader{size, [][2]int64{{4096, 8192}}}
	}
	img := f.addDisk(t, "x", make([]byte, 65536))
	s, c := serve(t, f), startChild(t)
	fd := c.open(s.in("by-id", string(img.ID), "disk.raw"))
	for whence, want := range map[int]int64{unix.SEEK_DATA: 4096, unix.SEEK_HOLE: 0} {
		if a := c.ok(request{Op: "seek", FD: fd, Flags: whence}); a.N != want {
			t.Errorf("seek %d = %d, want %d", whence, a.N, want)
		}
	}
}

// TestRawViewComesAndGoes follows what becomes of an image.
func TestRawViewComesAndGoes(t *testing.T) {
	f := newFake(t)
	disk := someBytes(1 << 20)
	img := f.addDisk(t, "x", disk)
	s, c := serve(t, f), startChild(t)
	dir := s.in("by-id", string(img.ID))
	check := func(what string, want syscall.Errno) {
		t.Helper()
		if a := c.stat(dir + "/disk.raw"); a.Errno != want {
			t.Errorf("%s: stat of disk.raw is %v, want %v", what, a.Errno, want)
		}
	}
	check("as it came", 0)
	fd := int(c.ok(request{Op: "open", Path: dir + "/disk.raw", Flags: unix.O_DIRECT}).N)
	s.applied(f.edit(img, func(img *image.Image) { img.DiskFormat = "iso" }))
	check("no disk any more", syscall.ENOENT)
	s.applied(f.edit(img, func(img *image.Image) { img.DiskFormat = "raw" }))
	if got := c.content(dir + "/disk.raw"); got != "qcow bytes" {
		t.Errorf("disk.raw of an image that is raw holds %q", got)
	}
	s.applied(f.edit(img, func(img *image.Image) { img.DiskFormat, img.VirtualSize = "vmdk", nil }))
	check("of unknown size", syscall.ENOENT)
	s.applied(f.edit(img, func(now *image.Image) { now.VirtualSize = img.VirtualSize }))
	check("its size was found out", 0)
	s.applied(f.set(img.Number, nil))
	check("deleted", syscall.ENOENT)
	if st := c.ok(request{Op: "fstat", FD: fd}).Stat; st.Nlink != 0 || st.Size != int64(len(disk)) {
		t.Errorf("the open disk of a deleted image has %d links and %d bytes", st.Nlink, st.Size)
	}
	if got := c.read(fd, 8192); got != string(disk[8192:8192+4096]) {
		t.Error("the open disk of a deleted image reads wrong")
	}
	c.close(fd)
	s.waitClosed(img)
}

// TestRawViewOfFilesNeverOpened reads what a predecessor opened.
func TestRawViewOfFilesNeverOpened(t *testing.T) {
	f := newFake(t)
	disk := someBytes(1 << 20)
	img := f.addDisk(t, "x", disk)
	s, c := serve(t, f), startChild(t)
	fd := int(c.ok(request{Op: "open", Path: s.in("by-id", string(img.ID), "disk.raw"), Flags: unix.O_DIRECT}).N)
	s.handles.closeAll()
	if got := c.read(fd, 8192); got != string(disk[8192:8192+4096]) {
		t.Error("a disk that a predecessor opened reads wrong")
	}
	c.close(fd)
	s.waitClosed(img)
}

// TestUnreadableRawView says why in the log, once.
func TestUnreadableRawView(t *testing.T) {
	f := newFake(t)
	var log bytes.Buffer
	backed, damaged := f.addDisk(t, "x", make([]byte, 4096)), f.addDisk(t, "y", make([]byte, 4096))
	s, c := serve(t, f, func(cfg *Config) { cfg.Logger = slog.New(slog.NewTextHandler(&log, nil)) }), startChild(t)
	open := func(img *image.Image, broken error, want syscall.Errno) {
		t.Helper()
		f.mu.Lock()
		f.broken = broken
		f.mu.Unlock()
		if a := c.do(request{Op: "open", Path: s.in("by-id", string(img.ID), "disk.raw")}); a.Errno != want {
			t.Errorf("open of a disk when %v: %v, want %v", broken, a.Errno, want)
		}
	}
	for range 3 {
		open(backed, image.Errorf(image.ErrUnsupportedContent, "it has a backing file"), syscall.EMEDIUMTYPE)
		open(damaged, image.Errorf(image.ErrCorrupt, "it contradicts itself"), syscall.EBADMSG)
	}
	f.wrap = func(file *os.File, size int64) Reader { return &plainReader{file, size - 1} }
	open(damaged, nil, syscall.EBADMSG)
	s.isOpen(damaged, 0)
	if err := s.end(); err != nil {
		t.Error(err)
	}
	for _, reason := range []string{"it has a backing file", "it contradicts itself"} {
		if n := strings.Count(log.String(), reason); n != 1 {
			t.Errorf("the log says %d times that %s:\n%s", n, reason, &log)
		}
	}
}
