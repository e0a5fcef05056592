package fusefs

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vitrine-image/vitrine/image"
)

// Whatever the kernel has seen, after a change was applied each path shows the truth, though names are kept for an hour.
func TestChangesShowAtOnce(t *testing.T) {
	str := func(s string) *string { return &s }
	// The image ...01 is a@p1 with the tag t and shares name, tag and project with ...02.
	const one, two = "00000000-0000-4000-8000-abcd00000001", "00000000-0000-4000-8000-abcd00000002"
	tests := []struct {
		name        string
		edit        func(*image.Image)
		gone, come  []string
		latestOfOld string // of by-name/a
	}{
		{"rename", func(img *image.Image) { img.Name = str("b") },
			[]string{"by-name/a/" + two, "by-project/p1/by-name/a/" + two}, []string{"by-name/b/" + two, "by-project/p1/by-name/b/latest"}, one},
		{"tag", func(img *image.Image) { img.Tags = []string{"u"} },
			[]string{"by-tag/t/" + two, "by-project/p1/by-tag/t/" + two}, []string{"by-tag/u/" + two, "by-project/p1/by-tag/u/" + two}, two},
		{"hide", func(img *image.Image) { img.Hidden = true }, nil, []string{"by-name/a/" + two}, one},
		{"make private", func(img *image.Image) { img.Visibility = image.Private },
			[]string{"by-name/a/" + two, "by-tag/t/" + two}, []string{"by-id/" + two, "by-project/p1/by-tag/t/" + two}, one},
		{"give away", func(img *image.Image) { img.Owner = "p2" },
			[]string{"by-project/p1/by-id/" + two, "by-project/p1/by-name/a/" + two}, []string{"by-project/p2/by-id/" + two, "by-name/a/" + two}, two},
		{"deactivate", func(img *image.Image) { img.Status = image.Deactivated },
			[]string{"by-id/" + two, "by-id/" + two + "/disk.raw", "by-name/a/" + two, "by-tag/t/" + two, "by-project/p1/by-id/" + two}, nil, one},
		{"change the format", func(img *image.Image) { img.DiskFormat = "qcow2" },
			[]string{"by-id/" + two + "/disk.raw", "by-id/" + two + "/image.raw"}, []string{"by-id/" + two + "/image.qcow2"}, two},
		{"delete", nil,
			[]string{"by-id/" + two, "by-name/a/" + two, "by-tag/t/" + two, "by-project/p1/by-id/" + two}, nil, one},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			tagged := func(img *image.Image) { img.Tags = []string{"t"} }
			f.add(t, "a", []byte("one"), tagged)
			img := f.add(t, "a", []byte("two"), tagged)
			s, c := serve(t, f), startChild(t)
			seeAll(c, s.path)
			for _, path := range slices.Concat(tt.gone, tt.come) {
				c.stat(s.in(path))
			}
			if tt.edit != nil {
				s.applied(f.edit(img, tt.edit))
			} else {
				s.applied(f.set(img.Number, nil))
			}
			for _, path := range tt.gone {
				if a := c.stat(s.in(path)); a.Errno != syscall.ENOENT {
					t.Errorf("%s: %v, want ENOENT", path, a.Errno)
				}
			}
			for _, path := range tt.come {
				if a := c.stat(s.in(path)); a.Errno != 0 {
					t.Errorf("%s: %v", path, a.Errno)
				}
			}
			if got := c.link(s.in("by-name/a/latest")); !strings.HasSuffix(got, tt.latestOfOld) {
				t.Errorf("the latest is %s, want %s", got, tt.latestOfOld)
			}
		})
	}
}

// seeAll makes the kernel know every name below the path.
func seeAll(c *child, path string) {
	for _, name := range c.names(path) {
		p := path + "/" + name
		if st := c.stat(p).Stat; st.Mode&syscall.S_IFMT == syscall.S_IFDIR {
			seeAll(c, p)
		}
	}
}

