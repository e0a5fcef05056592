package diskformat

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

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
	format := qemuFormat
	if ours, other := qemuNames[format]; other {
		format = ours
	}
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
	var mapped []struct {
		Start, Length int64
		Zero          bool
	}
	if err := json.Unmarshal(qemuImg(t, "map", "--output=json", "-f", format, path), &mapped); err != nil {
		t.Fatal(err)
	}
	for _, m := range mapped {
		if last := len(list) - 1; m.Zero {
		} else if last >= 0 && list[last].Offset+list[last].Length == m.Start {
			list[last].Length += m.Length
		} else {
			list = append(list, Extent{m.Start, m.Length})
		}
	}
	return list
}

// diskData is what the tests write into images: zeros, text and noise in pieces from 512 bytes to 256 KiB.
func diskData(size int) []byte {
	random := rand.New(rand.NewPCG(3, 4))
	data := make([]byte, size)
	for at := 0; at < size; {
		p := data[at:min(size, at+512<<random.IntN(10))]
		switch random.IntN(3) {
		case 0:
			for i := 0; i+8 <= len(p); i += 8 {
				binary.LittleEndian.PutUint64(p[i:], random.Uint64())
			}
		case 1:
			line := fmt.Sprintf("line %d at %d\n", random.Int(), at)
			for n := 0; n < len(p); {
				n += copy(p[n:], line)
			}
		}
		at += len(p)
	}
	return data
}

// qemuIO writes to an image as a guest does.
func qemuIO(t *testing.T, path, format string, commands ...string) {
	t.Helper()
	args := []string{"-f", format, "-d", "unmap"}
	for _, c := range commands {
		args = append(args, "-c", c)
	}
	if out, err := exec.Command("qemu-io", append(args, path)...).CombinedOutput(); err != nil || strings.Contains(string(out), "rror") {
		t.Fatalf("qemu-io %v: %v: %s", commands, err, out)
	}
}

// guestWrites are what a guest does to a disk: pieces that are no clusters, zeros over data and over nothing, discards.
var guestWrites = []string{
	"write -P 1 0 100k", "write -P 2 777k 3k", "write -P 3 1M 512", "write -P 4 2000k 500k",
	"write -z 20k 30k", "write -z 2100k 64k", "write -z -u 2200k 128k", "write -z 3M 256k",
	"write -P 5 25k 1k", "discard 64k 16k", "discard 2304k 128k", "write -P 6 4801k 64k",
}

// What QEMU can be told when it makes a qcow2.
var qcow2Variants = []string{
	"compat=1.1", "compat=0.10", "lazy_refcounts=on", "refcount_bits=1", "refcount_bits=64",
	"cluster_size=512", "cluster_size=1K", "cluster_size=4K", "cluster_size=256K", "cluster_size=2M", "compat=0.10,cluster_size=512",
	"extended_l2=on", "extended_l2=on,cluster_size=16K", "extended_l2=on,cluster_size=128K", "extended_l2=on,cluster_size=2M",
	"preallocation=metadata", "preallocation=falloc", "preallocation=full", "preallocation=metadata,extended_l2=on",
	"preallocation=metadata,cluster_size=4K",
}

// What it can be told when it compresses one.
var qcow2Packings = []string{
	"compression_type=zlib", "compression_type=zstd", "compat=0.10", "compression_type=zlib,cluster_size=512",
	"compression_type=zstd,cluster_size=512", "compression_type=zlib,cluster_size=2M", "compression_type=zstd,cluster_size=2M",
	"compression_type=zlib,extended_l2=on", "compression_type=zstd,extended_l2=on,cluster_size=16K", "compat=0.10,cluster_size=4K",
}

// Every kind of qcow2 that QEMU writes reads as QEMU reads it.
func TestQCOW2AgainstQEMU(t *testing.T) {
	testservers.Require(t, "qemu")
	raw := filepath.Join(t.TempDir(), "raw")
	if err := os.WriteFile(raw, diskData(5000192), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, options := range qcow2Variants {
		preallocated := strings.Contains(options, "preallocation=metadata") && !strings.Contains(options, "extended_l2")
		t.Run(options+" converted", func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "image")
			qemuImg(t, "convert", "-f", "raw", "-O", "qcow2", "-o", options, raw, path)
			checkDiskAgainstQEMU(t, path, "qcow2", preallocated)
		})
		t.Run(options+" written", func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "image")
			qemuImg(t, "create", "-q", "-f", "qcow2", "-o", options, path, "5000192")
			qemuIO(t, path, "qcow2", guestWrites...)
			if !strings.Contains(options, "refcount_bits=1") { // a snapshot needs a second reference
				qemuImg(t, "snapshot", "-c", "before", path)
				qemuIO(t, path, "qcow2", "write -P 7 2010k 70k", "discard 0 64k")
			}
			checkDiskAgainstQEMU(t, path, "qcow2", preallocated)
		})
	}
	for _, options := range qcow2Packings {
		t.Run(options+" compressed", func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "image")
			qemuImg(t, "convert", "-c", "-f", "raw", "-O", "qcow2", "-o", options, raw, path)
			checkDiskAgainstQEMU(t, path, "qcow2", false)
			qemuIO(t, path, "qcow2", guestWrites...) // next to clusters that are compressed
			checkDiskAgainstQEMU(t, path, "qcow2", false)
		})
	}
	t.Run("empty", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "image")
		qemuImg(t, "create", "-q", "-f", "qcow2", path, "5000192")
		checkDiskAgainstQEMU(t, path, "qcow2", false)
	})
}

// What a crash leaves reads as QEMU reads it: the writer did not come to clear the dirty bit, nor to count references.
func TestDirtyQCOW2(t *testing.T) {
	testservers.Require(t, "qemu")
	path := filepath.Join(t.TempDir(), "image")
	qemuImg(t, "create", "-q", "-f", "qcow2", "-o", "lazy_refcounts=on", path, "5M")
	exec.Command("qemu-io", "-f", "qcow2", "-c", "write -P 1 100k 300k", "-c", "flush", "-c", "abort", path).Run()
	if !strings.Contains(string(qemuImg(t, "info", "-f", "qcow2", "--output=json", path)), `"dirty-flag": true`) {
		t.Fatal("the image is not dirty")
	}
	checkDiskAgainstQEMU(t, path, "qcow2", false)
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
