package diskformat

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vitrine-image/vitrine/diskformat/formattest"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// A fileSource is an image in a file that knows its holes.
type fileSource struct {
	*os.File
	size int64
}

func openSource(t testing.TB, path string) fileSource {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return fileSource{f, info.Size()}
}

func (s fileSource) Size() int64 { return s.size }

func (s fileSource) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	return s.File.ReadAt(p, off)
}

func (s fileSource) Extents(_ context.Context, off, n int64) (list []Extent, _ error) {
	for end := off + n; off < end; {
		start, err := s.Seek(off, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) || err == nil && start >= end {
			break
		}
		if err != nil {
			return nil, err
		}
		if off, err = s.Seek(start, unix.SEEK_HOLE); err != nil {
			return nil, err
		}
		off = min(off, end)
		list = append(list, Extent{start, off - start})
	}
	return list, nil
}

// checkDiskAgainstQEMU compares an image read as a disk with what QEMU reads in it, and with where QEMU finds data. For some
// images QEMU asks the file system where their data lies.
func checkDiskAgainstQEMU(t *testing.T, path, qemuFormat string, asksFiles bool) {
	t.Helper()
	raw := filepath.Join(t.TempDir(), "raw")
	qemuImg(t, "convert", "-f", qemuFormat, "-O", "raw", path, raw)
	want, err := os.ReadFile(raw)
	if err != nil {
		t.Fatal(err)
	}
	format := formattest.FromQEMU(qemuFormat)
	src := openSource(t, path)
	sparse, plain := openDisk(t, src, format), openDisk(t, struct{ Source }{src}, format)
	checkDisk(t, sparse, want)
	checkDisk(t, plain, want)
	d := plain
	if asksFiles {
		d = sparse
	}
	if qemuFormat == "vhdx" { // QEMU takes all of it for data
		return
	}
	if got, want := extentsOf(t, d, 0, d.Size()), qemuExtents(t, path, qemuFormat); !slices.Equal(got, want) {
		t.Errorf("extents %v, QEMU has %v", got, want)
	}
}

// qemuExtents returns the ranges of data that QEMU knows.
func qemuExtents(t *testing.T, path, format string) (list []Extent) {
	t.Helper()
	ranges, err := formattest.Map(path, format)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range ranges {
		list = append(list, Extent(r))
	}
	return list
}

// qemuIO writes to an image as a guest does.
func qemuIO(t *testing.T, path, format string, commands ...string) {
	t.Helper()
	if err := formattest.WriteTo(path, format, commands...); err != nil {
		t.Fatal(err)
	}
}

// Every kind of image that QEMU writes is inspected as what QEMU sees in it, and reads as QEMU reads it.
func TestDisksAgainstQEMU(t *testing.T) {
	testservers.Require(t, "qemu")
	raw := filepath.Join(t.TempDir(), "raw")
	if err := os.WriteFile(raw, formattest.Mixed(formattest.MixedSize), 0o600); err != nil {
		t.Fatal(err)
	}
	recipes := formattest.Recipes()
	if len(recipes) < 60 {
		t.Errorf("there are %d kinds of images, want at least 60", len(recipes))
	}
	for _, r := range recipes {
		t.Run(r.String(), func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "image")
			if err := r.Make(path, raw); err != nil {
				t.Fatal(err)
			}
			if told := qemuImg(t, "info", "-f", r.QEMU, "--output=json", path); r.Crashed && !strings.Contains(string(told), `"dirty-flag": true`) {
				t.Fatal("the image is not dirty")
			}
			if r.QEMU != "raw" { // the data may be anything
				checkAgainstQEMU(t, path, r.QEMU)
			}
			checkDiskAgainstQEMU(t, path, r.QEMU, r.FromFile())
		})
	}
	t.Run("empty", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "image")
		qemuImg(t, "create", "-q", "-f", "qcow2", path, "5000192")
		checkDiskAgainstQEMU(t, path, "qcow2", false)
	})
}

// A large disk costs no more than what is in it, and is right at its end.
func TestLargeQCOW2(t *testing.T) {
	testservers.Require(t, "qemu")
	for _, tt := range []struct {
		options, size string
		asksFiles     bool
	}{
		{"cluster_size=64K", "60T", false},
		{"cluster_size=2M", "1P", false},
		{"cluster_size=512", "4G", false},
		{"extended_l2=on,cluster_size=2M", "1P", true},
	} {
		t.Run(tt.options, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "image")
			qemuImg(t, "create", "-q", "-f", "qcow2", "-o", tt.options, path, tt.size)
			size := inspectFile(t, path).VirtualSize
			qemuIO(t, path, "qcow2", "write -P 1 1G 512", fmt.Sprintf("write -P 2 %d 512", size-512))
			var src Source = openSource(t, path)
			if !tt.asksFiles {
				src = struct{ Source }{src}
			}
			d := openDisk(t, src, QCOW2)
			if got, want := extentsOf(t, d, 0, size), qemuExtents(t, path, "qcow2"); !slices.Equal(got, want) || len(got) != 2 {
				t.Errorf("extents %v, QEMU has %v", got, want)
			}
			p := make([]byte, 1024)
			if n, err := d.ReadAt(t.Context(), p, size-1024); n != 1024 || err != nil || !allZero(p[:512]) || p[512] != 2 || p[1023] != 2 {
				t.Errorf("read %d bytes at the end, %v: %x", n, err, p)
			}
		})
	}
}
