package events

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vitrine-image/vitrine/internal/testservers"
)

func open(t *testing.T, cfg FileConfig) *lineFile {
	t.Helper()
	f, err := openLines(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.close() })
	return f
}

func write(t *testing.T, f *lineFile, lines string) {
	t.Helper()
	if n, err := f.write([]byte(lines)); err != nil || n != len(lines) {
		t.Fatalf("write = %d, %v", n, err)
	}
}

func text(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(b)
}

func TestATornLineIsEnded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte("one\nto"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := open(t, FileConfig{Path: path})
	write(t, f, "two\n")
	write(t, f, "three\n")
	if got := text(t, path); got != "one\nto\ntwo\nthree\n" {
		t.Errorf("the file holds %q", got)
	}
}

func TestRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	f := open(t, FileConfig{Path: path, MaxSize: 8, Keep: 2})
	for i := range 9 {
		write(t, f, fmt.Sprintf("%02d\n", i))
	}
	write(t, f, "a line longer than a file\n")
	for file, want := range map[string]string{"": "a line longer than a file\n", ".1": "08\n", ".2": "06\n07\n", ".3": ""} {
		if got := text(t, path+file); got != want {
			t.Errorf("log%s holds %q, want %q", file, got, want)
		}
	}
	f = open(t, FileConfig{Path: path, MaxSize: 1})
	write(t, f, "alone\n")
	if got := text(t, path); got != "alone\n" {
		t.Errorf("without files to keep the log holds %q", got)
	}
	f = open(t, FileConfig{Path: path, Keep: 2})
	for range 1000 {
		write(t, f, "without a limit\n")
	}
	if got := text(t, path); strings.Count(got, "\n") != 1001 {
		t.Errorf("without a limit the log was rotated")
	}
}

func TestAFileThatCannotBeRotatedGrowsOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	var log logBuffer
	f, err := openLines(FileConfig{Path: path, MaxSize: 20, Keep: 1}, log.logger())
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	if err := os.MkdirAll(filepath.Join(path+".1", "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	for range 40 {
		write(t, f, "four\n")
	}
	if got := text(t, path); strings.Count(got, "four\n") != 40 {
		t.Errorf("the file holds %q", got)
	}
	if n := strings.Count(log.String(), "cannot be moved away"); n < 2 || n > 15 {
		t.Errorf("it was logged %d times: %s", n, &log)
	}
}

func TestLogrotate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	f := open(t, FileConfig{Path: path, MaxSize: 12, Keep: 3})
	write(t, f, "one\n")
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	write(t, f, "two\n")
	if err := f.follow(); err != nil {
		t.Fatal(err)
	}
	write(t, f, "three\n")
	if err := f.follow(); err != nil {
		t.Fatal(err)
	}
	write(t, f, "four\n")
	if old, new := text(t, path+".old"), text(t, path); old != "one\ntwo\n" || new != "three\nfour\n" {
		t.Errorf("the files hold %q and %q", old, new)
	}
	if err := os.Rename(path, path+".older"); err != nil {
		t.Fatal(err)
	}
	write(t, f, "five\n") // full, but not to be moved
	if got := text(t, path); got != "five\n" || text(t, path+".1") != "" {
		t.Errorf("the file holds %q", got)
	}
	if err := os.Truncate(path, 0); err != nil { // copytruncate
		t.Fatal(err)
	}
	write(t, f, "six\n")
	if got := text(t, path); got != "six\n" {
		t.Errorf("a truncated file holds %q", got)
	}
	if err := errors.Join(f.sync(), f.close(), f.close(), f.sync(), f.follow()); err != nil {
		t.Error(err)
	}
	if _, err := f.write([]byte("x\n")); !errors.Is(err, os.ErrClosed) {
		t.Errorf("write after close: %v", err)
	}
}

func TestLinesStayWholeWhenManyWriteAndItRotates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	f := open(t, FileConfig{Path: path, MaxSize: 1 << 10, Keep: 1000})
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 250 {
				if _, err := fmt.Fprintf(writerFunc(f.write), "%d-%03d %s\n", w, i, strings.Repeat("x", i%40)); err != nil {
					t.Error(err)
				}
				if i%50 == 0 {
					if err := errors.Join(f.sync(), f.follow()); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	var lines []string
	files, err := filepath.Glob(path + "*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		lines = append(lines, readAll(t, file)...)
	}
	slices.Sort(lines)
	if len(files) < 10 || len(lines) != 1000 {
		t.Fatalf("%d lines in %d files", len(lines), len(files))
	}
	for i, line := range lines {
		if want := fmt.Sprintf("%d-%03d %s", i/250, i%250, strings.Repeat("x", i%250%40)); line != want {
			t.Errorf("line %q, want %q", line, want)
		}
	}
}

type writerFunc func([]byte) (int, error)

func (fn writerFunc) Write(p []byte) (int, error) { return fn(p) }

func TestWhatIsNoFileIsRefused(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for what, cfg := range map[string]FileConfig{
		"no path": {}, "a directory": {Path: dir}, "a pipe": {Path: fifo}, "no directory": {Path: filepath.Join(dir, "no", "log")},
		"a negative size": {Path: filepath.Join(dir, "log"), MaxSize: -1}, "a negative number": {Path: filepath.Join(dir, "log"), Keep: -1},
	} {
		if _, err := openLines(cfg, nil); err == nil {
			t.Errorf("%s is taken for a log", what)
		}
	}
}

// smallDisk mounts a file system of some pages and returns a directory on it.
func smallDisk(t *testing.T) string {
	t.Helper()
	testservers.Require(t, "root")
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestAFullDiskTearsNoLines(t *testing.T) {
	dir := smallDisk(t)
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 56<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "log")
	f := open(t, FileConfig{Path: path})
	var lines []byte
	for i := range 1000 {
		lines = fmt.Appendf(lines, "line %d of some length\n", i)
	}
	n, err := f.write(lines)
	if !errors.Is(err, unix.ENOSPC) || n == 0 || lines[n-1] != '\n' {
		t.Fatalf("write to a full disk = %d, %v", n, err)
	}
	if again, err := f.write(lines[n:]); again != 0 || !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("write to a full disk = %d, %v", again, err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if rest, err := f.write(lines[n:]); err != nil || rest != len(lines)-n {
		t.Fatalf("write = %d, %v", rest, err)
	}
	got := readAll(t, path)
	whole := slices.DeleteFunc(slices.Clone(got), func(line string) bool { return !bytes.Contains(lines, []byte(line+"\n")) })
	if len(got)-len(whole) > 1 || strings.Join(slices.Compact(whole), "\n")+"\n" != string(lines) {
		t.Errorf("%d lines, %d of them whole; want %d", len(got), len(whole), bytes.Count(lines, []byte("\n")))
	}
}
