package filestore

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"unsafe"

	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/imagestore/storetest"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// put stores the data and returns the file.
func put(t *testing.T, s *Store, src imagestore.Source) *os.File {
	t.Helper()
	loc, err := s.Put(t.Context(), storetest.NewObject(), src)
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Open(t.Context(), loc)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r.(imagestore.FileReader).File()
}

// allocated returns the bytes that the file takes on the disk.
func allocated(t *testing.T, f *os.File) int64 {
	t.Helper()
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	return st.Blocks * 512
}

func TestZerosTakeNoSpace(t *testing.T) {
	s := openIn(t, Config{}, t.TempDir())
	zeros, data := make([]byte, 8<<20), storetest.Random(1<<20)
	for _, tt := range []struct {
		name  string
		bytes []byte
		chunk int
		most  int64
	}{
		{"only zeros", zeros, 256 << 10, 0},
		{"zeros, data, zeros", slices.Concat(zeros, data, zeros), 256 << 10, 1 << 20},
		{"data at odd offsets", slices.Concat(zeros[:1<<20+5], data, zeros[:1<<20+77]), 256 << 10, 1<<20 + 8<<10},
		{"odd chunks", slices.Concat(zeros, data, zeros), 99_991, 1 << 20},
		{"one byte", append(slices.Clone(zeros), 1), 256 << 10, 4 << 10},
		{"every other block", slices.Repeat(append(make([]byte, 4096), data[:4096]...), 128), 256 << 10, 128 * 4096},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := allocated(t, put(t, s, storetest.NewSource(tt.bytes, tt.chunk)))
			if got > tt.most+8<<10 { // blocks of the extent tree
				t.Errorf("%d bytes take %d on the disk, want at most %d", len(tt.bytes), got, tt.most)
			}
		})
	}
}

func TestLeadingRuns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := make([]byte, rapid.IntRange(1, 5*blockSize).Draw(t, "length"))
		off := rapid.Int64Range(0, 2*blockSize).Draw(t, "offset")
		for range rapid.IntRange(0, 4).Draw(t, "bytes of data") {
			b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] = 1
		}
		rebuilt := make([]byte, len(b))
		pos := 0
		for pos < len(b) {
			zeros, data := leadingRuns(b[pos:], off+int64(pos))
			if zeros+data == 0 {
				t.Fatal("no progress")
			}
			pos += zeros
			copy(rebuilt[pos:pos+data], b[pos:])
			pos += data
		}
		if !slices.Equal(rebuilt, b) || pos != len(b) {
			t.Errorf("the runs leave out data, or end at %d of %d", pos, len(b))
		}
	})
}

func TestManyExtentsAreBounded(t *testing.T) {
	s := openIn(t, Config{}, t.TempDir())
	f := put(t, s, storetest.NewSource(slices.Repeat(append(make([]byte, 64<<10), storetest.Random(64<<10)...), 10), 1<<20))
	r := &reader{f: f, size: 20 * 64 << 10, maxExtents: 4}
	got, err := r.Extents(t.Context(), 0, 1<<40)
	want := []imagestore.Extent{{Offset: 1 * 64 << 10, Length: 64 << 10}, {Offset: 3 * 64 << 10, Length: 64 << 10},
		{Offset: 5 * 64 << 10, Length: 64 << 10}, {Offset: 7 * 64 << 10, Length: 13 * 64 << 10}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("Extents = %v, %v, want %v", got, err, want)
	}
}

func TestWhatIsReadSoonStaysInMemory(t *testing.T) {
	data := storetest.Random(8 << 20)
	f := put(t, openIn(t, Config{Reread: true}, t.TempDir()), storetest.NewSource(data, 256<<10))
	m, err := unix.Mmap(int(f.Fd()), 0, len(data), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(m)
	resident := make([]byte, len(data)/os.Getpagesize())
	if _, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&m[0])), uintptr(len(m)), uintptr(unsafe.Pointer(&resident[0]))); errno != 0 {
		t.Fatal(errno)
	}
	if away := slices.Index(resident, 0); away >= 0 {
		t.Errorf("page %d of %d is not in the page cache any more", away, len(resident))
	}
}

// fileSource is a source whose bytes lie in a file.
type fileSource struct {
	*storetest.Source
	file  *os.File
	spare bool
}

func (s fileSource) File() *os.File { return s.file }
func (s fileSource) Spare() bool    { return s.spare }

func TestFilesAreCloned(t *testing.T) {
	dir := xfs(t)
	s := openIn(t, Config{}, filepath.Join(dir, "store"))
	data := storetest.Random(32 << 20)
	staged := stage(t, filepath.Join(dir, "staged"), data)
	before := used(t, dir)
	f := put(t, s, fileSource{storetest.NewSource(data, 1<<20), staged, false})
	if taken := used(t, dir) - before; taken > 4<<20 {
		t.Errorf("a clone of 32 MiB took %d bytes", taken)
	}
	checkFile(t, f, data)
}

// What cannot be cloned, or is not what was announced, is copied.
func TestFilesAreCopied(t *testing.T) {
	data := storetest.Random(1 << 20)
	for name, staged := range map[string][]byte{"on ext4": data, "another size": data[:len(data)-1], "empty": nil} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if name != "on ext4" {
				dir = xfs(t)
			}
			s := openIn(t, Config{}, filepath.Join(dir, "store"))
			checkFile(t, put(t, s, fileSource{storetest.NewSource(data, 1<<18), stage(t, filepath.Join(dir, "staged"), staged), false}), data)
		})
	}
}

