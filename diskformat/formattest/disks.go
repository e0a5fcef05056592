package formattest

import (
	"bytes"
	"compress/zlib"
	"hash/crc32"
)

// A Disk is an image with data, and what a guest sees of it.
type Disk struct {
	Name, Format string
	Data         []byte
	Content      []byte
}

// Disks returns images of the formats that keep a disk in blocks, and of the fixed ones. Their blocks lie in the file in the
// opposite order, but for two; some of them are not there.
func Disks() []Disk {
	small, large := Content(16, 4<<10, 1500), Content(5, 1<<20, 512)
	return []Disk{
		{"VMDK", "vmdk", SparseVMDK(small), small},
		{"VMDK with zero grains", "vmdk", ZeroGrainVMDK(small), small},
		{"stream-optimized VMDK", "vmdk", PackedVMDK(small, true), small},
		{"compressed VMDK without markers", "vmdk", PackedVMDK(small, false), small},
		{"fixed VHD", "vhd", FixedVHD(small), small},
		{"dynamic VHD", "vhd", BlocksVHD(small), small},
		{"VHDX", "vhdx", BlocksVHDX(large), large},
		{"VHDX with a log", "vhdx", LoggedVHDX(large, 0, nil), large},
		{"VDI", "vdi", BlocksVDI(small), small},
	}
}

// Content is a disk of whole blocks and some more sectors, or a part of one; every fourth block is zeros.
func Content(blocks, size, more int) []byte {
	b := make([]byte, blocks*size+more/512*512)
	for i := range b {
		if i/size%4 != 2 {
			b[i] = byte(i>>9*7 + i*i>>5)
		}
	}
	return b
}

// blocksOf calls put with each block of the content that is not zeros, the last ones first but for the first two.
func blocksOf(content []byte, size int, put func(i int, block []byte)) {
	count := (len(content) + size - 1) / size
	order := []int{0, 1}
	for i := count - 1; i > 1; i-- {
		order = append(order, i)
	}
	for _, i := range order {
		block := make([]byte, size)
		copy(block, content[i*size:])
		if !bytes.Equal(block, make([]byte, size)) {
			put(i, block)
		}
	}
}

// Where the tables are of what Disks returns.
const (
	VMDKDirectory = 26 * 512
	VMDKTable     = 27 * 512
	VHDTable      = 1536
	VDITable      = 512
)

const (
	vmdkGrainSize = 4 << 10
	vmdkFirst     = 32 * 512 // of the grains
)

// vmdkWith is a sparse VMDK of the content's size, without grains. Its only table is of 512 of them.
func vmdkWith(content []byte, createType string) []byte {
	b := VMDK(Descriptor(createType, `RW 2048 SPARSE "disk.vmdk"`))
	le.PutUint64(b[12:], uint64(len(content)/512))
	le.PutUint64(b[20:], vmdkGrainSize/512)
	b = append(b, make([]byte, vmdkFirst-len(b))...)
	le.PutUint32(b[VMDKDirectory:], VMDKTable/512)
	return b
}

// SparseVMDK is one of the content, with grains of 4 KiB.
func SparseVMDK(content []byte) []byte {
	b := vmdkWith(content, "monolithicSparse")
	blocksOf(content, vmdkGrainSize, func(i int, grain []byte) {
		le.PutUint32(b[VMDKTable+4*i:], uint32(len(b)/512))
		b = append(b, grain...)
	})
	return b
}

// ZeroGrainVMDK is SparseVMDK with entries for grains that are zeros.
func ZeroGrainVMDK(content []byte) []byte {
	b := SparseVMDK(content)
	le.PutUint32(b[8:], 3|1<<2)
	for i := range 512 {
		if e := b[VMDKTable+4*i:]; le.Uint32(e) == 0 {
			le.PutUint32(e, 1)
		}
	}
	return b
}

