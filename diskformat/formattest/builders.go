// Package formattest builds disk images by hand: small ones that are what they say, and hostile ones, for the tests of
// everything that takes images. Start reading at Good and Hostile.
package formattest

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
)

var (
	le = binary.LittleEndian
	be = binary.BigEndian
)

// QCOW2 returns the header of an image of version 3 with clusters of 64 KiB, and nothing else.
func QCOW2(size uint64) []byte {
	h := QCOW2v2(size)
	be.PutUint32(h[4:], 3)
	be.PutUint32(h[96:], 4)
	be.PutUint32(h[100:], 112)
	return h
}

// QCOW2v2 is QCOW2 of version 2.
func QCOW2v2(size uint64) []byte {
	h := make([]byte, 112)
	copy(h, "QFI\xfb")
	be.PutUint32(h[4:], 2)
	be.PutUint32(h[20:], 16)
	be.PutUint64(h[24:], size)
	return h
}

// QCOW2Backing is QCOW2 with a backing file.
func QCOW2Backing(file string) []byte {
	h := append(QCOW2(1<<30), file...)
	be.PutUint64(h[8:], 112)
	be.PutUint32(h[16:], uint32(len(file)))
	return h
}

// QCOW2DataFile is QCOW2 with its data in an external file.
func QCOW2DataFile(file string) []byte {
	h := QCOW2(1 << 30)
	be.PutUint64(h[72:], 1<<2)
	ext := make([]byte, 8)
	be.PutUint32(ext, 0x44415441)
	be.PutUint32(ext[4:], uint32(len(file)))
	return append(append(h, ext...), file...)
}

// Put64 returns a copy of h with a big-endian number at the offset.
func Put64(h []byte, at int, value uint64) []byte {
	h = append([]byte(nil), h...)
	be.PutUint64(h[at:], value)
	return h
}

// Put32 is Put64 for 32 bits.
func Put32(h []byte, at int, value uint32) []byte {
	h = append([]byte(nil), h...)
	be.PutUint32(h[at:], value)
	return h
}

// Put32LE is Put32, little-endian.
func Put32LE(h []byte, at int, value uint32) []byte {
	h = append([]byte(nil), h...)
	le.PutUint32(h[at:], value)
	return h
}

// Put64LE is Put64, little-endian.
func Put64LE(h []byte, at int, value uint64) []byte {
	h = append([]byte(nil), h...)
	le.PutUint64(h[at:], value)
	return h
}

// Descriptor is that of a VMDK of the create type, with these lines for its extents.
func Descriptor(createType string, extents ...string) string {
	return fmt.Sprintf("# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType=%q\n\n"+
		"# Extent description\n%s\n\n# The Disk Data Base\n#DDB\n\nddb.virtualHWVersion = \"4\"\nddb.adapterType = \"ide\"\n",
		createType, strings.Join(extents, "\n"))
}

// Sparse is the descriptor of a VMDK that VMDK builds.
var Sparse = Descriptor("monolithicSparse", `RW 2048 SPARSE "disk.vmdk"`)

// VMDK is a sparse one of 1 MiB with the descriptor, of 10 KiB at the most, and nothing else.
func VMDK(descriptor string) []byte {
	h := make([]byte, 512, 512+20*512)
	copy(h, "KDMV")
	le.PutUint32(h[4:], 1)
	le.PutUint32(h[8:], 3)
	le.PutUint64(h[12:], 2048)
	le.PutUint64(h[20:], 128)
	le.PutUint64(h[28:], 1)
	le.PutUint64(h[36:], 20)
	le.PutUint32(h[44:], 512)
	le.PutUint64(h[48:], 21)
	le.PutUint64(h[56:], 26)
	copy(h[73:], "\n \r\n")
	h = h[:cap(h)]
	copy(h[512:], descriptor)
	return h
}

// StreamVMDK is one whose header points to a footer. edit, unless nil, changes the footer.
func StreamVMDK(edit func(footer []byte)) []byte {
	h := VMDK(Descriptor("streamOptimized", `RW 2048 SPARSE "disk.vmdk"`))
	le.PutUint32(h[4:], 3)
	le.PutUint64(h[56:], 1<<64-1)
	tail := make([]byte, 1536)
	le.PutUint64(tail, 1)
	le.PutUint32(tail[12:], 3)
	copy(tail[512:], h[:512])
	le.PutUint64(tail[512+56:], 21)
	if edit != nil {
		edit(tail[512:1024])
	}
	return append(h, tail...)
}

