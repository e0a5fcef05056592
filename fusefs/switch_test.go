package fusefs

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vitrine-image/vitrine/image"
)

// remotely is how a store on the network gives its data.
func remotely(file *os.File, size int64) Reader { return &plainReader{file, size} }

// inCluster puts the data of an image into a store on the network alone.
func inCluster(img *image.Image) {
	img.Locations = []image.Location{{Store: "ceph", URL: "rbd://cluster/images/x/snap"}}
}

// copied gives the image, which lies in a store on the network, a copy in a local file; uncopied takes it away. They return the
// sequence of the change.
func (f *fake) copied(img *image.Image) int64 {
	f.reads(nil)
	return f.edit(img, func(c *image.Image) {
		c.Locations = append(c.Locations, image.Location{Store: "local", URL: "file://" + f.path(img.Number)})
	})
}

func (f *fake) uncopied(img *image.Image) int64 {
	f.reads(remotely)
	return f.edit(img, inCluster)
}

// reads changes how data is read from now on.
func (f *fake) reads(wrap func(*os.File, int64) Reader) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wrap = wrap
}

// wantOpen compares which images are open as which nodes.
func (s *served) wantOpen(what string, served, passed int) {
	s.t.Helper()
	if a, b := s.handles.inUse(); a != served || b != passed {
		s.t.Errorf("%s: %d files are read by the daemon and %d by the kernel, want %d and %d", what, a, b, served, passed)
	}
}

// TestLocalCopyComesAndGoes opens an image while a copy of its data in a local file comes, goes, and comes again: each open takes
// what is best then, and those before go on as they are.
func TestLocalCopyComesAndGoes(t *testing.T) {
	f := newFake(t)
	f.wrap = remotely
	data := someBytes(1 << 20)
	img := f.add(t, "a", data, inCluster)
	s, c := serve(t, f), startChild(t)
	s.mustPass()
	seeAll(c, s.path)
	dir := s.in("by-id", string(img.ID))
	ino := c.stat(dir + "/disk.raw").Stat.Ino
	var fds []int
	open := func(name string) {
		fds = append(fds, int(c.ok(request{Op: "open", Path: dir + "/" + name, Flags: unix.O_DIRECT}).N))
	}
	check := func(what string, served, passed int) {
		t.Helper()
		s.wantOpen(what, served, passed)
		for i, fd := range fds {
			if got := c.read(fd, 8192); got != string(data[8192:8192+4096]) {
				t.Errorf("%s: the %dth file that was opened reads wrong", what, i)
			}
		}
		if st := c.stat(dir + "/image.raw").Stat; st.Ino != ino || st.Size != int64(len(data)) {
			t.Errorf("%s: stat tells of inode %d with %d bytes, want %d with %d", what, st.Ino, st.Size, ino, len(data))
		}
	}
	open("disk.raw")
	check("in the cluster", 1, 0)
	s.applied(f.copied(img))
	open("image.raw")
	check("copied to a file", 1, 1)
	seeAll(c, s.path)
	s.applied(f.uncopied(img))
	open("disk.raw")
	check("without the file", 1, 1)
	for _, fd := range []int{fds[0], fds[2]} {
		c.close(fd)
	}
	fds = fds[1:2]
	s.waitOpen(img, 1)
	check("all closed but the file", 0, 1)
	open("image.raw")
	check("opened anew", 1, 1)
	s.applied(f.edit(img, func(img *image.Image) { img.Status = image.Deactivated }))
	s.applied(f.copied(img))
	s.applied(f.edit(img, func(img *image.Image) { img.Status = image.Active }))
	c.close(fds[0])
	fds = fds[1:]
	s.waitOpen(img, 1)
	open("image.raw")
	check("copied while it was deactivated", 1, 1)
	s.applied(f.set(img.Number, nil))
	for i, fd := range fds {
		if st := c.ok(request{Op: "fstat", FD: fd}).Stat; st.Nlink != 0 || st.Size != int64(len(data)) {
			t.Errorf("once the image is deleted file %d has %d links and %d bytes", i, st.Nlink, st.Size)
		}
		c.close(fd)
	}
	s.waitClosed(img)
}

// TestDiskMoves opens the disk of an image in another format while a file that holds it comes and goes.
func TestDiskMoves(t *testing.T) {
	f := newFake(t)
	disk := someBytes(1 << 20)
	img := f.addDisk(t, "a", disk)
	s, c := serve(t, f), startChild(t)
	s.mustPass()
	seeAll(c, s.path)
	path := s.in("by-id", string(img.ID), "disk.raw")
	before := c.stat(path).Stat
	var fds []int
	open := func(what string, served, passed int) {
		t.Helper()
		fds = append(fds, int(c.ok(request{Op: "open", Path: path, Flags: unix.O_DIRECT}).N))
		s.wantOpen(what, served, passed)
		for i, fd := range fds {
			if got := c.read(fd, 8192); got != string(disk[8192:8192+4096]) {
				t.Errorf("%s: the %dth file that was opened reads wrong", what, i)
			}
		}
		if c.content(path) != string(disk) {
			t.Errorf("%s: disk.raw reads wrong through the page cache", what)
		}
		if st := c.stat(path).Stat; st.Ino != before.Ino || st.Size != before.Size || st.Nlink != 1 {
			t.Errorf("%s: stat tells of inode %d with %d bytes and %d links, want %d with %d", what, st.Ino, st.Size, st.Nlink, before.Ino, before.Size)
		}
	}
	keep := func(kept bool) {
		f.keep(img, kept)
		s.DiskMoved(t.Context(), img.Number)
	}
	open("read through the daemon", 1, 0)
	keep(true)
	open("kept as a file", 1, 1)
	keep(false)
	open("without the file", 1, 1)
	for _, fd := range fds {
		c.close(fd)
	}
	s.waitClosed(img)
	fds = nil
	keep(true)
	open("kept again", 0, 1)
	c.close(fds[0])
	s.waitClosed(img)
	fds = nil
	f.keep(img, false) // and the kernel is not told: a file that is broken is found so when it is opened
	open("the kernel's node without a file", 1, 0)
	keep(true)
	open("with the file again", 1, 0) // one node is read in one way while it is open
	s.applied(f.set(img.Number, nil))
	for i, fd := range fds {
		if st := c.ok(request{Op: "fstat", FD: fd}).Stat; st.Nlink != 0 || st.Size != int64(len(disk)) {
			t.Errorf("once the image is deleted file %d has %d links and %d bytes", i, st.Nlink, st.Size)
		}
		c.close(fd)
	}
	s.waitClosed(img)
}

