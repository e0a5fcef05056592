package diskformat

import (
	"cmp"
	"context"
	"encoding/binary"
	"hash/crc32"
	"math/bits"
	"slices"
)

// vhdx recognises the format of Hyper-V. Its size stands in a list of metadata items, which stands in a region, which
// stands in a list of regions. Source: Microsoft, [MS-VHDX].
type vhdx struct {
	verdict
	sequence uint64 // of the newest valid header and one more, 0 for none
	newest   [vhdxNewest]byte
	replayed bool // the log has been dealt with
	regions  regions
	items    []item // that are still to be read, in the order in which they stand
	sector   uint32
	block    uint32 // bytes of a block
}

// regions are those that are needed, of the first region table.
type regions struct{ blocks, metadata region }

type region struct{ off, length uint64 }

type item struct {
	id  guid
	off int64 // in the file
}

// A guid is as it stands in the file.
type guid [16]byte

const (
	vhdxMagic  = "vhdxfile"
	vhdxTable  = 64 << 10 // bytes of a region table and of a metadata table
	vhdxLimit  = 64 << 40 // bytes of the largest disk
	vhdxUnit   = 1 << 20  // regions begin and end at multiples of it
	vhdxHeader = 4 << 10
	vhdxNewest = 80 // bytes of a header that mean something
	maxEntries = 2047
)

var (
	vhdxBAT         = guid{0x66, 0x77, 0xc2, 0x2d, 0x23, 0xf6, 0x00, 0x42, 0x9d, 0x64, 0x11, 0x5e, 0x9b, 0xfd, 0x4a, 0x08}
	vhdxMetadata    = guid{0x06, 0xa2, 0x7c, 0x8b, 0x90, 0x47, 0x9a, 0x4b, 0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e}
	vhdxParameters  = guid{0x37, 0x67, 0xa1, 0xca, 0x36, 0xfa, 0x43, 0x4d, 0xb3, 0xb6, 0x33, 0xf0, 0xaa, 0x44, 0xe7, 0x6b}
	vhdxVirtualSize = guid{0x24, 0x42, 0xa5, 0x2f, 0x1b, 0xcd, 0x76, 0x48, 0xb2, 0x11, 0x5d, 0xbe, 0xd8, 0x3b, 0xf4, 0xb8}
	vhdxLogical     = guid{0x1d, 0xbf, 0x41, 0x81, 0x6f, 0xa9, 0x09, 0x47, 0xba, 0x47, 0xf2, 0x33, 0xa8, 0xfa, 0xab, 0x5f}
	vhdxPhysical    = guid{0xc7, 0x48, 0xa3, 0xcd, 0x5d, 0x44, 0x71, 0x44, 0x9c, 0xc9, 0xe9, 0x88, 0x52, 0x51, 0xc5, 0x56}
	vhdxPage83      = guid{0xab, 0x12, 0xca, 0xbe, 0xe6, 0xb2, 0x23, 0x45, 0x93, 0xef, 0xc3, 0x09, 0xe0, 0x00, 0xc7, 0x46}
	vhdxParent      = guid{0x2d, 0x5f, 0xd3, 0xa8, 0x0b, 0xb3, 0x4d, 0x45, 0xab, 0xf7, 0xd3, 0xd8, 0x48, 0x34, 0xab, 0x0c}
)

// vhdxItems are the metadata items, and how many bytes they have; those of 0 are not read.
var vhdxItems = map[guid]int{vhdxParameters: 8, vhdxVirtualSize: 8, vhdxLogical: 4, vhdxPhysical: 0, vhdxPage83: 0, vhdxParent: 0}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func newVHDX() *vhdx { return &vhdx{verdict: verdict{format: VHDX}} }

func (v *vhdx) start() step {
	return step{0, len(vhdxMagic), func(p []byte) step {
		if !hasPrefix(p, vhdxMagic) {
			return v.isNot()
		}
		v.is()
		return step{64 << 10, vhdxHeader, v.header}
	}}
}

// header looks at one of the two headers, of which at least one is valid.
func (v *vhdx) header(p []byte) step {
	if len(p) < vhdxHeader {
		return v.cutShort("the header", len(p))
	}
	sequence := binary.LittleEndian.Uint64(p[8:]) + 1
	switch {
	case !vhdxSum(p, "head") || binary.LittleEndian.Uint16(p[66:]) != 1:
	case sequence > v.sequence:
		v.sequence, v.newest = sequence, [vhdxNewest]byte(p)
	case sequence == v.sequence && v.newest != [vhdxNewest]byte(p):
		return v.fail("header", "the two headers differ, and neither is the newer one")
	}
	return step{128 << 10, vhdxHeader, v.second}
}

