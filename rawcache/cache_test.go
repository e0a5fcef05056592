package rawcache

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// inBubble runs a test whose time is its own.
func inBubble(t *testing.T, test func(t *testing.T, dir string)) {
	dir := filepath.Join(t.TempDir(), "raw")
	synctest.Test(t, func(t *testing.T) { test(t, dir) })
}

// TestHotDiskBecomesAFile reads a disk until it is kept, and goes on reading where it was opened before.
func TestHotDiskBecomesAFile(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		d := newDisk(1, 40)
		f := run(t, dir, 100*mega, d)
		old := f.open(d)
		defer old.Close()
		f.read(old, d)
		synctest.Wait()
		f.has("read once")
		f.read(old, d)
		synctest.Wait()
		f.has("read twice", d)
		if !slices.Equal(f.moved, []int64{1}) {
			t.Errorf("the disks of %v have moved, want that of 1", f.moved)
		}
		before := d.read
		f.read(old, d)
		r := f.open(d)
		defer r.Close()
		f.read(r, d)
		if d.read != before {
			t.Errorf("%d bytes are read of the image though there is a file", d.read-before)
		}
		if s := f.Stats(); s.Hits != 1 || s.Misses != 1 || s.Bytes == 0 {
			t.Errorf("%+v after a disk was opened before there was a file, and after", s)
		}
		if old.File() != nil || r.File() == nil {
			t.Errorf("File is %v of what was opened before, %v of what was opened after", old.File(), r.File())
		}
		if got, err := os.ReadFile(f.path()); err != nil || !bytes.Equal(got, d.data) {
			t.Errorf("the file holds something else, %v", err)
		}
		var st unix.Stat_t
		if err := unix.Stat(f.path(), &st); err != nil || st.Blocks*512 > 41*blockSize || st.Mode&0o777 != 0o400 {
			t.Errorf("the file takes %d bytes of %d, has the mode %o, %v", st.Blocks*512, len(d.data), st.Mode, err)
		}
	})
}

// TestColdDisksAreNotKept reads in ways that make nothing hot.
func TestColdDisksAreNotKept(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		d := newDisk(1, 40)
		f := run(t, dir, 100*mega, d)
		r := f.open(d)
		defer r.Close()
		for range 10 {
			f.read(r, d)
			minutes(120)
		}
		f.has("read now and then")
		zeros := make([]byte, 20*blockSize)
		for range 100 {
			if _, err := r.ReadAt(t.Context(), zeros, 60*blockSize); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		f.has("its zeros read often")
	})
}

// TestHotDiskInALargeImage reads a disk that holds much less than the image's data takes, as images with room for all of it do.
func TestHotDiskInALargeImage(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		d := newDisk(1, 40)
		d.Stored = 1 << 40
		f := run(t, dir, 100*mega, d)
		r := f.open(d)
		defer r.Close()
		for range 2 * firstGuess / (42 * blockSize) {
			f.read(r, d)
		}
		synctest.Wait()
		f.has("too little read to look for its holes")
		for range 4 {
			f.read(r, d)
		}
		synctest.Wait()
		f.has("more read", d)
	})
}

// TestManyDisksAreCounted reads more disks than are counted: those that are read most are not forgotten.
func TestManyDisksAreCounted(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		hot := newDisk(1, 4)
		f := run(t, dir, 100*mega, hot)
		r := f.open(hot)
		defer r.Close()
		f.read(r, hot)
		page := bytes.Repeat([]byte{1}, 4096)
		for i := range 3 * maxHeat {
			f.count(Image{Disk: uint64(i + 2), Stored: mega}, page)
			if n := len(f.heat); n > maxHeat {
				t.Fatalf("%d disks are counted", n)
			}
		}
		f.read(r, hot)
		synctest.Wait()
		f.has("the hot one", hot)
	})
}