// PackedVMDK is one with compressed grains, with the markers that the format wants and the footer, or without them.
func PackedVMDK(content []byte, markers bool) []byte {
	b := vmdkWith(content, "streamOptimized")
	le.PutUint32(b[4:], 3)
	le.PutUint32(b[8:], 3|1<<16)
	le.PutUint16(b[77:], 1)
	if markers {
		le.PutUint32(b[8:], 3|1<<16|1<<17)
	}
	blocksOf(content, vmdkGrainSize, func(i int, grain []byte) {
		le.PutUint32(b[VMDKTable+4*i:], uint32(len(b)/512))
		if left := len(content) - i*vmdkGrainSize; left < len(grain) {
			grain = grain[:left]
		}
		packed := Deflated(grain)
		if markers {
			b = le.AppendUint64(b, uint64(i*vmdkGrainSize/512))
			b = le.AppendUint32(b, uint32(len(packed)))
		}
		b = append(b, packed...)
		b = append(b, make([]byte, -len(b)&511)...)
	})
	if !markers {
		return b
	}
	tail := make([]byte, 1536)
	le.PutUint64(tail, 1)
	le.PutUint32(tail[12:], 3)
	copy(tail[512:], b[:512])
	le.PutUint64(b[56:], 1<<64-1)
	return append(b, tail...)
}

// Deflated compresses as zlib does.
func Deflated(p []byte) []byte {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	w.Write(p)
	w.Close()
	return b.Bytes()
}

// BlocksVHD is a dynamic one of the content, with blocks of 4 KiB.
func BlocksVHD(content []byte) []byte {
	const size = 4 << 10
	count := (len(content) + size - 1) / size
	f := VHDFooter(3, uint64(len(content)))
	header := make([]byte, 1024)
	copy(header, "cxsparse")
	be.PutUint64(header[8:], 1<<64-1)
	be.PutUint64(header[16:], VHDTable)
	be.PutUint32(header[24:], 0x10000)
	be.PutUint32(header[28:], uint32(count))
	be.PutUint32(header[32:], size)
	b := append(append([]byte(nil), f...), Summed(header, 36)...)
	b = append(b, bytes.Repeat([]byte{0xff}, 512)...)
	blocksOf(content, size, func(i int, block []byte) {
		be.PutUint32(b[VHDTable+4*i:], uint32(len(b)/512))
		b = append(b, bytes.Repeat([]byte{0xff}, 512)...)
		b = append(b, block...)
	})
	return append(b, f...)
}

// BlocksVDI is a dynamic one of the content, with blocks of 4 KiB.
func BlocksVDI(content []byte) []byte {
	const size = 4 << 10
	b := VDI()
	le.PutUint64(b[368:], uint64(len(content)))
	le.PutUint32(b[376:], size)
	le.PutUint32(b[384:], uint32((len(content)+size-1)/size))
	for i := VDITable; i < len(b); i++ {
		b[i] = 0xff // never written
	}
	first := len(b)
	blocksOf(content, size, func(i int, block []byte) {
		le.PutUint32(b[VDITable+4*i:], uint32((len(b)-first)/size))
		b = append(b, block...)
	})
	le.PutUint32(b[VDITable+4*2:], 0xfffffffe) // discarded
	return b
}

// Where BlocksVHDX puts things, beside those of VHDX.
const (
	VHDXBlocks  = 2 << 20 // the table of the blocks
	VHDXLog     = 3 << 20
	VHDXLogSize = 1 << 20
	vhdxFirst   = 4 << 20 // of the blocks
	vhdxSize    = 1 << 20
)

// BlocksVHDX is a dynamic one of the content, with blocks of 1 MiB. It has place for a log.
func BlocksVHDX(content []byte) []byte { return vhdxWith(content, false) }