func (v *vhdx) second(p []byte) step {
	v.header(p)
	switch {
	case len(v.problems) > 0:
		return enough
	case v.sequence == 0:
		return v.fail("header", "neither of the two headers is valid")
	case v.log().id != guid{} && !v.replayed:
		return v.fail("log", "it was not closed: a log is still to be replayed, which may change what the image is; "+vhdxReplay)
	}
	return step{192 << 10, vhdxTable, v.firstRegions}
}

// vhdxSum checks the signature and the checksum of a structure.
func vhdxSum(p []byte, signature string) bool {
	if !hasPrefix(p, signature) {
		return false
	}
	sum := crc32.Update(0, castagnoli, p[:4])
	sum = crc32.Update(sum, castagnoli, make([]byte, 4))
	return crc32.Update(sum, castagnoli, p[8:]) == binary.LittleEndian.Uint32(p[4:])
}

// firstRegions looks at the first region table.
func (v *vhdx) firstRegions(p []byte) step {
	if len(p) < vhdxTable {
		return v.cutShort("the region table", len(p))
	}
	if !v.findRegions(p) {
		return enough
	}
	return step{256 << 10, vhdxTable, v.secondRegions}
}

// secondRegions looks at the second region table, which must not say anything else.
func (v *vhdx) secondRegions(p []byte) step {
	if len(p) < vhdxTable {
		return v.cutShort("the second region table", len(p))
	}
	first := v.regions
	if vhdxSum(p, "regi") && (!v.findRegions(p) || v.regions != first) {
		return v.fail("header", "the two region tables differ")
	}
	return step{int64(first.metadata.off), vhdxTable, v.table}
}

func (v *vhdx) findRegions(p []byte) bool {
	if !vhdxSum(p, "regi") {
		v.fail("header", "the region table is not valid")
		return false
	}
	count := binary.LittleEndian.Uint32(p[8:])
	if count > maxEntries {
		v.fail("header", "the region table claims %d entries", count)
		return false
	}
	v.regions = regions{}
	for i := range int(count) {
		e := p[16+32*i:][:32]
		r := region{binary.LittleEndian.Uint64(e[16:]), uint64(binary.LittleEndian.Uint32(e[24:]))}
		switch guid(e[:16]) {
		case vhdxMetadata:
			v.regions.metadata.set(v, "metadata", r)
		case vhdxBAT:
			v.regions.blocks.set(v, "block table", r)
		default:
			if binary.LittleEndian.Uint32(e[28:])&1 != 0 {
				v.fail("unknown_features", "it needs a region of which nothing is known")
			}
		}
	}
	v.regions.metadata.check(v, "metadata")
	v.regions.blocks.check(v, "block table")
	return len(v.problems) == 0
}

func (r *region) set(v *vhdx, name string, to region) {
	if *r != (region{}) {
		v.fail("header", "there are two %s regions", name)
	}
	*r = to
}

func (r *region) check(v *vhdx, name string) {
	if r.off < vhdxUnit || r.off%vhdxUnit != 0 || r.off > 1<<62 || r.length < vhdxUnit {
		v.fail("header", "there is no %s region, or not where it may be", name)
	}
}