// TestLimit keeps more disks than may be kept: those that were read longest ago give way, unless somebody has them open.
func TestLimit(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		a, b, c, big := newDisk(1, 20), newDisk(2, 20), newDisk(3, 20), newDisk(4, 50)
		f := run(t, dir, 45*blockSize, a, b, c, big)
		f.heatUp(a)
		minutes(1)
		f.heatUp(b)
		f.has("two", a, b)
		minutes(1)
		f.open(a).Close()
		old := f.Reader(b.Image, b.open())
		defer old.Close()
		f.heatUp(big)
		f.has("one that is too big", a, b)
		minutes(1)
		f.heatUp(c)
		f.has("a third while the second is open", b, c)
		if n := f.taken; n > f.size {
			t.Errorf("%d bytes are taken, of %d", n, f.size)
		}
		f.read(old, b)
		held := f.open(c)
		defer held.Close()
		f.heatUp(a)
		f.has("another one while all are open", b, c)
		old.Close()
		minutes(int(later.Minutes()))
		f.heatUp(a)
		f.has("when the second is closed", a, c)
		if want := []int64{1, 2, 1, 3, 2, 1}; !slices.Equal(f.moved, want) {
			t.Errorf("the disks of %v have moved, want %v", f.moved, want)
		}
	})
}

// TestEvictedWhileItIsRead lets a file go that was made after a reader was opened. The reader goes on without.
func TestEvictedWhileItIsRead(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		a, b := newDisk(1, 20), newDisk(2, 20)
		f := run(t, dir, 30*blockSize, a, b)
		old := f.open(a)
		defer old.Close()
		f.heatUp(a)
		f.read(old, a)
		f.heatUp(b)
		f.has("the second", b)
		before := a.read
		f.read(old, a)
		if a.read == before {
			t.Error("nothing is read of the image though its file is gone")
		}
	})
}

// TestBrokenFile reads files that break: readers notice nothing, and the disk is copied anew, but not at once.
func TestBrokenFile(t *testing.T) {
	for name, ruin := range map[string]func(f *fixture, d *fakeDisk) error{
		"cut short": func(f *fixture, d *fakeDisk) error {
			return errors.Join(os.Chmod(f.path(), 0o600), os.Truncate(f.path(), 8192))
		},
		"a disk that fails": func(f *fixture, d *fakeDisk) error { return f.files[d.Disk].Close() },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, dir string) {
				d := newDisk(1, 20)
				f := run(t, dir, 100*mega, d)
				r := f.open(d)
				defer r.Close()
				f.heatUp(d)
				if err := ruin(f, d); err != nil {
					t.Fatal(err)
				}
				f.read(r, d)
				synctest.Wait()
				f.has("broken")
				if !strings.Contains(f.log.String(), "level=WARN") {
					t.Errorf("the log does not tell of the broken file:\n%s", f.log)
				}
				f.heatUp(d)
				f.has("read again at once")
				minutes(int(later.Minutes()))
				f.heatUp(d)
				f.has("read again later", d)
				f.read(r, d)
			})
		})
	}
}

// TestFileOfAnotherSize is not given to the kernel, which would read it alone.
func TestFileOfAnotherSize(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		d := newDisk(1, 20)
		f := run(t, dir, 100*mega, d)
		f.heatUp(d)
		whole := f.open(d)
		defer whole.Close()
		if whole.File() == nil {
			t.Error("the file is not given at all")
		}
		if err := errors.Join(os.Chmod(f.path(), 0o600), os.Truncate(f.path(), 8192)); err != nil {
			t.Fatal(err)
		}
		r := f.open(d)
		defer r.Close()
		if r.File() != nil {
			t.Error("a file that was cut short is given to the kernel")
		}
		f.read(r, d)
		synctest.Wait()
		f.has("cut short")
	})
}

