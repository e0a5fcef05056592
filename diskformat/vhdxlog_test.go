package diskformat

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/vitrine-image/vitrine/diskformat/formattest"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// The log of a VHDX is replayed as its specification says, or the image is refused.
func TestVHDXLog(t *testing.T) {
	type entries = []formattest.LogEntry
	content := formattest.Content(2, 1<<20, 512)
	broken := func(entry []byte) { entry[0] = 'x' }
	tooMany := slices.Repeat([]formattest.LogChange{{Offset: 4096, Zeros: 4096}}, vhdxLogChanges+1)
	for _, tt := range []struct {
		name string
		at   int // where in the log the entries begin
		edit func(e entries)
		want error // nil when the content is right
	}{
		{"as it is", 0, nil, nil},
		{"in the middle", 4096 * 33, nil, nil},
		{"entry that goes on at the beginning", formattest.VHDXLogSize - 4096*3, nil, nil},
		{"all but the first at the beginning", formattest.VHDXLogSize - 4096*2, nil, nil},
		{"newest not written whole", 0, func(e entries) { e[2].Edit = broken }, nil},
		{"newest older than the one before", 0, func(e entries) { e[2].Sequence = 6 }, nil},
		{"newest not the next", 0, func(e entries) { e[2].Sequence = 10 }, nil},
		{"newest of another log", 0, func(e entries) { e[2].Edit = func(p []byte) { p[32] = 0 } }, nil},
		{"newest with unaligned changes", 0, func(e entries) { e[2].Changes = []formattest.LogChange{{Offset: 1, Zeros: 4096}} }, nil},
		{"newest with unaligned zeros", 0, func(e entries) { e[2].Changes = []formattest.LogChange{{Offset: formattest.VHDXBlocks, Zeros: 100}} }, nil},
		{"newest with unknown changes", 0, func(e entries) {
			e[2].Changes = []formattest.LogChange{{Offset: formattest.VHDXBlocks, Zeros: 4096}}
			e[2].Edit = func(p []byte) { p[64] = 'Z' }
		}, nil},
		{"newest with data of another entry", 0, func(e entries) {
			e[2].Changes = []formattest.LogChange{{Offset: formattest.VHDXBlocks, Data: make([]byte, 4096)}}
			e[2].Edit = func(p []byte) { p[4092+4096]++ }
		}, nil},
		{"newest with more changes than place", 0, func(e entries) { e[2].Edit = func(p []byte) { binary.LittleEndian.PutUint32(p[24:], 127) } }, nil},
		{"newest longer than the log", 0, func(e entries) {
			e[2].Edit = func(p []byte) { binary.LittleEndian.PutUint32(p[8:], formattest.VHDXLogSize+4096) }
		}, nil},
		{"newest of no length", 0, func(e entries) { e[2].Edit = func(p []byte) { binary.LittleEndian.PutUint32(p[8:], 0) } }, nil},
		{"sequence of 0", 0, func(e entries) { e[0].Sequence, e[1].Sequence, e[2].Sequence = 0, 1, 2 }, nil},
		{"file that is to grow", 0, func(e entries) { e[2].Last += 4 << 20 }, nil},
		{"nothing whole", 0, func(e entries) { e[0].Edit, e[1].Edit, e[2].Edit = broken, broken, broken }, ErrCorrupt},
		{"no entry that is its own tail", 0, func(e entries) { e[0].Tail, e[1].Tail, e[2].Tail = 4096, 4096, 4096 }, ErrCorrupt},
		{"file that was cut", 0, func(e entries) { e[2].Flushed++ }, ErrCorrupt},
		{"file that is to be endless", 0, func(e entries) { e[2].Last = 1 << 63 }, ErrCorrupt},
		{"change behind the end", 0, func(e entries) { e[2].Changes = []formattest.LogChange{{Offset: 1 << 40, Zeros: 4096}} }, ErrCorrupt},
		{"change of nearly everything", 0, func(e entries) { e[2].Changes = []formattest.LogChange{{Offset: 4096, Zeros: 1<<63 - 4096}} }, ErrCorrupt},
		{"change of the header", 0, func(e entries) { e[2].Changes = []formattest.LogChange{{Offset: 64 << 10, Zeros: 128 << 10}} }, ErrUnsupported},
		{"too many changes", 0, func(e entries) { e[2].Changes = tooMany }, ErrUnsupported},
	} {
		t.Run(tt.name, func(t *testing.T) {
			image := formattest.LoggedVHDX(content, tt.at, tt.edit)
			if tt.want == nil {
				checkDisk(t, openDisk(t, bytesSource(image), VHDX), content)
			} else if _, err := Open(t.Context(), bytesSource(image), VHDX, NewCache(1<<20)); !errors.Is(err, tt.want) {
				t.Errorf("Open = %v, want %v", err, tt.want)
			}
		})
	}
}

