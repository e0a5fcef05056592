package crashfs

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMountServesWhatProgramsNeed(t *testing.T) {
	fs, dir := begin(t, Config{})
	f, err := os.OpenFile(filepath.Join(dir, "file"), os.O_CREATE|os.O_RDWR|os.O_EXCL, 0o640)
	must(t, err)
	defer f.Close()
	_, err = f.WriteAt([]byte("data"), 1<<20)
	must(t, err)
	must(t, f.Sync())
	for _, tt := range []struct {
		whence int
		want   int64
	}{{unix.SEEK_DATA, 1 << 20}, {unix.SEEK_HOLE, 0}} {
		if got, err := f.Seek(0, tt.whence); err != nil || got != tt.want {
			t.Errorf("Seek(0, %d) = %d, %v, want %d", tt.whence, got, err, tt.want)
		}
	}
	must(t, unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, 1<<20))
	must(t, unix.Flock(int(f.Fd()), unix.LOCK_EX))
	must(t, unix.FcntlFlock(f.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Len: 1}))
	info, err := f.Stat()
	must(t, err)
	if stat := info.Sys().(*syscall.Stat_t); stat.Mode&0o777 != 0o640 || stat.Blocks != 8 || stat.Nlink != 1 {
		t.Errorf("stat = %o, %d blocks, %d links, want 640, 8, 1", stat.Mode, stat.Blocks, stat.Nlink)
	}
	must(t, os.Symlink("file", filepath.Join(dir, "symlink")))
	must(t, unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
	must(t, os.Mkdir(filepath.Join(dir, "sub"), 0o755))
	must(t, os.Rename(filepath.Join(dir, "file"), filepath.Join(dir, "sub", "moved")))
	if err := os.Remove(filepath.Join(dir, "sub")); !errors.Is(err, syscall.ENOTEMPTY) {
		t.Errorf("removing a full directory = %v, want ENOTEMPTY", err)
	}
	var stat unix.Statfs_t
	must(t, unix.Statfs(dir, &stat))
	if stat.Bsize != pageSize || stat.Bfree == 0 || stat.Bfree == stat.Blocks {
		t.Errorf("statfs = %+v, want some blocks free and one used", stat)
	}

	got := survivors(t, fs, Keep, 0)
	target, err := os.Readlink(filepath.Join(got, "symlink"))
	if err != nil || target != "file" {
		t.Errorf("the symbolic link survived as %q, %v", target, err)
	}
	if info, err := os.Lstat(filepath.Join(got, "fifo")); err != nil || info.Mode().Type() != os.ModeNamedPipe {
		t.Errorf("the fifo survived as %v, %v", info, err)
	}
	moved, err := os.ReadFile(filepath.Join(got, "sub", "moved"))
	if want := append(make([]byte, 1<<20), "data"...); err != nil || !bytes.Equal(moved, want) {
		t.Errorf("the file survived as %d other bytes, %v", len(moved), err)
	}
}

// An unnamed file gets its name by linkat, as image stores do it: bytes, then the name, then the directory.
func TestUnnamedFile(t *testing.T) {
	for _, tt := range []struct {
		name           string
		file, dir      bool // what is synced
		exists, filled bool
	}{
		{"nothing synced", false, false, false, false},
		{"file synced", true, false, false, false},
		{"directory synced", false, true, true, false},
		{"both synced", true, true, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fs, dir := begin(t, Config{})
			f, err := os.OpenFile(dir, unix.O_TMPFILE|os.O_RDWR, 0o640)
			must(t, err)
			defer f.Close()
			d, err := os.Open(dir)
			must(t, err)
			defer d.Close()
			_, err = f.WriteString("content")
			must(t, err)
			if tt.file {
				must(t, f.Sync())
			}
			path := filepath.Join(dir, "named")
			proc, err := unix.Open("/proc/self/fd", unix.O_PATH, 0)
			must(t, err)
			defer unix.Close(proc)
			must(t, unix.Linkat(proc, strconv.Itoa(int(f.Fd())), unix.AT_FDCWD, path, unix.AT_SYMLINK_FOLLOW))
			if tt.dir {
				must(t, d.Sync())
			}
			got, err := os.ReadFile(filepath.Join(survivors(t, fs, Drop, 0), "named"))
			if exists := err == nil; exists != tt.exists || (string(got) == "content") != tt.filled {
				t.Errorf("after the cut: %q, %v", got, err)
			}
		})
	}
}