// TestRestart opens what a cache before it left.
func TestRestart(t *testing.T) {
	flip := func(t *testing.T, path string) {
		t.Helper()
		data, err := os.ReadFile(path)
		if err == nil {
			data[3*blockSize+5] ^= 1
			err = errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, data, 0))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name    string
		between func(t *testing.T, path string, d *fakeDisk)
		kept    bool
	}{
		{"as it was", func(*testing.T, string, *fakeDisk) {}, true},
		{"its holes filled", func(t *testing.T, path string, d *fakeDisk) {
			if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, d.data, 0)); err != nil {
				t.Fatal(err)
			}
		}, true},
		{"a bit flipped", func(t *testing.T, path string, _ *fakeDisk) { flip(t, path) }, false},
		{"cut short", func(t *testing.T, path string, d *fakeDisk) {
			if err := os.Truncate(path, int64(len(d.data))-1); err != nil {
				t.Fatal(err)
			}
		}, false},
		{"the image deleted", func(_ *testing.T, _ string, d *fakeDisk) { d.gone = true }, false},
		{"another disk", func(_ *testing.T, _ string, d *fakeDisk) { d.Disk = 99 }, false},
		{"another copy", func(_ *testing.T, _ string, d *fakeDisk) { d.Copies = []uint64{8} }, false},
		{"no regular file", func(t *testing.T, path string, _ *fakeDisk) {
			if err := errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600)); err != nil {
				t.Fatal(err)
			}
		}, false},
		{"a link", func(t *testing.T, path string, _ *fakeDisk) {
			if err := errors.Join(os.Remove(path), os.Symlink("/etc/passwd", path)); err != nil {
				t.Fatal(err)
			}
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, dir string) {
				d := newDisk(1, 20)
				f := run(t, dir, 100*mega, d)
				f.heatUp(d)
				f.has("made", d)
				path := f.path()
				f.stop()
				tt.between(t, path, d)
				for _, name := range []string{newName, "anything", path + ".2", strings.ToUpper(filepath.Base(path)) + "x"} {
					if err := os.WriteFile(filepath.Join(dir, filepath.Base(name)), []byte("x"), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				before := d.read
				f = run(t, dir, 100*mega, d)
				if !tt.kept {
					f.has("with what was left")
				} else {
					f.has("with what was left", d)
					r := f.open(d)
					defer r.Close()
					f.read(r, d)
					if d.read != before || !slices.Equal(f.moved, []int64{1}) {
						t.Errorf("%d bytes are read of the image, and %v have moved", d.read-before, f.moved)
					}
				}
				if tt.kept != (f.taken > 0) {
					t.Errorf("%d bytes are taken", f.taken)
				}
			})
		})
	}
}

// TestReadBeforeItIsReadable reads a disk often before the file that was left is looked into: nothing is copied for that.
func TestReadBeforeItIsReadable(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		d := newDisk(1, 20)
		f := run(t, dir, 100*mega, d)
		f.heatUp(d)
		f.stop()
		f = open(t, dir, 100*mega, d)
		f.heatUp(d)
		before := d.read
		f.start()
		f.has("with what was left", d)
		if d.read != before {
			t.Errorf("%d bytes are copied again", d.read-before)
		}
	})
}

// TestChangeWhileItIsVerified takes a copy away from an image while Run looks into the file that was left of it.
func TestChangeWhileItIsVerified(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		d := newDisk(1, 20)
		f := run(t, dir, 100*mega, d)
		f.heatUp(d)
		f.stop()
		f = open(t, dir, 100*mega, d)
		f.asked = func() {
			f.asked = nil
			d.set(func() { d.gone = true })
			f.Changed(d.ID)
			time.Sleep(slice) // it tidies up at its next step
		}
		f.start()
		minutes(1)
		f.has("gone")
	})
}

// TestOldReader reads often what was opened when another copy was there: nothing is copied for that, as there is a file.
func TestOldReader(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		d := newDisk(1, 20)
		f := run(t, dir, 100*mega, d)
		old := f.open(d)
		defer old.Close()
		d.set(func() { d.Copies = []uint64{8} })
		f.heatUp(d)
		before := d.read
		for range 2 * hotReads {
			f.read(old, d)
		}
		synctest.Wait()
		f.has("read as it was before", d)
		if got := d.read - before; got != 2*hotReads*int64(len(d.data)) {
			t.Errorf("%d bytes are read, more than by the reader", got)
		}
	})
}