func TestLastImageTakesItsDirectoriesAway(t *testing.T) {
	f := newFake(t)
	img := f.add(t, "a", []byte("x"), func(img *image.Image) { img.Tags = []string{"t"} })
	f.add(t, "b", []byte("x"), func(img *image.Image) { img.Owner = "p2" })
	s, c := serve(t, f), startChild(t)
	seeAll(c, s.path)
	s.applied(f.edit(img, func(img *image.Image) { img.Status = image.Deactivated }))
	for _, path := range []string{"by-name/a", "by-tag/t", "by-project/p1", "by-project/p1/by-name"} {
		if a := c.stat(s.in(path)); a.Errno != syscall.ENOENT {
			t.Errorf("%s: %v, want ENOENT", path, a.Errno)
		}
	}
	s.applied(f.edit(img, func(img *image.Image) { img.Status = image.Active }))
	for _, path := range []string{"by-name/a/latest/disk.raw", "by-tag/t/" + string(img.ID) + "/disk.raw", "by-project/p1/by-id/" + string(img.ID) + "/disk.raw"} {
		if got := c.content(s.in(path)); got != "x" {
			t.Errorf("after coming back %s holds %q", path, got)
		}
	}
}

func TestDocumentShowsChanges(t *testing.T) {
	f := newFake(t)
	img := f.add(t, "a", []byte("x"))
	s, c := serve(t, f), startChild(t)
	path := s.in("by-id", string(img.ID), "metadata.json")
	fd := c.open(path)
	old := c.read(fd, 0)
	for i := range 3 {
		tag := strings.Repeat("long", i*i+1)
		s.applied(f.edit(img, func(img *image.Image) { img.Tags = []string{tag} }))
		got, st := c.content(path), c.stat(path).Stat
		if !strings.Contains(got, `"`+tag+`"`) || st.Size != int64(len(got)) || got == old {
			t.Errorf("after a change metadata.json holds %q with size %d", got, st.Size)
		}
		if again := c.read(fd, 0); again != got {
			t.Errorf("an open metadata.json holds %q, want %q", again, got)
		}
		if ft := c.ok(request{Op: "fstat", FD: fd}).Stat; ft.Size != st.Size || ft.Mtim != st.Mtim {
			t.Errorf("fstat shows size %d, time %v, want those of stat, %d and %v", ft.Size, ft.Mtim, st.Size, st.Mtim)
		}
	}
}

// A lookup that read the record before a change, and answers after it, must not leave the old size with the kernel.
func TestDocumentLookedUpWhileItChanges(t *testing.T) {
	f := newFake(t)
	img := f.add(t, "a", []byte("x"))
	slow := &slowRecord{fake: f, read: make(chan struct{}), answer: make(chan struct{})}
	s, c := serve(t, f, func(cfg *Config) { cfg.Source = slow }), startChild(t)
	path := s.in("by-id", string(img.ID), "metadata.json")
	looked := c.send(request{Op: "lstat", Path: path})
	<-slow.read
	seq := f.edit(img, func(img *image.Image) { img.Tags = []string{"a longer document"} })
	ctx, stop := context.WithTimeout(t.Context(), 100*time.Millisecond) // the kernel is told now, or waits for the lookup
	defer stop()
	s.Applied(ctx, seq)
	close(slow.answer)
	if _, err := looked(); err != nil {
		t.Fatal(err)
	}
	s.applied(seq)
	if got, st := c.content(path), c.stat(path).Stat; st.Size != int64(len(got)) {
		t.Errorf("metadata.json has size %d and holds %d bytes: %s", st.Size, len(got), got)
	}
}

// A slowRecord is a fake that answers the first question for an image late, with what it was when it was asked.
type slowRecord struct {
	*fake
	once         sync.Once
	read, answer chan struct{}
}

func (s *slowRecord) Image(ctx context.Context, number int64) (*image.Image, error) {
	img, err := s.fake.Image(ctx, number)
	s.once.Do(func() {
		close(s.read)
		<-s.answer
	})
	return img, err
}

// Changing tags must not drop the pages that guests have read.
func TestDataKeepsItsTimes(t *testing.T) {
	f := newFake(t)
	img := f.add(t, "a", []byte("x"))
	s, c := serve(t, f), startChild(t)
	path := s.in("by-id", string(img.ID), "disk.raw")
	before := c.stat(path).Stat
	s.applied(f.edit(img, func(img *image.Image) { img.Tags = []string{"t"} }))
	if after := c.stat(path).Stat; after != before {
		t.Errorf("stat changed from %+v to %+v", before, after)
	}
}