func TestSharedMemory(t *testing.T) {
	_, dir := begin(t, Config{})
	f, err := os.OpenFile(filepath.Join(dir, "shm"), os.O_CREATE|os.O_RDWR, 0o600)
	must(t, err)
	defer f.Close()
	must(t, f.Truncate(2*pageSize))
	one, err := unix.Mmap(int(f.Fd()), 0, 2*pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	must(t, err)
	defer unix.Munmap(one)
	other, err := os.OpenFile(f.Name(), os.O_RDWR, 0)
	must(t, err)
	defer other.Close()
	two, err := unix.Mmap(int(other.Fd()), 0, 2*pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	must(t, err)
	defer unix.Munmap(two)
	copy(one[pageSize:], "hello")
	if !bytes.HasPrefix(two[pageSize:], []byte("hello")) {
		t.Error("one mapping does not see what another wrote")
	}
}

func TestPowerCutOnTheMount(t *testing.T) {
	fs, dir := begin(t, Config{})
	must(t, fs.Arm(Cut{Mode: Drop, Step: 2}))
	f, err := os.Create(filepath.Join(dir, "file"))
	must(t, err)
	defer f.Close()
	must(t, f.Sync())
	if err := fs.Survivors(t.TempDir()); err == nil {
		t.Error("there were survivors before the cut")
	}
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Errorf("the second Sync = %v, want EIO", err)
	}
	must(t, fs.Wait(t.Context()))
	if _, err := os.Create(filepath.Join(dir, "other")); !errors.Is(err, syscall.EIO) {
		t.Errorf("Create after the cut = %v, want EIO", err)
	}
	steps, err := fs.Steps()
	must(t, err)
	counts, err := fs.Counts()
	must(t, err)
	if !slices.Equal(steps, []string{"/file", "/file"}) || counts.Steps != 2 || !counts.Cut {
		t.Errorf("steps %q, counts %+v, want two of /file", steps, counts)
	}
	if err := fs.Arm(Cut{Mode: Drop, Step: 1}); err == nil {
		t.Error("a cut was planned after the cut")
	}
}

// What survived is the start of the next round.
func TestRounds(t *testing.T) {
	from := ""
	for round := range 3 {
		fs, dir := begin(t, Config{From: from})
		f, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		must(t, err)
		_, err = f.WriteString("synced ")
		must(t, err)
		must(t, f.Sync())
		_, err = f.WriteString("lost ")
		must(t, err)
		must(t, f.Close())
		d, err := os.Open(dir)
		must(t, err)
		must(t, d.Sync())
		must(t, d.Close())
		from = survivors(t, fs, Drop, 0)
		got, err := os.ReadFile(filepath.Join(from, "log"))
		if want := bytes.Repeat([]byte("synced "), round+1); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("round %d left %q, %v, want %q", round, got, err, want)
		}
	}
}

func TestReadDirWhileRemoving(t *testing.T) {
	_, dir := begin(t, Config{})
	const n = 1000
	for i := range n {
		must(t, os.WriteFile(filepath.Join(dir, string(rune('a'+i%26))+strconv.Itoa(i)), nil, 0o600))
	}
	d, err := os.Open(dir)
	must(t, err)
	defer d.Close()
	seen := map[string]bool{}
	for {
		names, err := d.Readdirnames(100)
		for _, name := range names {
			if seen[name] {
				t.Errorf("%s came twice", name)
			}
			seen[name] = true
			must(t, os.Remove(filepath.Join(dir, name)))
		}
		if err != nil {
			break
		}
	}
	if len(seen) != n {
		t.Errorf("%d entries were read, want %d", len(seen), n)
	}
}

func TestStartFailsWithReason(t *testing.T) {
	if _, err := Start(Config{Mount: filepath.Join(t.TempDir(), "missing")}); err == nil {
		t.Error("Start mounted at a missing directory")
	}
	if _, err := Start(Config{Mount: t.TempDir(), From: "/nowhere"}); err == nil {
		t.Error("Start loaded a missing directory")
	}
}
