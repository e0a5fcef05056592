package diskformat

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vitrine-image/vitrine/diskformat/formattest"
)

// qcow2Kinds are small images of every kind.
var qcow2Kinds = map[string]formattest.QCOW2Options{
	"version 2":         {Version: 2},
	"version 3":         {},
	"zstd":              {Zstd: true},
	"clusters of 4 KiB": {ClusterBits: 12},
	"extended":          {Extended: true},
	"extended, zstd":    {Extended: true, Zstd: true, ClusterBits: 15},
}

func TestQCOW2Disk(t *testing.T) {
	for name, options := range qcow2Kinds {
		t.Run(name, func(t *testing.T) {
			file, want := formattest.QCOW2Disk(options)
			checkDisk(t, openDisk(t, bytesSource(file), QCOW2), want)
			file = append(file, make([]byte, 1<<20)...) // whatever stands behind is no part of it
			checkDisk(t, openDisk(t, bytesSource(file), QCOW2), want)
		})
	}
}

// A hostileQCOW2 is an image that contradicts itself.
type hostileQCOW2 struct {
	name    string
	options formattest.QCOW2Options
	edit    func(f []byte) []byte // what it makes of an image that does not
	opens   bool
	reads   bool // the first cluster
}

func (h hostileQCOW2) file() []byte {
	file, _ := formattest.QCOW2Disk(h.options)
	return h.edit(file)
}