func TestOpenFilesOutliveTheirNames(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			f := newFake(t)
			f.wrap = way.wrap
			data := someBytes(1 << 20)
			off, gone := f.add(t, "a", data), f.add(t, "b", data)
			s, c := serve(t, f, way.edit), startChild(t)
			open := func(img *image.Image) int {
				return int(c.ok(request{Op: "open", Path: s.in("by-id", string(img.ID), "disk.raw"), Flags: unix.O_DIRECT}).N)
			}
			offFD, goneFD := open(off), open(gone)
			s.applied(f.edit(off, func(img *image.Image) { img.Status = image.Deactivated }))
			s.applied(f.set(gone.Number, nil))
			for _, fd := range []int{offFD, goneFD} {
				if got := c.read(fd, 8192); got != string(data[8192:8192+4096]) {
					t.Error("an open file of an image that left the tree reads wrong")
				}
				if st := c.ok(request{Op: "fstat", FD: fd}).Stat; st.Size != int64(len(data)) {
					t.Errorf("an open file of an image that left the tree has size %d", st.Size)
				}
			}
			if st := c.ok(request{Op: "fstat", FD: goneFD}).Stat; st.Nlink != 0 {
				t.Errorf("an open file of a deleted image has %d links, want 0", st.Nlink)
			}
			s.server.InodeNotify(uint64(imageNode(kindData, gone.Number)), -1, 0)
			s.server.InodeNotify(uint64(imageNode(kindPassedData, gone.Number)), -1, 0)
			if st := c.ok(request{Op: "fstat", FD: goneFD}).Stat; st.Size != int64(len(data)) || st.Nlink != 0 {
				t.Errorf("asked again, an open file of a deleted image has size %d, %d links", st.Size, st.Nlink)
			}
			if a := c.do(request{Op: "open", Path: s.in("by-id", string(off.ID), "disk.raw")}); a.Errno != syscall.ENOENT {
				t.Errorf("open of a deactivated image: %v, want ENOENT", a.Errno)
			}
			s.applied(f.edit(off, func(img *image.Image) { img.Status = image.Active }))
			if got := c.content(s.in("by-id", string(off.ID), "disk.raw")); got != string(data) {
				t.Error("a reactivated image reads wrong")
			}
			c.close(offFD)
			c.close(goneFD)
			s.waitClosed(off)
			s.waitClosed(gone)
		})
	}
}

// A feed that cannot be read for a while loses nothing, and the log says once that names may be old.
func TestChangesShowAfterTrouble(t *testing.T) {
	f := newFake(t)
	img := f.add(t, "a", []byte("x"))
	var log bytes.Buffer // read after the end
	s, c := serve(t, f, func(cfg *Config) { cfg.Logger = slog.New(slog.NewTextHandler(&log, nil)) }), startChild(t)
	seeAll(c, s.path)
	f.mu.Lock()
	f.deaf = 2
	f.mu.Unlock()
	s.applied(f.edit(img, func(img *image.Image) { img.Status = image.Deactivated }))
	if a := c.stat(s.in("by-id", string(img.ID))); a.Errno != syscall.ENOENT {
		t.Errorf("a deactivated image: %v, want ENOENT", a.Errno)
	}
	if err := s.end(); err != nil {
		t.Error(err)
	}
	if got := strings.Count(log.String(), "cannot follow the changes"); got != 1 {
		t.Errorf("the log tells of the trouble %d times, want once:\n%s", got, &log)
	}
}

func TestLostChangesForgetEverything(t *testing.T) {
	f := newFake(t)
	gone := f.add(t, "a", []byte("gone"), func(img *image.Image) { img.Tags = []string{"t"} })
	open := f.add(t, "a", []byte("open"))
	s, c := serve(t, f), startChild(t)
	seeAll(c, s.path)
	fd := c.open(s.in("by-id", string(open.ID), "disk.raw"))
	s.applied(f.lose(func(images map[int64]*image.Image) {
		images[gone.Number].Status, images[open.Number].Status = image.Deactivated, image.Deactivated
	}))
	for _, path := range []string{"by-id/" + string(gone.ID), "by-id/" + string(open.ID), "by-id/" + string(open.ID) + "/disk.raw",
		"by-name/a", "by-tag/t", "by-project/p1"} {
		if a := c.stat(s.in(path)); a.Errno != syscall.ENOENT {
			t.Errorf("%s: %v, want ENOENT", path, a.Errno)
		}
	}
	if got := c.read(fd, 0); got != "open" {
		t.Errorf("the open file holds %q", got)
	}
}