// A log may change what guests see, too.
func TestVHDXLogOfData(t *testing.T) {
	content := formattest.Content(2, 1<<20, 512)
	at := bytes.Index(formattest.LoggedVHDX(content, 0, nil), content[:4096])
	written := bytes.Repeat([]byte{9}, 4096)
	image := formattest.LoggedVHDX(content, 0, func(e []formattest.LogEntry) {
		e[2].Changes = []formattest.LogChange{{Offset: uint64(at), Data: written}}
	})
	copy(content, written)
	checkDisk(t, openDisk(t, bytesSource(image), VHDX), content)
}

// A log that is not where it may be, or of what nobody knows, is not ignored.
func TestVHDXLogElsewhere(t *testing.T) {
	for _, tt := range []struct {
		name         string
		version      uint16
		length, grow uint32
		off          uint64
		want         error
	}{
		{"of version 1", 1, 1 << 20, 0, 3 << 20, ErrUnsupported},
		{"too long", 0, 32 << 20, 32 << 20, 3 << 20, ErrUnsupported},
		{"of no length", 0, 0, 0, 3 << 20, ErrCorrupt},
		{"of half a length", 0, 1 << 19, 0, 3 << 20, ErrCorrupt},
		{"unaligned", 0, 1 << 20, 0, 3<<20 + 4096, ErrCorrupt},
		{"over the headers", 0, 1 << 20, 0, 0, ErrCorrupt},
		{"behind the end", 0, 1 << 20, 0, 1 << 40, ErrCorrupt},
		{"far behind the end", 0, 1 << 20, 0, -1 << 20 & (1<<64 - 1), ErrCorrupt},
		{"partly behind the end", 0, 8 << 20, 0, 3 << 20, ErrCorrupt},
	} {
		t.Run(tt.name, func(t *testing.T) {
			image := append(formattest.LoggedVHDX(formattest.Content(2, 1<<20, 0), 0, nil), make([]byte, tt.grow)...)
			for _, at := range []int{64 << 10, 128 << 10} {
				h := image[at:][:4096]
				binary.LittleEndian.PutUint16(h[64:], tt.version)
				binary.LittleEndian.PutUint32(h[68:], tt.length)
				binary.LittleEndian.PutUint64(h[72:], tt.off)
				sumVHDX(h)
			}
			if _, err := Open(t.Context(), bytesSource(image), VHDX, NewCache(1<<20)); !errors.Is(err, tt.want) {
				t.Errorf("Open = %v, want %v", err, tt.want)
			}
		})
	}
}

func sumVHDX(p []byte) {
	clear(p[4:8])
	binary.LittleEndian.PutUint32(p[4:], crc32.Checksum(p, castagnoli))
}