func vhdxWith(content []byte, log bool) []byte {
	b := VHDX(VHDXOptions{Size: uint64(len(content)), Log: log, Edit: func(b []byte) {
		le.PutUint32(b[VHDXItems:], vhdxSize)
		for _, at := range []int{64 << 10, 128 << 10} {
			le.PutUint32(b[at+68:], VHDXLogSize)
			le.PutUint64(b[at+72:], VHDXLog)
		}
	}})
	b = append(b, make([]byte, vhdxFirst-len(b))...)
	blocksOf(content, vhdxSize, func(i int, block []byte) {
		le.PutUint64(b[VHDXBlocks+8*i:], uint64(len(b))|6)
		b = append(b, block...)
	})
	le.PutUint64(b[VHDXBlocks+8*2:], 2) // zeros
	return b
}

// LoggedVHDX is BlocksVHDX before its log was replayed: the table of its blocks stands only there. edit, unless nil, changes
// the entries, of which the first was done long ago and would destroy data now. They begin at a place in the log, which goes on
// where it begins.
func LoggedVHDX(content []byte, at int, edit func(entries []LogEntry)) []byte {
	b := vhdxWith(content, true)
	table := bytes.Clone(b[VHDXBlocks:][:4096])
	clear(b[VHDXBlocks:][:4096])
	copy(b[VHDXBlocks+4096:], "not zeros") // nobody looks there
	size := uint64(len(b))
	tail := uint32((at + 8192) % VHDXLogSize)
	entries := []LogEntry{
		{Sequence: 7, Tail: uint32(at), Flushed: size, Last: size, Changes: []LogChange{
			{Offset: VHDXBlocks, Data: bytes.Repeat([]byte{7}, 4096)}, {Offset: vhdxFirst, Zeros: 4096}}},
		{Sequence: 8, Tail: tail, Flushed: size, Last: size, Changes: []LogChange{
			{Offset: VHDXBlocks, Zeros: 8192}, {Offset: VHDXBlocks, Data: table}}},
		{Sequence: 9, Tail: tail, Flushed: size, Last: size},
	}
	if edit != nil {
		edit(entries)
	}
	log := b[VHDXLog:][:VHDXLogSize]
	for _, e := range entries {
		p := e.Bytes()
		copy(log, p[copy(log[at:], p):])
		at = (at + len(p)) % VHDXLogSize
	}
	return b
}

// A LogEntry is one of the log of a VHDX.
type LogEntry struct {
	Sequence      uint64
	Tail          uint32 // where in the log the oldest entry is that counts
	Flushed, Last uint64
	Changes       []LogChange
	Edit          func(entry []byte) // before the checksum is put in
}

// A LogChange is one of a sector of 4 KiB, or of many that become zeros.
type LogChange struct {
	Offset, Zeros uint64
	Data          []byte
}

// Bytes returns the entry as it stands in the log.
func (e LogEntry) Bytes() []byte {
	sectors := (64 + 32*len(e.Changes) + 4095) / 4096
	b := make([]byte, sectors*4096)
	copy(b, "loge")
	le.PutUint32(b[12:], e.Tail)
	le.PutUint64(b[16:], e.Sequence)
	le.PutUint32(b[24:], uint32(len(e.Changes)))
	copy(b[32:], VHDXLogID)
	le.PutUint64(b[48:], e.Flushed)
	le.PutUint64(b[56:], e.Last)
	for i, c := range e.Changes {
		d := b[64+32*i:][:32]
		le.PutUint64(d[16:], c.Offset)
		le.PutUint64(d[24:], e.Sequence)
		if c.Data == nil {
			copy(d, "zero")
			le.PutUint64(d[8:], c.Zeros)
			continue
		}
		copy(d, "desc")
		copy(d[4:8], c.Data[4092:])
		copy(d[8:16], c.Data)
		sector := bytes.Clone(c.Data)
		copy(sector, "data")
		le.PutUint32(sector[4:], uint32(e.Sequence>>32))
		le.PutUint32(sector[4092:], uint32(e.Sequence))
		b = append(b, sector...)
	}
	le.PutUint32(b[8:], uint32(len(b)))
	if e.Edit != nil {
		e.Edit(b)
	}
	le.PutUint32(b[4:], 0)
	le.PutUint32(b[4:], crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	return b
}