// TestDiskFileBreaks reads the disk of an image whose file the kernel will not read: the reader is asked, which knows what to do
// when the file breaks.
func TestDiskFileBreaks(t *testing.T) {
	f := newFake(t)
	disk := someBytes(1 << 20)
	img := f.addDisk(t, "a", disk)
	f.keep(img, true)
	f.wrap = func(file *os.File, size int64) Reader { return &elsewhere{fileReader{plainReader{file, size}}, disk} }
	s, c := serve(t, f, func(cfg *Config) { cfg.NoPassthrough = true }), startChild(t)
	if err := os.WriteFile(f.diskPath(img.Number), make([]byte, len(disk)), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := c.content(s.in("by-id", string(img.ID), "disk.raw")); got != string(disk) {
		t.Error("the disk is read from the broken file")
	}
	s.waitClosed(img)
}

// An elsewhere is a Reader that does not read its file.
type elsewhere struct {
	fileReader
	data []byte
}

func (r *elsewhere) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	return bytes.NewReader(r.data).ReadAt(p, off)
}

// TestLocalCopyInLostChanges loses the change that tells of the copy while the image is open.
func TestLocalCopyInLostChanges(t *testing.T) {
	f := newFake(t)
	f.wrap = remotely
	img := f.add(t, "a", someBytes(8192), inCluster)
	s, c := serve(t, f), startChild(t)
	s.mustPass()
	path := s.in("by-id", string(img.ID), "disk.raw")
	first := c.open(path)
	f.reads(nil)
	s.applied(f.lose(func(images map[int64]*image.Image) {
		images[img.Number].Locations = f.image(img.Number, "", 0).Locations
	}))
	second := c.open(path)
	s.wantOpen("copied, and nobody told", 1, 1)
	c.close(first)
	c.close(second)
	s.waitClosed(img)
}

// TestPagesStay opens an image again whose data lies elsewhere: what the kernel has of it is not asked for again, whatever was
// edited meanwhile.
func TestPagesStay(t *testing.T) {
	f := newFake(t)
	var read atomic.Int64
	f.wrap = func(file *os.File, size int64) Reader { return &countingReader{plainReader{file, size}, &read} }
	data := someBytes(1 << 20)
	img := f.add(t, "a", data, inCluster)
	s, c := serve(t, f), startChild(t)
	path := s.in("by-id", string(img.ID), "disk.raw")
	once := int64(0)
	for i := range 3 {
		if got := c.content(path); got != string(data) {
			t.Fatal("the image reads wrong")
		}
		if i == 0 {
			once = read.Load()
		}
		s.waitClosed(img)
		s.applied(f.edit(img, func(img *image.Image) {
			img.Tags, img.Name = []string{fmt.Sprint("tag", i)}, nil
			img.Locations = append(img.Locations, image.Location{Store: fmt.Sprint("ceph", i), URL: "rbd://x"})
		}))
	}
	if n := read.Load(); n-once > int64(len(data))/20 { // a page may be dropped at any time
		t.Errorf("%d bytes were read to show an image once, and %d more to show it twice again", once, n-once)
	}
}

// A countingReader counts its bytes.
type countingReader struct {
	plainReader
	n *atomic.Int64
}

func (r *countingReader) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	n, err := r.plainReader.ReadAt(ctx, p, off)
	r.n.Add(int64(n))
	return n, err
}

// TestEditsForgetLittle counts what the kernel is told when properties of an image are edited, as clients do all the time.
func TestEditsForgetLittle(t *testing.T) {
	m, err := New(Config{Path: t.TempDir(), Source: newFake(t)})
	if err != nil {
		t.Fatal(err)
	}
	f := newFake(t)
	img := f.image(1, "a", 10)
	for what, tt := range map[string]struct {
		edit func(*image.Image)
		want []string
	}{
		"properties": {func(img *image.Image) { img.Properties = map[string]string{"k": "v"} }, []string{"", "metadata.json"}},
		"another store": {func(img *image.Image) {
			img.Locations = append(img.Locations, image.Location{Store: "ceph", URL: "rbd://x"})
		},
			[]string{"", "metadata.json"}},
		"no file any more": {inCluster, []string{"", "disk.raw", "image.compressed", "image.ovf", "image.raw", "image.tar", "metadata.json"}},
	} {
		edited := img.Clone()
		tt.edit(edited)
		r := newRound(m)
		if err := r.add(t.Context(), image.Change{Number: 1, ID: img.ID, Before: img.Listed(), After: edited.Listed()}); err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, f := range r.order {
			names = append(names, f.name)
		}
		slices.Sort(names)
		if !slices.Equal(names, tt.want) {
			t.Errorf("%s: the kernel forgets %q, want %q", what, names, tt.want)
		}
	}
}