// table looks at the list of metadata items.
func (v *vhdx) table(p []byte) step {
	if len(p) < vhdxTable {
		return v.cutShort("the metadata", len(p))
	}
	count := int(binary.LittleEndian.Uint16(p[10:]))
	if !hasPrefix(p, "metadata") || count > maxEntries {
		return v.fail("header", "the metadata table is not valid")
	}
	seen := make(map[guid]bool)
	for i := range count {
		e := p[32+32*i:][:32]
		id, off, length := guid(e[:16]), binary.LittleEndian.Uint32(e[16:]), binary.LittleEndian.Uint32(e[20:])
		size, known := vhdxItems[id]
		flags := binary.LittleEndian.Uint32(e[24:])
		switch user, required := flags&1 != 0, flags&4 != 0; {
		case !known && required:
			return v.fail("unknown_features", "it needs metadata of which nothing is known")
		case !known:
		case user || seen[id]: // QEMU does not look at whose an item is
			return v.fail("header", "a metadata item stands there twice, or as a user's own")
		case id == vhdxParent:
			return v.parent()
		case size > 0:
			if off < vhdxTable || int(length) < size || uint64(off)+uint64(length) > v.regions.metadata.length {
				return v.fail("header", "a metadata item is not where it may be")
			}
			v.items = append(v.items, item{id, int64(v.regions.metadata.off) + int64(off)})
		}
		seen[id] = true
	}
	if !seen[vhdxParameters] || !seen[vhdxVirtualSize] || !seen[vhdxLogical] {
		return v.fail("header", "a required metadata item is missing")
	}
	slices.SortFunc(v.items, func(a, b item) int { return cmp.Compare(a.off, b.off) })
	for i, it := range v.items[1:] {
		if before := v.items[i]; it.off < before.off+int64(vhdxItems[before.id]) {
			return v.fail("header", "metadata items overlap")
		}
	}
	return v.nextItem()
}

func (v *vhdx) parent() step {
	return v.fail("parent", "it is a differencing disk, which a hypervisor completes with a file of its own; merge it with its parent")
}

func (v *vhdx) nextItem() step {
	if len(v.items) == 0 {
		return v.finish()
	}
	return step{v.items[0].off, vhdxItems[v.items[0].id], v.item}
}

func (v *vhdx) item(p []byte) step {
	id := v.items[0].id
	if len(p) < vhdxItems[id] {
		return v.cutShort("the metadata", len(p))
	}
	v.items = v.items[1:]
	switch id {
	case vhdxParameters:
		if binary.LittleEndian.Uint32(p[4:])&2 != 0 {
			return v.parent()
		}
		if v.block = binary.LittleEndian.Uint32(p); bits.OnesCount32(v.block) != 1 || v.block < 1<<20 || v.block > 256<<20 {
			return v.fail("header", "the metadata claims blocks of %d bytes", v.block)
		}
	case vhdxLogical:
		if v.sector = binary.LittleEndian.Uint32(p); v.sector != 512 && v.sector != 4096 {
			return v.fail("header", "the metadata claims sectors of %d bytes", v.sector)
		}
	case vhdxVirtualSize:
		size := binary.LittleEndian.Uint64(p)
		if size > vhdxLimit {
			return v.fail("header", "the metadata claims a virtual size of %d bytes", size)
		}
		v.size = int64(size)
	}
	return v.nextItem()
}

func (v *vhdx) finish() step {
	if v.size%int64(v.sector) != 0 {
		return v.fail("header", "the virtual size of %d bytes is no number of sectors", v.size)
	}
	blocks := v.blocks()
	if need := blocks.need(v.size); need > int64(v.regions.blocks.length) {
		return v.fail("header", "the block table has %d bytes, and a disk of %d bytes needs %d", v.regions.blocks.length, v.size, need)
	}
	return enough
}

// What an entry of the block table says of its block. Those that are not here are not used.
const (
	vhdxNotPresent = 0
	vhdxUndefined  = 1
	vhdxZero       = 2
	vhdxUnmapped   = 3
	vhdxUnmappedV0 = 5 // in a draft of the format, which QEMU reads, too
	vhdxPresent    = 6
)

// blocks is the table of blocks. After some of them stands an entry for the sectors of those that are only partly there,
// which is the case in differencing disks alone.
func (v *vhdx) blocks() blockTable {
	return blockTable{off: int64(v.regions.blocks.off), block: int64(v.block), width: 8,
		between: int64(v.sector) << 23 / int64(v.block), entry: vhdxBlock}
}

// vhdxBlock reads an entry of a block table.
func vhdxBlock(p []byte) (run, error) {
	e := binary.LittleEndian.Uint64(p)
	at := int64(e >> 20 << 20)
	switch state := e & 7; state {
	case vhdxNotPresent, vhdxUndefined, vhdxZero, vhdxUnmapped, vhdxUnmappedV0:
		return run{kind: runHole}, nil
	case vhdxPresent:
		if at == 0 {
			return run{}, corrupt("a block would be where the headers are")
		}
		return run{kind: runStored, at: at}, nil
	default:
		return run{}, corrupt("a block is in state %d, in which none may be", state)
	}
}

func (v *vhdx) open(_ context.Context, f *file) (layout, error) {
	return newBlockTable(f, v.blocks(), v.size)
}