// VHDFooter is that of a VHD of the type (2 fixed, 3 dynamic, 4 differencing) and the size.
func VHDFooter(kind uint32, size uint64) []byte {
	f := make([]byte, 512)
	copy(f, "conectix")
	be.PutUint32(f[8:], 2)
	be.PutUint32(f[12:], 0x10000)
	be.PutUint64(f[16:], 1<<64-1)
	if kind != 2 {
		be.PutUint64(f[16:], 512)
	}
	be.PutUint64(f[40:], size)
	be.PutUint64(f[48:], size)
	be.PutUint32(f[60:], kind)
	copy(f[68:], "0123456789abcdef")
	return Summed(f, 64)
}

// Summed puts in the checksum that a VHD wants.
func Summed(p []byte, at int) []byte {
	be.PutUint32(p[at:], 0)
	sum := uint32(0)
	for _, b := range p {
		sum += uint32(b)
	}
	be.PutUint32(p[at:], ^sum)
	return p
}

// FixedVHD is one with this data.
func FixedVHD(data []byte) []byte {
	return append(append([]byte(nil), data...), VHDFooter(2, uint64(len(data)))...)
}

// DynamicVHD is one of a type and 4 MiB without data. edit, unless nil, changes the header at 512.
func DynamicVHD(kind uint32, edit func(header []byte)) []byte {
	header := make([]byte, 1024)
	copy(header, "cxsparse")
	be.PutUint64(header[8:], 1<<64-1)
	be.PutUint64(header[16:], 1536)
	be.PutUint32(header[24:], 0x10000)
	be.PutUint32(header[28:], 2)
	be.PutUint32(header[32:], 2<<20)
	if edit != nil {
		edit(header)
	}
	Summed(header, 36)
	f := VHDFooter(kind, 4<<20)
	return append(append(append(append([]byte(nil), f...), header...), make([]byte, 512)...), f...)
}

// VHDXOptions say what VHDX builds.
type VHDXOptions struct {
	Size      uint64
	HasParent bool
	Log       bool               // the header says that there is one
	Edit      func(image []byte) // before the checksums are put in
}

// The metadata items of a VHDX.
var vhdxGUIDs = map[string]string{
	"parameters": "\x37\x67\xa1\xca\x36\xfa\x43\x4d\xb3\xb6\x33\xf0\xaa\x44\xe7\x6b",
	"size":       "\x24\x42\xa5\x2f\x1b\xcd\x76\x48\xb2\x11\x5d\xbe\xd8\x3b\xf4\xb8",
	"logical":    "\x1d\xbf\x41\x81\x6f\xa9\x09\x47\xba\x47\xf2\x33\xa8\xfa\xab\x5f",
	"metadata":   "\x06\xa2\x7c\x8b\x90\x47\x9a\x4b\xb8\xfe\x57\x5f\x05\x0f\x88\x6e",
	"bat":        "\x66\x77\xc2\x2d\x23\xf6\x00\x42\x9d\x64\x11\x5e\x9b\xfd\x4a\x08",
}

// Where VHDX puts things.
const (
	VHDXMetadata = 1 << 20               // the table of metadata items
	VHDXItems    = VHDXMetadata + 64<<10 // parameters, size and logical sector size, 8 bytes for each
)

// VHDXLogID is the one of the entries that count in the log of a VHDX.
const VHDXLogID = "the guid of logs"

// VHDX is one without blocks.
func VHDX(o VHDXOptions) []byte {
	b := make([]byte, VHDXItems+4096)
	copy(b, "vhdxfile")
	for i, at := range []int{64 << 10, 128 << 10} {
		copy(b[at:], "head")
		le.PutUint64(b[at+8:], uint64(i+1))
		le.PutUint16(b[at+66:], 1)
		if o.Log {
			copy(b[at+48:], VHDXLogID)
		}
	}
	for _, at := range []int{192 << 10, 256 << 10} {
		copy(b[at:], "regi")
		le.PutUint32(b[at+8:], 2)
		for i, r := range []struct {
			guid        string
			off, length int
		}{{"bat", 2 << 20, 1 << 20}, {"metadata", VHDXMetadata, 1 << 20}} {
			e := b[at+16+32*i:]
			copy(e, vhdxGUIDs[r.guid])
			le.PutUint64(e[16:], uint64(r.off))
			le.PutUint32(e[24:], uint32(r.length))
			le.PutUint32(e[28:], 1)
		}
	}
	copy(b[VHDXMetadata:], "metadata")
	le.PutUint16(b[VHDXMetadata+10:], 3)
	for i, m := range []struct {
		guid          string
		length, flags uint32
	}{{"parameters", 8, 4}, {"size", 8, 6}, {"logical", 4, 6}} {
		e := b[VHDXMetadata+32+32*i:]
		copy(e, vhdxGUIDs[m.guid])
		le.PutUint32(e[16:], uint32(64<<10+8*i))
		le.PutUint32(e[20:], m.length)
		le.PutUint32(e[24:], m.flags)
	}
	le.PutUint32(b[VHDXItems:], 32<<20)
	if o.HasParent {
		le.PutUint32(b[VHDXItems+4:], 2)
	}
	le.PutUint64(b[VHDXItems+8:], o.Size)
	le.PutUint32(b[VHDXItems+16:], 512)
	if o.Edit != nil {
		o.Edit(b)
	}
	for at, n := range map[int]int{64 << 10: 4 << 10, 128 << 10: 4 << 10, 192 << 10: 64 << 10, 256 << 10: 64 << 10} {
		le.PutUint32(b[at+4:], 0)
		le.PutUint32(b[at+4:], crc32.Checksum(b[at:at+n], crc32.MakeTable(crc32.Castagnoli)))
	}
	return b
}

