package diskformat

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"testing"

	"github.com/vitrine-image/vitrine/diskformat/formattest"
)

// Images made by hand are read as what they were made from; what qemu-img writes is in other tests.
func TestDisksMadeByHand(t *testing.T) {
	for _, s := range formattest.Disks() {
		t.Run(s.Name, func(t *testing.T) {
			checkDisk(t, openDisk(t, bytesSource(s.Data), s.Format), s.Content)
			checkDisk(t, openDisk(t, sparseSource{s.Data}, s.Format), s.Content)
		})
	}
}

// What contradicts itself is refused, or those parts of it are that do, and soon.
func TestHostileBlocks(t *testing.T) {
	disks := make(map[string]formattest.Disk)
	for _, d := range formattest.Disks() {
		disks[d.Name] = d
	}
	var (
		put16, put32, put64 = binary.LittleEndian.PutUint16, binary.LittleEndian.PutUint32, binary.LittleEndian.PutUint64
		big32               = binary.BigEndian.PutUint32
		packedAt            = func(b []byte, grain int) []byte {
			return b[512*binary.LittleEndian.Uint32(b[formattest.VMDKTable+4*grain:]):]
		}
		directory = func(b []byte, sector uint64) { put64(b[56:], sector); put64(b[len(b)-1024+56:], sector) }
		vhdHeader = func(b []byte) { formattest.Summed(b[512:1536], 36) }
	)
	const whole, part, open = "", "part", "open" // what of the disk can be read
	for _, tt := range []struct {
		name, disk, fails string
		edit              func(b []byte)
	}{
		{"directory in the header", "VMDK", open, func(b []byte) { put64(b[56:], 0) }},
		{"directory behind the end", "VMDK", open, func(b []byte) { put64(b[56:], uint64(len(b)/512)) }},
		{"directory far away", "VMDK", open, func(b []byte) { put64(b[56:], 1<<62) }},
		{"directory that is a table", "VMDK", part, func(b []byte) { put64(b[56:], formattest.VMDKTable/512) }},
		{"table behind the end", "VMDK", part, func(b []byte) { put32(b[formattest.VMDKDirectory:], math.MaxUint32) }},
		{"table at the end", "VMDK", part, func(b []byte) { put32(b[formattest.VMDKDirectory:], uint32(len(b)/512-1)) }},
		{"table that is the directory", "VMDK", whole, func(b []byte) { put32(b[formattest.VMDKDirectory:], formattest.VMDKDirectory/512) }},
		{"no table", "VMDK", whole, func(b []byte) { put32(b[formattest.VMDKDirectory:], 0) }},
		{"grain behind the end", "VMDK", part, func(b []byte) { put32(b[formattest.VMDKTable+4*3:], math.MaxUint32) }},
		{"grain partly behind the end", "VMDK", part, func(b []byte) { put32(b[formattest.VMDKTable+4*3:], uint32(len(b)/512-1)) }},
		{"grain that is the header", "VMDK", whole, func(b []byte) { put32(b[formattest.VMDKTable+4*3:], 1) }},
		{"all grains are one", "VMDK", whole, func(b []byte) {
			copy(b[formattest.VMDKTable+4:][:4*15], bytes.Repeat(b[formattest.VMDKTable:][:4], 15))
		}},
		{"directory of the footer far away", "stream-optimized VMDK", open, func(b []byte) { directory(b[:len(b):len(b)], 1<<62); put64(b[56:], math.MaxUint64) }},
		{"grain of no bytes", "stream-optimized VMDK", part, func(b []byte) { put32(packedAt(b, 3)[8:], 0) }},
		{"grain of many bytes", "stream-optimized VMDK", part, func(b []byte) { put32(packedAt(b, 3)[8:], math.MaxUint32) }},
		{"grain that reaches into the next one", "stream-optimized VMDK", part, func(b []byte) { put32(packedAt(b, 3)[8:], 4<<10) }},
		{"grain that is cut short", "stream-optimized VMDK", part, func(b []byte) { put32(packedAt(b, 3)[8:], 20) }},
		{"grain that is no zlib", "stream-optimized VMDK", part, func(b []byte) { put16(packedAt(b, 3)[12:], 0) }},
		{"grain with another checksum", "stream-optimized VMDK", part, func(b []byte) {
			grain := packedAt(b, 3)
			put32(grain[12+binary.LittleEndian.Uint32(grain[8:])-4:], 0)
		}},
		{"grain that grows", "stream-optimized VMDK", part, func(b []byte) {
			put32(packedAt(b, 15)[8:], uint32(copy(packedAt(b, 15)[12:], formattest.Deflated(make([]byte, 1<<16)))))
		}},
		{"grain behind the end", "stream-optimized VMDK", part, func(b []byte) { put32(b[formattest.VMDKTable+4*3:], math.MaxUint32) }},
		{"grain without a marker", "stream-optimized VMDK", part, func(b []byte) { put32(b[formattest.VMDKTable+4*3:], uint32(len(b)/512)) }},
		{"all grains are one", "stream-optimized VMDK", whole, func(b []byte) {
			copy(b[formattest.VMDKTable+4:][:4*16], bytes.Repeat(b[formattest.VMDKTable:][:4], 16))
		}},
		{"table far away", "dynamic VHD", open, func(b []byte) { put64(b[512+16:], math.MaxUint64); vhdHeader(b) }},
		{"table partly behind the end", "dynamic VHD", open, func(b []byte) {
			binary.BigEndian.PutUint64(b[512+16:], uint64(len(b)-4))
			vhdHeader(b)
		}},
		{"block behind the end", "dynamic VHD", part, func(b []byte) { big32(b[formattest.VHDTable+4*3:], math.MaxUint32-1) }},
		{"block partly behind the end", "dynamic VHD", part, func(b []byte) { big32(b[formattest.VHDTable+4*3:], uint32(len(b)/512-2)) }},
		{"block that is the footer", "dynamic VHD", whole, func(b []byte) { big32(b[formattest.VHDTable+4*3:], 0) }},
		{"table behind the end", "VDI", open, func(b []byte) { put32(b[340:], math.MaxUint32) }},
		{"block behind the end", "VDI", part, func(b []byte) { put32(b[formattest.VDITable+4*3:], vdiNoBlock-1) }},
		{"block at the end", "VDI", part, func(b []byte) { put32(b[formattest.VDITable+4*3:], uint32(len(b)-1024)/4096) }},
		{"blocks behind the end", "VDI", part, func(b []byte) { put32(b[344:], math.MaxUint32) }},
		{"block of which nothing is known", "VHDX", part, func(b []byte) { b[formattest.VHDXBlocks+8*3] = 4 }},
		{"block that is partly there", "VHDX", part, func(b []byte) { b[formattest.VHDXBlocks+8*3] = 7 }},
		{"block that is the header", "VHDX", part, func(b []byte) { put64(b[formattest.VHDXBlocks+8*3:], 6) }},
		{"block far away", "VHDX", part, func(b []byte) { put64(b[formattest.VHDXBlocks+8*3:], math.MaxUint64&^1) }},
		{"block behind the end", "VHDX", part, func(b []byte) { put64(b[formattest.VHDXBlocks+8*3:], uint64(len(b))|6) }},
		{"block that is the table", "VHDX", whole, func(b []byte) { put64(b[formattest.VHDXBlocks+8*3:], formattest.VHDXBlocks|6) }},
	} {
		t.Run(tt.disk+": "+tt.name, func(t *testing.T) {
			d := disks[tt.disk]
			image := bytes.Clone(d.Data)
			tt.edit(image)
			fails := whole
			err := usesLittle(t, func() error {
				opened, err := Open(t.Context(), bytesSource(image), d.Format, NewCache(1<<20))
				if err != nil {
					fails = open
					return err
				}
				defer opened.Close()
				if err := touch(t, opened); err != nil {
					fails = part
					return err
				}
				return nil
			})
			if fails != tt.fails || err != nil && !errors.Is(err, ErrCorrupt) {
				t.Errorf("fails: %q with %v, want %q", fails, err, tt.fails)
			}
		})
	}
}

// A table whose entries all lead to one place can be read, but nobody walks through it for ever.
func TestOverlappingBlocks(t *testing.T) {
	content := formattest.Content(1, 4<<10, 0)
	image := formattest.SparseVMDK(content)
	binary.LittleEndian.PutUint64(image[12:], 512*8)
	copy(image[formattest.VMDKTable:], bytes.Repeat(image[formattest.VMDKTable:][:4], 512))
	d := openDisk(t, bytesSource(image), VMDK)
	got := make([]byte, d.Size())
	if n, err := d.ReadAt(t.Context(), got, 0); err != nil || !bytes.Equal(got, bytes.Repeat(content, 512)) {
		t.Errorf("ReadAt = %d, %v", n, err)
	}
	for e, err := range d.Extents(t.Context(), 0, d.Size()) {
		if e.Length > 0 && e.Length <= int64(len(image))*(maxSharing+1) {
			continue
		}
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("Extents yields %v, %v", e, err)
		}
		return
	}
	t.Error("Extents ends without an error")
}
