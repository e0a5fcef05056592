package filestore

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/imagestore/storetest"
	"golang.org/x/sys/unix"
)

func TestDiskFull(t *testing.T) {
	for _, tt := range []struct {
		name      string
		announced int64
		minFree   int64
		bytes     int
		reads     bool // the source is read before the space ends
	}{
		{"announced", 9 << 20, 0, 9 << 20, false},
		{"announced, into the space to keep", 5 << 20, 4 << 20, 5 << 20, false},
		{"announced beyond any number", 1<<63 - 1, 4 << 20, 1, false},
		{"not announced", -1, 0, 9 << 20, true},
		{"not announced, nothing but the space to keep", -1, 9 << 20, 1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := tmpfs(t, "size=8m")
			s := openIn(t, Config{MinFree: tt.minFree}, dir)
			before := used(t, dir)
			obj, reads := storetest.NewObject(), 0
			src := storetest.NewSource(storetest.Random(tt.bytes), 256<<10)
			src.Announced, src.Before = tt.announced, func() { reads++ }
			if _, err := s.Put(t.Context(), obj, src); !errors.Is(err, image.ErrStoreFull) {
				t.Errorf("Put = %v, want %v", err, image.ErrStoreFull)
			}
			if (reads > 0) != tt.reads {
				t.Errorf("the source was read %d times", reads)
			}
			checkEmpty(t, s, "after the failure")
			if after := used(t, dir); after > before+64<<10 { // a directory's block
				t.Errorf("%d bytes are in use, %d before", after, before)
			}
		})
	}
}

// While a write goes on, others may fill the file system: the space to keep free stays free.
func TestMinFreeDuringTheWrite(t *testing.T) {
	dir := tmpfs(t, "size=80m")
	s := openIn(t, Config{MinFree: 30 << 20}, dir)
	src := storetest.NewSource(storetest.Random(60<<20), 1<<20)
	src.Announced = -1
	if _, err := s.Put(t.Context(), storetest.NewObject(), src); !errors.Is(err, image.ErrStoreFull) {
		t.Errorf("Put = %v, want %v", err, image.ErrStoreFull)
	}
	checkEmpty(t, s, "after the failure")
}

// What a write under way announced is not given to another one.
func TestAnnouncedBytesAreReserved(t *testing.T) {
	s := openIn(t, Config{}, tmpfs(t, "size=8m"))
	free := func() int64 {
		t.Helper()
		space, err := s.Space(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return space.Free
	}
	before := free()
	src := storetest.NewSource(storetest.Random(5<<20), 1<<20)
	src.Before = func() {
		_, err := s.Put(t.Context(), storetest.NewObject(), storetest.NewSource(storetest.Random(5<<20), 1<<20))
		if !errors.Is(err, image.ErrStoreFull) {
			t.Errorf("second Put = %v, want %v", err, image.ErrStoreFull)
		}
		if got := before - free(); got < 5<<20 || got > 5<<20+64<<10 {
			t.Errorf("%d bytes are taken or announced, want 5 MiB", got)
		}
	}
	loc, err := s.Put(t.Context(), storetest.NewObject(), src)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), loc); err != nil {
		t.Fatal(err)
	}
	checkEmpty(t, s, "after the deletion")
}

func TestDirectoriesByPriorityAndSpace(t *testing.T) {
	small, large, none := tmpfs(t, "size=8m"), tmpfs(t, "size=64m"), tmpfs(t, "size=64m,nr_inodes=4")
	if err := os.MkdirAll(filepath.Join(none, "lost+found"), 0o700); err != nil { // with the marker, the last inodes
		t.Fatal(err)
	}
	s := openIn(t, Config{}, none, small, large)
	for _, tt := range []struct {
		size      int
		announced int64
		want      string
	}{
		{1 << 20, 1 << 20, small},
		{1 << 20, -1, small},
		{20 << 20, 20 << 20, large},
		{1 << 20, 1 << 20, small},
	} {
		src := storetest.NewSource(storetest.Random(tt.size), 1<<20)
		src.Announced = tt.announced
		obj := storetest.NewObject()
		loc, err := s.Put(t.Context(), obj, src)
		if err != nil || !strings.HasPrefix(loc.URL, "file://"+tt.want+"/") {
			t.Errorf("Put of %d bytes = %v, %v, want it in %s", tt.size, loc, err, tt.want)
		}
		if got := s.Locate(obj); got.URL != loc.URL {
			t.Errorf("Locate = %v, want %v", got, loc)
		}
		src = storetest.NewSource(nil, 1)
		if _, err := s.Put(t.Context(), obj, src); !errors.Is(err, image.ErrConflict) {
			t.Errorf("Put of what is in another directory = %v, want %v", err, image.ErrConflict)
		}
	}
	if _, err := s.Put(t.Context(), storetest.NewObject(), &storetest.Source{Announced: 1 << 30}); !errors.Is(err, image.ErrStoreFull) {
		t.Errorf("Put of what fits nowhere = %v, want %v", err, image.ErrStoreFull)
	}
}

func TestSpaceOfOneFileSystemCountsOnce(t *testing.T) {
	dir := tmpfs(t, "size=8m")
	s := openIn(t, Config{MinFree: 1 << 20}, filepath.Join(dir, "a"), filepath.Join(dir, "b"))
	space, err := s.Space(t.Context())
	if err != nil || space.Total != 8<<20 || space.Free > 7<<20 || space.Free < 6<<20 {
		t.Errorf("Space = %+v, %v, want 8 MiB, of which 1 MiB is kept", space, err)
	}
}

// Network file systems name a block size for transfers, in which nothing is counted.
func TestSpaceIsCountedInFragments(t *testing.T) {
	got := spaceIn(unix.Statfs_t{Bsize: 1 << 20, Frsize: 4096, Blocks: 100, Bfree: 50, Bavail: 30})
	if want := (imagestore.Space{Total: 100 * 4096, Free: 30 * 4096}); got != want {
		t.Errorf("space = %+v, want %+v", got, want)
	}
}

var _ imagestore.Measured = (*Store)(nil)
