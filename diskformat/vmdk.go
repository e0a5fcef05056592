package diskformat

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
	"strings"
)

// vmdk recognises the format of VMware: a sparse file with a descriptor inside, or a descriptor alone. The descriptor is
// text and can name other files. Source: VMware, Virtual Disk Format 5.0; QEMU, block/vmdk.c, which reads more than that.
type vmdk struct {
	verdict
	types  []string         // that are allowed
	sparse [vmdkHeader]byte // the header; in the end the footer, if that is what counts
	footer bool
	text   []byte // the beginning of a descriptor that stands alone
}

const (
	vmdkMagic      = "KDMV"
	vmdkOldMagic   = "COWD" // ESX's, without a descriptor
	vmdkHeader     = 512
	vmdkDescriptor = 1 << 20 // bytes of the longest one
	vmdkAtEnd      = math.MaxUint64
)

// Where things stand in the header of a sparse file; 64-bit numbers count sectors.
const (
	vmdkCapacity  = 12
	vmdkGrain     = 20
	vmdkDescStart = 28
	vmdkDescSize  = 36
	vmdkTables    = 44 // entries of a grain table
	vmdkDirectory = 56 // of the grains
	vmdkPacking   = 77
	vmdkSame      = 48 // bytes in which header and footer agree, and in the packing
)

// Flags in the header.
const (
	vmdkFlags      = 8
	vmdkZeroGrains = 1 << 2 // an entry of 1 is a grain of zeros
	vmdkMarkers    = 1 << 17
)

func newVMDK(rules Rules) *vmdk {
	types := rules.VMDKTypes
	if types == nil {
		types = DefaultVMDKTypes
	}
	return &vmdk{verdict: verdict{format: VMDK}, types: types}
}

func (v *vmdk) start() step { return step{0, vmdkHeader, v.header} }

func (v *vmdk) header(p []byte) step {
	switch {
	case hasPrefix(p, vmdkMagic):
		v.is()
		return v.sparseHeader(p)
	case hasPrefix(p, vmdkOldMagic):
		v.is()
		return v.fail("create_type", "it is of the old sparse format of ESX, which has no descriptor and is not supported")
	case isDescriptor(p):
		v.is()
		if len(p) < vmdkHeader {
			return v.alone(p)
		}
		v.text = bytes.Clone(p)
		return step{vmdkHeader, vmdkDescriptor, v.rest}
	}
	return v.isNot()
}

func (v *vmdk) sparseHeader(p []byte) step {
	if len(p) < vmdkHeader {
		return v.cutShort("the header", len(p))
	}
	copy(v.sparse[:], p)
	capacity, grain := binary.LittleEndian.Uint64(p[vmdkCapacity:]), binary.LittleEndian.Uint64(p[vmdkGrain:])
	start, size := binary.LittleEndian.Uint64(p[vmdkDescStart:]), binary.LittleEndian.Uint64(p[vmdkDescSize:])
	v.footer = binary.LittleEndian.Uint64(p[vmdkDirectory:]) == vmdkAtEnd
	switch version := binary.LittleEndian.Uint32(p[4:]); {
	case version < 1 || version > 3:
		return v.fail("version", "version %d of VMDK is not supported, only 1 to 3 are", version)
	case capacity == 0:
		return v.fail("header", "the header claims a disk of no sectors, for which a hypervisor would look into other files")
	case capacity > math.MaxInt64/512:
		return v.fail("header", "the header claims a disk of %d sectors", capacity)
	case bits.OnesCount64(grain) != 1 || grain < 8 || grain > 1<<21:
		return v.fail("header", "the header claims grains of %d sectors", grain)
	case v.packed() && grain > vmdkPackedGrain/512:
		return v.fail("header", "the header claims compressed grains of %d sectors", grain)
	case binary.LittleEndian.Uint32(p[vmdkTables:]) != vmdkEntries:
		return v.fail("header", "the header claims grain tables of %d entries", binary.LittleEndian.Uint32(p[vmdkTables:]))
	case (capacity-1)/grain/vmdkEntries >= vmdkMaxTables: // as many as QEMU takes
		return v.fail("header", "the header claims a disk of %d sectors in grains of %d sectors", capacity, grain)
	case start != 1 || size == 0:
		return v.fail("descriptor", "there is no descriptor behind the header")
	case size > vmdkDescriptor/512:
		return v.fail("descriptor", "the header claims a descriptor of %d sectors, and 1 MiB is the most", size)
	}
	v.size = int64(capacity) * 512
	return step{512, int(size) * 512, v.embedded}
}

// embedded looks at the descriptor of a sparse file.
func (v *vmdk) embedded(p []byte) step {
	if uint64(len(p)) < 512*binary.LittleEndian.Uint64(v.sparse[vmdkDescSize:]) {
		return v.cutShort("the descriptor", len(p))
	}
	d := v.descriptor(p)
	if len(v.problems) == 0 && (len(d.extents) != 1 || d.extents[0].kind != "sparse") {
		v.fail("extents", "its data is not all in this file: the descriptor names %d extents", len(d.extents))
	}
	return enough
}

// rest looks at a descriptor that stands alone, of which header kept the beginning.
func (v *vmdk) rest(p []byte) step {
	if len(v.text)+len(p) > vmdkDescriptor {
		return v.fail("descriptor", "the descriptor is longer than 1 MiB")
	}
	return v.alone(append(v.text, p...))
}

// alone looks at a descriptor whose extents are other files, or nowhere.
func (v *vmdk) alone(p []byte) step {
	v.text = nil
	d := v.descriptor(p)
	if slices.ContainsFunc(DefaultVMDKTypes, func(t string) bool { return strings.EqualFold(t, d.createType) }) {
		return v.fail("extents", "it is a descriptor without data, for which a hypervisor would open other files")
	}
	for _, e := range d.extents {
		if e.sectors > (math.MaxInt64-v.size)/512 {
			return v.fail("extents", "the extents make a disk too large for any file")
		}
		v.size += e.sectors * 512
	}
	return enough
}

// end compares the footer of a sparse file with its header.
func (v *vmdk) end(_ int64, tail []byte) {
	if !v.footer || len(v.problems) > 0 {
		return
	}
	if len(tail) < tailSize {
		v.fail("footer", "there is no footer at the end: the file is cut short")
		return
	}
	marker, footer, last := tail[:512], tail[512:1024], tail[1024:]
	switch {
	case binary.LittleEndian.Uint32(marker[8:]) != 0 || binary.LittleEndian.Uint32(marker[12:]) != 3 || !allZero(marker[16:]) || !allZero(last):
		v.fail("footer", "there is no footer at the end: the file is cut short, or something was added")
	case !bytes.Equal(footer[:vmdkSame], v.sparse[:vmdkSame]) || !bytes.Equal(footer[vmdkPacking:][:2], v.sparse[vmdkPacking:][:2]):
		v.fail("footer", "the footer and the header differ: programs would not agree on what the image is")
	case binary.LittleEndian.Uint64(footer[vmdkDirectory:]) == vmdkAtEnd:
		v.fail("footer", "the footer says that there is another one")
	default:
		copy(v.sparse[:], footer)
	}
}