// VDI is a dynamic one of 3 MiB without data.
func VDI() []byte {
	h := make([]byte, 512)
	copy(h, "<<< Oracle VM VirtualBox Disk Image >>>\n")
	le.PutUint32(h[64:], 0xbeda107f)
	le.PutUint32(h[68:], 0x10001)
	le.PutUint32(h[72:], 400)
	le.PutUint32(h[76:], 1)
	le.PutUint32(h[340:], 512)
	le.PutUint32(h[344:], 1024)
	le.PutUint32(h[360:], 512)
	le.PutUint64(h[368:], 3<<20)
	le.PutUint32(h[376:], 1<<20)
	le.PutUint32(h[384:], 3)
	return append(h, make([]byte, 512)...)
}

// ISO is a disc of 64 sectors with volume descriptors of these identifiers.
func ISO(descriptors ...string) []byte {
	b := make([]byte, 64*2048)
	for i, id := range descriptors {
		d := b[(16+i)*2048:]
		d[0] = 255
		copy(d[1:], id)
		if id == "CD001" && i == 0 {
			d[0] = 1
			le.PutUint32(d[80:], 60)
			le.PutUint16(d[128:], 2048)
		}
	}
	return b
}

// A Partition is an entry of an MBR.
type Partition struct {
	Boot, Type byte
	Start      [3]byte
	LBA        uint32
}

// Protective is the entry that protects a GPT.
var Protective = Partition{Type: 0xee, Start: [3]byte{0, 2, 0}, LBA: 1}

// MBR is a disk of 1 MiB with a table of partitions.
func MBR(partitions ...Partition) []byte {
	b := make([]byte, 1<<20)
	for i, p := range partitions {
		e := b[446+16*i:]
		e[0], e[4] = p.Boot, p.Type
		copy(e[1:], p.Start[:])
		le.PutUint32(e[8:], p.LBA)
		le.PutUint32(e[12:], 2047)
	}
	b[510], b[511] = 0x55, 0xaa
	return b
}

// FAT is the beginning of a FAT file system whose boot code lies where an MBR has its table.
func FAT() []byte {
	b := make([]byte, 1<<20)
	copy(b, "\xeb\x3c\x90MSDOS5.0")
	le.PutUint16(b[11:], 512)
	b[13], b[16], b[21] = 4, 2, 0xf8
	copy(b[440:], strings.Repeat("\xcc\x13\x37", 20))
	b[510], b[511] = 0x55, 0xaa
	return b
}

// LUKS is a volume of the version with half a MiB of data behind 1 MiB of header, and no keys.
func LUKS(version uint16) []byte {
	b := make([]byte, 3<<19)
	copy(b, "LUKS\xba\xbe")
	be.PutUint16(b[6:], version)
	copy(b[8:], "aes")
	copy(b[40:], "cbc-plain64")
	copy(b[72:], "sha256")
	be.PutUint32(b[104:], 2048)
	be.PutUint32(b[108:], 16)
	be.PutUint32(b[164:], 1000)
	copy(b[168:], "7d2f2a3c-4f0e-4a57-8f0e-2c4f2d0e9a11")
	for i := range 8 {
		slot := b[208+48*i:]
		be.PutUint32(slot, 0xdead) // not in use
		be.PutUint32(slot[40:], uint32(8+128*i))
		be.PutUint32(slot[44:], 4000)
	}
	b[510], b[511] = 0x55, 0xaa // the salt of a key may be anything
	return b
}

// Parallels is the header of an image of 1 MiB.
func Parallels(magic string) []byte {
	b := make([]byte, 64)
	copy(b, magic)
	le.PutUint32(b[16:], 2)
	le.PutUint64(b[36:], 2048)
	return b
}