// TestImageChanges follows what becomes of images whose disks are kept.
func TestImageChanges(t *testing.T) {
	for name, change := range map[string]func(d *fakeDisk){
		"deleted":          func(d *fakeDisk) { d.gone = true },
		"another format":   func(d *fakeDisk) { d.Disk = 99 },
		"without the copy": func(d *fakeDisk) { d.Copies = []uint64{8} },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, dir string) {
				d, other := newDisk(1, 20), newDisk(2, 20)
				f := run(t, dir, 100*mega, d, other)
				f.heatUp(d)
				f.heatUp(other)
				r := f.open(d)
				d.set(func() { change(d) })
				if name != "deleted" && f.Has(d.Image) {
					t.Error("the file is taken for the image's before it is told of the change")
				}
				f.Changed(d.ID)
				synctest.Wait()
				f.has("changed", other)
				if got, err := io.ReadAll(io.NewSectionReader(r.File(), 0, 1<<40)); err != nil || !bytes.Equal(got, d.data) {
					t.Errorf("who has the file open reads %d bytes, %v", len(got), err)
				}
				if f.taken < 40*blockSize {
					t.Errorf("%d bytes are taken while one file is kept and another one open", f.taken)
				}
				f.read(r, d)
				r.Close()
				if f.taken > 21*blockSize {
					t.Errorf("%d bytes are taken when it is closed", f.taken)
				}
				other.set(func() { other.gone = true })
				f.ChangedAny()
				synctest.Wait()
				f.has("all looked at")
			})
		})
	}
}

// TestCopyEnds ends copies in the middle.
func TestCopyEnds(t *testing.T) {
	corrupt := image.Errorf(image.ErrCorrupt, "it contradicts itself")
	for _, tt := range []struct {
		name string
		end  func(f *fixture, d *fakeDisk) error // in the middle of the copy
		said string                              // in the log
	}{
		{"deleted", func(f *fixture, d *fakeDisk) error { d.gone = true; return nil }, "is gone"},
		{"corrupt", func(*fixture, *fakeDisk) error { return corrupt }, "it contradicts itself"},
		{"shorter", func(*fixture, *fakeDisk) error { return io.EOF }, "EOF"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, dir string) {
				d := newDisk(1, 100)
				f := run(t, dir, 100*mega, d)
				copied := false
				d.set(func() {
					d.hook = func(off int64) (err error) {
						if off == 16*blockSize && !copied { // which only the copy asks for
							copied = true
							if names := f.names(); !slices.Equal(names, []string{newName}) {
								t.Errorf("while it is copied the directory holds %q", names)
							}
							d.set(func() { err = tt.end(f, d) })
							f.Changed(d.ID)
							time.Sleep(time.Second) // of work
						}
						return err
					}
				})
				f.heatUp(d)
				minutes(1)
				f.has("ended")
				if !copied || !strings.Contains(f.log.String(), tt.said) {
					t.Errorf("copied is %v, and the log says\n%s", copied, f.log)
				}
			})
		})
	}
}

// TestStopWhileCopying ends Run in the middle of a copy.
func TestStopWhileCopying(t *testing.T) {
	inBubble(t, func(t *testing.T, dir string) {
		d := newDisk(1, 100)
		f := run(t, dir, 100*mega, d)
		copying := make(chan struct{})
		d.set(func() {
			d.hook = func(off int64) error {
				if off == 16*blockSize {
					close(copying)
					time.Sleep(time.Second)
				}
				return nil
			}
		})
		f.heatUp(d)
		<-copying
		f.stop()
		if names, err := os.ReadDir(dir); err != nil || len(names) > 0 {
			t.Errorf("the directory holds %v, %v", names, err)
		}
		if strings.Contains(f.log.String(), "level=WARN") {
			t.Errorf("the log warns of a stop:\n%s", f.log)
		}
	})
}