func hostileQCOW2s(t testing.TB) []hostileQCOW2 {
	const size = 512 // of a cluster
	put64 := binary.BigEndian.PutUint64
	l2 := func(f []byte, cluster int, e uint64) { put64(f[formattest.QCOW2L2*size+cluster*8:], e) }
	// packedEntry leads to n sectors of compressed data.
	packedEntry := func(at, n int) uint64 { return 1<<62 | uint64(n-1)<<61 | uint64(at) }
	bomb := deflated(t, make([]byte, 1<<20), flate.BestCompression)
	var smallest formattest.QCOW2Options
	return []hostileQCOW2{
		{"nothing but a header", smallest, func(f []byte) []byte { return f[:112] }, false, false},
		{"a first table of 2^32 entries", smallest, func(f []byte) []byte { return formattest.Put32(f, 36, 1<<32-1) }, false, false},
		{"a first table that is too short", smallest, func(f []byte) []byte { return formattest.Put32(f, 36, 0) }, false, false},
		{"a first table within a cluster", smallest, func(f []byte) []byte { return formattest.Put64(f, 40, 520) }, false, false},
		{"a first table behind the end", smallest, func(f []byte) []byte { return formattest.Put64(f, 40, 1<<40) }, false, false},
		{"a first table at a negative offset", smallest, func(f []byte) []byte { return formattest.Put64(f, 40, 1<<64-512) }, false, false},
		{"a first table at the end", smallest, func(f []byte) []byte { return formattest.Put64(f, 40, uint64(len(f)+511)/512*512) }, false, false},
		{"the largest disk", smallest, func(f []byte) []byte { return formattest.Put64(f, 24, 1<<63-1) }, false, false},
		{"a larger disk", smallest, func(f []byte) []byte { return formattest.Put64(f, 24, 1<<63) }, false, false},
		{"a first table that is all the same", smallest, func(f []byte) []byte {
			const entries = 4 << 20
			f = slices.Grow(f, entries*8+size)
			f = f[:(len(f)+size-1)/size*size]
			put64(f[24:], entries*size*size/8)
			binary.BigEndian.PutUint32(f[36:], entries)
			put64(f[40:], uint64(len(f)))
			return append(f, bytes.Repeat([]byte{0, 0, 0, 0, 0, 0, 4, 0}, entries)...) // they lead to 1024
		}, false, false},
		{"clusters of 256 bytes", smallest, func(f []byte) []byte { return formattest.Put32(f, 20, 8) }, false, false},
		{"clusters of 4 MiB", smallest, func(f []byte) []byte { return formattest.Put32(f, 20, 22) }, false, false},
		{"parts of 16 bytes", smallest, func(f []byte) []byte { return formattest.Put64(f, 72, 1<<4) }, false, false},
		{"encryption", smallest, func(f []byte) []byte { return formattest.Put32(f, 32, 2) }, false, false},
		{"a second table within a cluster", formattest.QCOW2Options{ClusterBits: 12}, func(f []byte) []byte {
			return formattest.Put64(f, formattest.QCOW2L1<<12, formattest.QCOW2L2<<12+512)
		}, true, false},
		{"a second table behind the end", smallest, func(f []byte) []byte { return formattest.Put64(f, size, 1<<40) }, true, false},
		{"a second table that is the first one", smallest, func(f []byte) []byte { return formattest.Put64(f, size, size) }, true, true},
		{"a second table that is the header", smallest, func(f []byte) []byte { return formattest.Put64(f, size, 1<<63) }, true, true}, // nothing there, that is
		{"a cluster within another one", formattest.QCOW2Options{ClusterBits: 12}, func(f []byte) []byte {
			return formattest.Put64(f, formattest.QCOW2L2<<12, formattest.QCOW2Data<<12+512)
		}, true, false},
		{"a cluster behind the end", smallest, func(f []byte) []byte { l2(f, 0, 1<<40); return f }, true, false},
		{"a cluster at the end of all files", smallest, func(f []byte) []byte { l2(f, 0, 1<<56-512); return f }, true, false},
		{"a cluster that is the header", smallest, func(f []byte) []byte { put64(f[size:], 0x400); l2(f, 0, 1<<63|512); return f }, true, true},
		{"clusters that are all the same", smallest, func(f []byte) []byte {
			for i := range formattest.QCOW2Clusters {
				l2(f, i, 1536)
			}
			return f
		}, true, true},
		{"a zero cluster in version 2", formattest.QCOW2Options{Version: 2}, func(f []byte) []byte { l2(f, 0, 1); return f }, true, false},
		{"compressed data behind the end", smallest, func(f []byte) []byte { l2(f, 0, packedEntry(1<<40, 1)); return f }, true, false},
		{"compressed data at the end", smallest, func(f []byte) []byte { l2(f, 0, packedEntry(len(f), 1)); return f }, true, false},
		{"compressed data that is none", smallest, func(f []byte) []byte {
			l2(f, 0, packedEntry(len(f), 2))
			return append(f, bytes.Repeat([]byte{0xff}, 600)...)
		}, true, false},
		{"compressed data that is none of zstd", formattest.QCOW2Options{Zstd: true}, func(f []byte) []byte {
			l2(f, 0, packedEntry(len(f), 2))
			return append(f, bytes.Repeat([]byte{0xff}, 600)...)
		}, true, false},
		{"compressed data that ends early", smallest, func(f []byte) []byte {
			l2(f, 0, packedEntry(len(f), 1))
			return append(f, 3, 0) // a block that is the last one, with nothing in it
		}, true, false},
		{"frames of zstd without anything", formattest.QCOW2Options{Zstd: true}, func(f []byte) []byte {
			l2(f, 0, packedEntry(len(f), 2))
			return append(f, bytes.Repeat([]byte{0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0}, 100)...)
		}, true, false},
		{"a frame of zstd that claims 2^63 bytes", formattest.QCOW2Options{Zstd: true}, func(f []byte) []byte {
			l2(f, 0, packedEntry(len(f), 2))
			return append(f, 0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 0, 0, 0, 0x80, 1, 0, 0)
		}, true, false},
		{"a bomb", smallest, func(f []byte) []byte {
			l2(f, 0, packedEntry(len(f), 2))
			return append(f, bomb...)
		}, true, true}, // of the size of a cluster
		{"parts that are zero and are not", formattest.QCOW2Options{Extended: true}, func(f []byte) []byte {
			return formattest.Put64(f, formattest.QCOW2L2<<14+8, 1<<32|1)
		}, true, false},
		{"parts of nothing", formattest.QCOW2Options{Extended: true}, func(f []byte) []byte {
			return formattest.Put64(f, formattest.QCOW2L2<<14, 0)
		}, true, false},
	}
}