// spare stores a file, as a staging area does, and returns the source of another store that may have it.
func spare(t *testing.T, staging *Store, data []byte) fileSource {
	t.Helper()
	return fileSource{storetest.NewSource(data, 1<<18), put(t, staging, storetest.NewSource(data, 1<<20)), true}
}

func sameFile(t *testing.T, a, b *os.File) bool {
	t.Helper()
	first, err := a.Stat()
	if err != nil {
		t.Fatal(err)
	}
	second, err := b.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return os.SameFile(first, second)
}

// What nobody else needs gets a second name, where that is the same to readers.
func TestSpareFilesAreTaken(t *testing.T) {
	dir, data := t.TempDir(), storetest.Random(1<<20)
	staging := openIn(t, Config{}, filepath.Join(dir, "staging"))
	for name, tt := range map[string]struct {
		dir   string
		mode  os.FileMode
		taken bool
	}{
		"beside it":           {filepath.Join(dir, "store"), fileMode, true},
		"another file system": {xfs(t), fileMode, false},
		"another mode":        {filepath.Join(dir, "store"), 0o600, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := openIn(t, Config{}, tt.dir)
			src := spare(t, staging, data)
			if err := src.file.Chmod(tt.mode); err != nil {
				t.Fatal(err)
			}
			got := put(t, s, src)
			checkFile(t, got, data)
			if taken := sameFile(t, got, src.file); taken != tt.taken {
				t.Errorf("the file was taken: %v, want %v", taken, tt.taken)
			}
			if n, err := s.Sweep(t.Context()); n != 0 || err != nil {
				t.Errorf("Sweep = %d, %v", n, err)
			}
		})
	}
}

// Somebody removes the temporary file in whose place another one comes: it is not needed any more.
func TestFilesAreTakenWithoutTheirTemporary(t *testing.T) {
	dir, data := t.TempDir(), storetest.Random(10_000)
	s := openIn(t, Config{}, filepath.Join(dir, "store"))
	s.fault = func(step string, do func() error) error {
		if step == stepAdopt {
			for _, name := range matches(t, filepath.Join(dir, "store", tmpName, tmpPrefix+"*")) {
				if err := os.Remove(name); err != nil {
					t.Error(err)
				}
			}
		}
		return withoutUnnamed(step, do)
	}
	src := spare(t, openIn(t, Config{}, filepath.Join(dir, "staging")), data)
	got := put(t, s, src)
	checkFile(t, got, data)
	if !sameFile(t, got, src.file) {
		t.Error("the file was copied")
	}
}

func matches(t *testing.T, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) != 1 {
		t.Errorf("%q, %v, want one file", names, err)
	}
	return names
}

// A file that is refused after all keeps its old name alone, whatever step fails.
func TestEveryStepOfATakingMayFail(t *testing.T) {
	data := storetest.Random(10_000)
	for _, after := range []bool{false, true} {
		for n := 1; ; n++ {
			dir := t.TempDir()
			staging, s := openIn(t, Config{}, filepath.Join(dir, "staging")), openIn(t, Config{}, filepath.Join(dir, "store"))
			src := spare(t, staging, data)
			steps := &faulty{n: n, after: after}
			s.fault = steps.step
			loc, err := s.Put(t.Context(), storetest.NewObject(), src)
			if len(steps.seen) < n {
				break // all were tried
			}
			step := steps.seen[n-1]
			s.fault = nil
			if step == stepAdopt { // copied instead
				if err != nil {
					t.Errorf("%s: Put = %v", step, err)
				}
				if err := s.Delete(t.Context(), loc); err != nil {
					t.Error(err)
				}
			} else if !errors.Is(err, errFault) {
				t.Errorf("%s: Put = %v, want %v", step, err, errFault)
			}
			checkEmpty(t, s, step)
			checkFile(t, src.file, data)
			if left := audit(t, staging); len(left) != 1 {
				t.Errorf("%s: the staging area holds %v", step, left)
			}
		}
	}
}

func stage(t *testing.T, path string, data []byte) *os.File {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	return f
}

func checkFile(t *testing.T, f *os.File, data []byte) {
	t.Helper()
	got, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<40))
	if err != nil || !slices.Equal(got, data) {
		t.Errorf("the file holds other bytes: %d instead of %d, error %v", len(got), len(data), err)
	}
}

// A reader keeps the bytes of an object that was deleted.
func TestReadersSurviveADeletion(t *testing.T) {
	s := openIn(t, Config{}, t.TempDir())
	data := storetest.Random(100_000)
	loc, err := s.Put(t.Context(), storetest.NewObject(), storetest.NewSource(data, 50_000))
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Open(t.Context(), loc)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := s.Delete(t.Context(), loc); err != nil {
		t.Fatal(err)
	}
	if got, err := storetest.ReadAll(context.Background(), r); err != nil || !slices.Equal(got, data) {
		t.Errorf("a reader of deleted data gives %d bytes, error %v", len(got), err)
	}
}