// TestFullDisk lets others fill the disk.
func TestFullDisk(t *testing.T) {
	testservers.Require(t, "root")
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=20m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	filler := filepath.Join(dir, "filler")
	fill := func(left int64) {
		t.Helper()
		var fs unix.Statfs_t
		err := unix.Statfs(dir, &fs)
		if err == nil {
			err = os.WriteFile(filler, bytes.Repeat([]byte{1}, int(int64(fs.Bavail)*fs.Frsize-left)), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		d, big, third := newDisk(1, 64), newDisk(2, 310), newDisk(3, 64)
		f := run(t, filepath.Join(dir, "raw"), 100*mega, d, big, third)
		f.heatUp(big)
		f.has("one that would leave too little")
		f.heatUp(d)
		f.has("one that fits", d)
		fill(mega / 2)
		minutes(2)
		f.has("the disk is full of something else")
		f.heatUp(d)
		f.has("still full")
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		filled := false
		third.set(func() {
			third.hook = func(off int64) error {
				if off == 16*blockSize && !filled { // which only the copy asks for
					filled = true
					fill(0)
				}
				return nil
			}
		})
		f.heatUp(third)
		f.has("filled while it is copied")
		if !filled || !strings.Contains(f.log.String(), "no space left on device") {
			t.Errorf("filled is %v, and the log says\n%s", filled, f.log)
		}
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		minutes(int(later.Minutes()))
		f.heatUp(third)
		f.has("empty again", third)
		if strings.Contains(f.log.String(), "level=WARN") {
			t.Errorf("the log warns of a full disk:\n%s", f.log)
		}
	})
}

// TestSecondCache opens the directory of a cache.
func TestSecondCache(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), Size: mega}
	c, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(cfg); err == nil {
		t.Error("two caches have one directory")
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if c, err = Open(cfg); err != nil {
		t.Fatal(err)
	}
	c.Close()
	for _, cfg := range []Config{{Size: mega}, {Dir: cfg.Dir}, {Dir: "/proc/self/nothing", Size: mega}} {
		if _, err := Open(cfg); err == nil {
			t.Errorf("Open(%+v) works", cfg)
		}
	}
}

// TestManyReaders reads some disks, all at once, whose files come and go, break, and are dropped.
func TestManyReaders(t *testing.T) {
	dir := t.TempDir()
	var disks []*fakeDisk
	for i := range 4 {
		disks = append(disks, newDisk(i+1, 8))
	}
	f := &fixture{t: t, disks: make(map[image.ID]*fakeDisk)}
	for _, d := range disks {
		f.disks[d.ID] = d
	}
	c, err := Open(Config{Dir: dir, Size: 27 * blockSize})
	if err != nil {
		t.Fatal(err)
	}
	f.Cache = c
	ctx, stop := context.WithCancel(t.Context())
	moves := make(chan int64, 1000)
	var running, readers sync.WaitGroup
	running.Go(func() {
		c.Run(ctx, f, func(_ context.Context, n int64) {
			select {
			case moves <- n:
			default:
			}
		})
	})
	done := make(chan struct{})
	for i := range 8 {
		readers.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(i), 1))
			for {
				d := disks[rng.IntN(len(disks))]
				r := c.Reader(d.Image, d.open())
				f.read(r, d)
				if file := r.File(); file != nil {
					if got, err := io.ReadAll(io.NewSectionReader(file, 0, 1<<40)); err != nil || !bytes.Equal(got, d.data) {
						t.Errorf("a file holds %d bytes, %v", len(got), err)
					}
				}
				r.Close()
				if rng.IntN(50) == 0 {
					c.mu.Lock()
					if file := c.files[d.Disk]; file != nil {
						c.drop(file, errGone)
					}
					c.mu.Unlock()
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for range 20 {
		<-moves
	}
	close(done)
	readers.Wait()
	stop()
	running.Wait()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