// Entries that overlap, each of which would have to be summed up, do not keep anybody busy.
func TestTangledVHDXLog(t *testing.T) {
	image := formattest.LoggedVHDX(formattest.Content(2, 1<<20, 0), 0, nil)
	header := make([]byte, 64)
	copy(header, "loge")
	binary.LittleEndian.PutUint32(header[8:], formattest.VHDXLogSize)
	binary.LittleEndian.PutUint64(header[16:], 1)
	copy(header[32:], formattest.VHDXLogID)
	for at := 0; at < formattest.VHDXLogSize; at += 4096 {
		copy(image[formattest.VHDXLog+at:], header)
	}
	if _, err := Open(t.Context(), bytesSource(image), VHDX, NewCache(1<<20)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("Open = %v, want %v", err, ErrCorrupt)
	}
}

// Later changes win, whatever they overlap.
func TestReplayedChanges(t *testing.T) {
	const sectors = 64
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		file := make([]byte, sectors*vhdxLogSector)
		for i := range file {
			file[i] = byte(i>>12 + i)
		}
		r := &replayed{src: bytesSource(bytes.Clone(file)), size: int64(len(file)) + 8192}
		want := append(bytes.Clone(file), make([]byte, 8192)...)
		for range random.IntN(40) {
			c := logChange{off: random.Int64N(sectors) * vhdxLogSector, n: vhdxLogSector, data: -1}
			if to := want[c.off:][:vhdxLogSector]; random.IntN(2) == 0 {
				c.data, c.lead, c.trail = random.IntN(sectors)*vhdxLogSector, [8]byte{1, 2}, [4]byte{3}
				copy(to, file[c.data:])
				copy(to, c.lead[:])
				copy(to[4092:], c.trail[:])
			} else {
				c.n *= 1 + random.Int64N(9)
				clear(want[c.off:min(int64(len(want)), c.off+c.n)])
			}
			r.put(c)
		}
		for range 20 {
			off := random.IntN(len(want))
			p := make([]byte, 1+random.IntN(len(want)-off))
			if n, err := r.ReadAt(t.Context(), p, int64(off)); n != len(p) || err != nil || !bytes.Equal(p, want[off:][:n]) {
				t.Fatalf("ReadAt(%d, %d) = %d, %v, equal: %v", off, len(p), n, err, bytes.Equal(p, want[off:][:len(p)]))
			}
		}
	}
}

// What is read of a VHDX with a log is what QEMU reads once it has replayed it.
func TestVHDXLogAgainstQEMU(t *testing.T) {
	testservers.Require(t, "qemu")
	path := filepath.Join(t.TempDir(), "image")
	qemuImg(t, "create", "-q", "-f", "vhdx", "-o", "block_size=1M", path, "20M")
	qemuIO(t, path, "vhdx", formattest.GuestWrites...)
	raw := path + ".raw"
	qemuImg(t, "convert", "-f", "vhdx", "-O", "raw", path, raw)
	image, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(raw)
	if err != nil {
		t.Fatal(err)
	}

	v := newVHDX()
	if err := examine(t.Context(), v, bytesSource(image)); err != nil || len(v.problems) > 0 {
		t.Fatal(err, v.problems)
	}
	table := image[v.regions.blocks.off:][:4096]
	entry := formattest.LogEntry{Sequence: 1, Flushed: uint64(len(image)), Last: uint64(len(image)),
		Changes: []formattest.LogChange{{Offset: v.regions.blocks.off, Data: bytes.Clone(table)}}}
	clear(table)
	copy(image[v.log().off:], entry.Bytes())
	for _, at := range []int{64 << 10, 128 << 10} {
		copy(image[at+48:], formattest.VHDXLogID)
		sumVHDX(image[at:][:vhdxHeader])
	}
	checkDisk(t, openDisk(t, bytesSource(image), VHDX), want)

	if err := os.WriteFile(path, image, 0o600); err != nil {
		t.Fatal(err)
	}
	qemuImg(t, "check", "-q", "-r", "all", "-f", "vhdx", path)
	qemuImg(t, "convert", "-f", "vhdx", "-O", "raw", path, raw)
	if got, err := os.ReadFile(raw); err != nil || !bytes.Equal(got, want) {
		t.Errorf("QEMU reads %d bytes, equal: %v (%v)", len(got), bytes.Equal(got, want), err)
	}
}
