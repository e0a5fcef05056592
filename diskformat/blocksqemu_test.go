package diskformat

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/diskformat/formattest"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// A farWrite is one of a byte to a range of a large disk.
type farWrite struct {
	at, n int64
	value byte
}

// Large disks cost no more than what is in them, and are right wherever something was written. What QEMU would read is not
// compared: it looks at every block, for minutes.
func TestLargeBlockDisks(t *testing.T) {
	testservers.Require(t, "qemu")
	for _, tt := range []struct {
		options string
		size    int64
	}{
		{"vmdk", 3 << 40}, {"vmdk -o subformat=streamOptimized", 3 << 40}, {"vpc -o force_size=on", 2040<<30 - 1<<20},
		{"vhdx", 3 << 40}, {"vhdx", 64 << 40}, {"vhdx -o block_size=1M", 3 << 40}, {"vdi", 3 << 40},
	} {
		t.Run(fmt.Sprintf("%s of %d GiB", tt.options, tt.size>>30), func(t *testing.T) {
			t.Parallel()
			made := strings.Fields(tt.options)
			path := filepath.Join(t.TempDir(), "image")
			writes := []farWrite{{tt.size - 512, 512, 1}, {tt.size/2 - 4096, 64 << 10, 2}, {4<<30 - 512, 1024, 3}, {2<<30 - 512, 128 << 10, 4}, {0, 512, 5}}
			if strings.Contains(tt.options, "streamOptimized") {
				raw := filepath.Join(t.TempDir(), "raw")
				writeFar(t, "raw", raw, tt.size, writes)
				qemuImg(t, append(append([]string{"convert", "-f", "raw", "-O"}, made...), raw, path)...)
			} else {
				writeFar(t, tt.options, path, tt.size, writes)
			}
			d := openDisk(t, struct{ Source }{openSource(t, path)}, formattest.FromQEMU(made[0]))
			if d.Size() != tt.size {
				t.Fatalf("Size = %d, want %d", d.Size(), tt.size)
			}
			checkFar(t, d, writes)
		})
	}
}

// writeFar makes an image with QEMU.
func writeFar(t *testing.T, options, path string, size int64, writes []farWrite) {
	t.Helper()
	qemuImg(t, append(append([]string{"create", "-q", "-f"}, strings.Fields(options)...), path, fmt.Sprint(size))...)
	var commands []string
	for _, w := range writes {
		commands = append(commands, fmt.Sprintf("write -q -P %d %d %d", w.value, w.at, w.n))
	}
	qemuIO(t, path, strings.Fields(options)[0], commands...)
}

// checkFar reads what was written and what is around it, and both ends of each extent.
func checkFar(t *testing.T, d *Disk, writes []farWrite) {
	t.Helper()
	const around = 1 << 20
	var places []int64
	for _, w := range writes {
		places = append(places, w.at-around, w.at, w.at+w.n)
	}
	var data int64
	for _, e := range extentsOf(t, d, 0, d.Size()) {
		data += e.Length
		places = append(places, e.Offset-around, e.Offset, e.Offset+e.Length-around, e.Offset+e.Length)
	}
	if data == 0 || data > 1<<30 {
		t.Errorf("%d bytes are data, of which few were written", data)
	}
	got, want := make([]byte, around), make([]byte, around)
	for _, at := range places {
		at = max(0, min(at, d.Size()-around))
		clear(want)
		for _, w := range writes {
			if begin, end := max(at, w.at), min(at+around, w.at+w.n); begin < end {
				copy(want[begin-at:end-at], bytes.Repeat([]byte{w.value}, around))
			}
		}
		if n, err := d.ReadAt(t.Context(), got, at); n != around || err != nil || !bytes.Equal(got, want) {
			t.Fatalf("ReadAt(%d, %d) = %d, %v, equal: %v", at, around, n, err, bytes.Equal(got, want))
		}
	}
}
