package diskformat

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/vitrine-image/vitrine/diskformat/formattest"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// writeQCOW2 writes a disk to a file and checks how long that is.
func writeQCOW2(t *testing.T, d *Disk, clusterBits int, path string) {
	t.Helper()
	q, err := newQCOW2Writer(t.Context(), d, clusterBits)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := q.Stream(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	if info, err := f.Stat(); err != nil || info.Size() != q.Size() {
		t.Errorf("it wrote %d bytes, %v, and promised %d", info.Size(), err, q.Size())
	}
}

// What is written is what QEMU calls sound, and the same disk; it has the clusters that have data, and no more.
func TestQCOW2Writer(t *testing.T) {
	testservers.Require(t, "qemu")
	dir := t.TempDir()
	mixed := formattest.Mixed(formattest.MixedSize)
	for name, tt := range map[string]struct {
		clusterBits int
		data        []byte
	}{
		"mixed":           {qcow2WriteBits, mixed},
		"many tables":     {9, slices.Concat(mixed, mixed)}, // and reference counts in many blocks
		"no whole sector": {qcow2WriteBits, mixed[:4000001]},
		"one byte":        {qcow2WriteBits, []byte{7}},
		"nothing":         {qcow2WriteBits, nil},
		"zeros":           {qcow2WriteBits, make([]byte, 1<<20)},
	} {
		data := tt.data
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw, path := filepath.Join(dir, name+".raw"), filepath.Join(dir, name+".qcow2")
			if err := os.WriteFile(raw, data, 0o600); err != nil {
				t.Fatal(err)
			}
			src := sparseSource{data}
			writeQCOW2(t, openDisk(t, src, Raw), tt.clusterBits, path)
			qemuImg(t, "check", "-q", "-f", "qcow2", path)
			qemuImg(t, "compare", "-q", "-f", "raw", "-F", "qcow2", raw, path)
			whole := append(bytes.Clone(data), make([]byte, -len(data)&511)...)
			d := openDisk(t, openSource(t, path), QCOW2)
			if len(data) > 0 {
				checkDisk(t, d, whole)
			}
			again := filepath.Join(dir, name+".again")
			writeQCOW2(t, d, tt.clusterBits, again)
			first, _ := os.ReadFile(path)
			if second, err := os.ReadFile(again); err != nil || !bytes.Equal(first, second) {
				t.Errorf("written again from what was written, it is not the same: %v", err)
			}
		})
	}
}

// A disk that is far larger than what it holds is written as little as that.
func TestQCOW2WriterOfLargeDisks(t *testing.T) {
	testservers.Require(t, "qemu")
	for _, size := range []string{"40T", "3P"} { // the second one takes larger clusters
		t.Run(size, func(t *testing.T) {
			source, path := filepath.Join(t.TempDir(), "source"), filepath.Join(t.TempDir(), "written")
			qemuImg(t, "create", "-q", "-f", "qcow2", "-o", "cluster_size=2M", source, size)
			qemuIO(t, source, "qcow2", "write -P 1 0 64k", "write -P 2 600M 3M", "write -P 3 39T 1k")
			d := openDisk(t, struct{ Source }{openSource(t, source)}, QCOW2)
			writeQCOW2(t, d, qcow2WriteBits, path)
			qemuImg(t, "check", "-q", "-f", "qcow2", path)
			written := openDisk(t, struct{ Source }{openSource(t, path)}, QCOW2)
			if got, want := extentsOf(t, written, 0, written.Size()), extentsOf(t, d, 0, d.Size()); !slices.Equal(got, want) || written.Size() != d.Size() {
				t.Errorf("extents %v, want %v", got, want)
			}
			for _, e := range extentsOf(t, d, 0, d.Size()) {
				got, want := make([]byte, e.Length), make([]byte, e.Length)
				_, err := d.ReadAt(t.Context(), want, e.Offset)
				_, err2 := written.ReadAt(t.Context(), got, e.Offset)
				if err := errors.Join(err, err2); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%v: %v, equal: %v", e, err, bytes.Equal(got, want))
				}
			}
		})
	}
}

// A failing writer, a failing disk and a ctx that ends stop it.
func TestQCOW2WriterFails(t *testing.T) {
	file, _ := formattest.QCOW2Disk(formattest.QCOW2Options{ClusterBits: 16})
	d := openDisk(t, bytesSource(file), QCOW2)
	q, err := NewQCOW2Writer(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	failure := errors.New("failed")
	for n := int64(0); n < q.Size(); n += 32 << 10 {
		if err := q.Stream(t.Context(), &failingWriter{n, failure}); err != failure {
			t.Errorf("Stream to what fails after %d bytes = %v", n, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := q.Stream(ctx, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("Stream = %v", err)
	}
	if _, err := NewQCOW2Writer(ctx, d); !errors.Is(err, context.Canceled) {
		t.Errorf("NewQCOW2Writer = %v", err)
	}
	if _, err := NewQCOW2Writer(t.Context(), &Disk{size: 1<<63 - 1}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("NewQCOW2Writer of the largest disk = %v", err)
	}
	bad := openDisk(t, bytesSource(formattest.Put64(file, formattest.QCOW2L2<<16, 1<<40)), QCOW2)
	if _, err := NewQCOW2Writer(t.Context(), bad); !errors.Is(err, ErrCorrupt) {
		t.Errorf("NewQCOW2Writer of a damaged disk = %v", err)
	}
}

// A failingWriter takes so many bytes.
type failingWriter struct {
	left int64
	err  error
}

func (w *failingWriter) Write(p []byte) (int, error) {
	if w.left -= int64(len(p)); w.left < 0 {
		return 0, w.err
	}
	return len(p), nil
}