// What contradicts itself is refused, or those parts of it are that do, and soon. Nothing is taken for granted that a file
// says of its size.
func TestHostileQCOW2(t *testing.T) {
	for _, tt := range hostileQCOW2s(t) {
		t.Run(tt.name, func(t *testing.T) {
			file := tt.file()
			err := usesLittle(t, func() error {
				d, err := Open(t.Context(), bytesSource(file), QCOW2, NewCache(1<<20))
				if (err == nil) != tt.opens {
					t.Errorf("Open = %v, want it to open: %v", err, tt.opens)
				}
				if err != nil {
					return err
				}
				defer d.Close()
				_, err = d.ReadAt(t.Context(), make([]byte, 512), 0)
				if (err == nil) != tt.reads {
					t.Errorf("ReadAt = %v, want it to read: %v", err, tt.reads)
				}
				return errors.Join(err, touch(t, d))
			})
			if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrUnsupported) {
				t.Errorf("the error %v does not say that it is the image's fault", err)
			}
		})
	}
}

// Of an image that is cut short the rest is readable, or it is refused.
func TestTruncatedQCOW2(t *testing.T) {
	file, disk := formattest.QCOW2Disk(formattest.QCOW2Options{})
	readable := 0
	for n := range len(file) {
		d, err := Open(t.Context(), bytesSource(file[:n]), QCOW2, NewCache(1<<20))
		if err != nil {
			continue
		}
		for at := int64(0); at < d.Size(); at += 512 {
			p := make([]byte, 512)
			_, err := d.ReadAt(t.Context(), p, at)
			right := bytes.HasPrefix(disk[at:], bytes.TrimRight(p, "\x00")) // QEMU fills up what is missing of a cluster
			if err != nil && !errors.Is(err, ErrCorrupt) || err == nil && !right {
				t.Fatalf("cut after %d bytes, %d reads as %q, %v", n, at, p, err)
			}
		}
		readable++
	}
	if want := len(file) - 3*512; readable < want {
		t.Errorf("%d truncated images are readable, want %d", readable, want)
	}
}

// touch reads the ends of a disk and walks through its extents.
func touch(t testing.TB, d *Disk) error {
	p := make([]byte, min(1<<20, d.Size()))
	for _, off := range []int64{0, d.Size() - 4096, d.Size() / 3} {
		n, err := d.ReadAt(t.Context(), p, max(0, off))
		if err != nil && err != io.EOF {
			return err
		}
		if n < min(len(p), int(d.Size()-max(0, off))) {
			t.Errorf("ReadAt(%d) = %d, %v", off, n, err)
		}
	}
	before := int64(-1)
	for e, err := range d.Extents(t.Context(), 0, d.Size()) {
		if err != nil {
			return err
		}
		if e.Offset <= before || e.Length <= 0 || e.Offset > d.Size()-e.Length {
			return fmt.Errorf("after %d comes the extent %v", before, e)
		}
		before = e.Offset + e.Length
	}
	return nil
}

// usesLittle checks that something takes 2 s of a processor and 64 MiB at the most.
func usesLittle(t *testing.T, something func() error) error {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := processorTime(t)
	err := something()
	took := processorTime(t) - start
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; took > 2*time.Second || used > 64<<20 {
		t.Errorf("it took %v and %d bytes", took, used)
	}
	return err
}

// processorTime is what this process has used, which does not depend on what else the machine does.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// Whatever the bytes are, they are refused or read, and nobody else is blamed.
func FuzzQCOW2Disk(f *testing.F) {
	for _, options := range qcow2Kinds {
		if options.ClusterBits <= 12 {
			file, _ := formattest.QCOW2Disk(options)
			f.Add(file)
		}
	}
	for _, h := range hostileQCOW2s(f) {
		if file := h.file(); len(file) < 1<<16 {
			f.Add(file)
		}
	}
	f.Fuzz(func(t *testing.T, file []byte) { checkAny(t, file, QCOW2) })
}

// Decompression fills what it is given, or fails.
func FuzzUnpack(f *testing.F) {
	f.Add([]byte{3, 0}, false)
	for _, s := range []bool{false, true} {
		file, _ := formattest.QCOW2Disk(formattest.QCOW2Options{Zstd: s})
		f.Add(file[6*512:], s)
	}
	f.Fuzz(func(t *testing.T, packed []byte, asZstd bool) {
		unpack := inflate
		if asZstd {
			unpack = unzstd
		}
		dst := bytes.Repeat([]byte{7}, 1000)
		if err := unpack(dst[:900:900], packed); err == nil && !bytes.Equal(dst[900:], bytes.Repeat([]byte{7}, 100)) {
			t.Error("it wrote behind its place")
		}
	})
}