func TestDirectoriesOfLeaversCanComeBack(t *testing.T) {
	f := newFake(t)
	img := f.add(t, "a", []byte("x"))
	s, c := serve(t, f), startChild(t)
	dir := s.in("by-id", string(img.ID))
	c.ok(request{Op: "chdir", Path: dir}) // keeps the directory alive in the kernel
	for range 3 {
		s.applied(f.edit(img, func(img *image.Image) { img.Status = image.Deactivated }))
		if a := c.stat(dir); a.Errno != syscall.ENOENT {
			t.Errorf("a deactivated image: %v, want ENOENT", a.Errno)
		}
		s.applied(f.edit(img, func(img *image.Image) { img.Status = image.Active }))
		if got := c.content(dir + "/disk.raw"); got != "x" {
			t.Errorf("after coming back disk.raw holds %q", got)
		}
		if got := c.content("disk.raw"); got != "x" {
			t.Errorf("after coming back disk.raw in the working directory holds %q", got)
		}
	}
}

// A listing that is under way while images come and go shows all that stay, and brings no old name back.
func TestListingWhileChanging(t *testing.T) {
	f := newFake(t)
	var stay, leave []*image.Image
	for i := range 1300 {
		img := f.add(t, fmt.Sprint(i%3), nil)
		if i%2 == 0 {
			stay = append(stay, img)
		} else {
			leave = append(leave, img)
		}
	}
	s, c := serve(t, f), startChild(t)
	stop, stopped := make(chan struct{}), make(chan int64, 1)
	go func() {
		seq := int64(0)
		defer func() { stopped <- seq }()
		for _, img := range leave {
			select {
			case <-stop:
				return
			default:
				seq = f.edit(img, func(img *image.Image) { img.Status = image.Deactivated })
			}
		}
	}()
	for round := range 5 {
		got := c.ok(request{Op: "list", Path: s.in("by-id"), Size: []int{0, 600}[round%2]}).Names
		for _, img := range stay {
			if _, ok := slices.BinarySearch(got, string(img.ID)); !ok {
				t.Errorf("round %d: %s is missing from the list of %d", round, img.ID, len(got))
			}
		}
		if len(slices.Compact(slices.Clone(got))) != len(got) {
			t.Errorf("round %d: names are listed twice", round)
		}
	}
	close(stop)
	s.applied(<-stopped)
	f.mu.Lock()
	active := map[string]bool{}
	for _, img := range f.images {
		active[string(img.ID)] = img.Status == image.Active
	}
	f.mu.Unlock()
	for _, img := range leave {
		a := c.stat(s.in("by-id", string(img.ID)))
		if (a.Errno == 0) != active[string(img.ID)] {
			t.Errorf("%s: %v, active is %v", img.ID, a.Errno, active[string(img.ID)])
		}
	}
	if got := c.names(s.in("by-id")); len(got) != len(stay)+countActive(active, leave) {
		t.Errorf("at last %d images are listed", len(got))
	}
}

func countActive(active map[string]bool, list []*image.Image) (n int) {
	for _, img := range list {
		if active[string(img.ID)] {
			n++
		}
	}
	return n
}

func TestAppliedEndsWithTheMount(t *testing.T) {
	s := serve(t, newFake(t))
	waited := make(chan error)
	go func() { waited <- s.Applied(context.Background(), 1) }()
	ctx, stop := context.WithTimeout(t.Context(), time.Millisecond)
	defer stop()
	if err := s.Applied(ctx, 1); err != context.DeadlineExceeded {
		t.Errorf("Applied = %v, want its context's end", err)
	}
	s.end()
	if err := <-waited; err != ErrUnmounted {
		t.Errorf("Applied = %v, want ErrUnmounted", err)
	}
}
