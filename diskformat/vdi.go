package diskformat

import (
	"context"
	"encoding/binary"
	"math"
	"math/bits"
)

// vdi recognises the format of VirtualBox. Source: QEMU, block/vdi.c; VirtualBox, VDICore.h.
type vdi struct {
	verdict
	table, data uint32 // where the one of the blocks is, and where the blocks are
	blockSize   uint32
}

const (
	vdiMagic   = "\x7f\x10\xda\xbe"
	vdiHeader  = 512
	vdiNoBlock = math.MaxUint32 - 1 // and more: nothing was ever written, or it was discarded
)

func newVDI() *vdi { return &vdi{verdict: verdict{format: VDI}} }

func (v *vdi) start() step { return step{0, vdiHeader, v.header} }

func (v *vdi) header(p []byte) step {
	if len(p) < 68 || !hasPrefix(p[64:], vdiMagic) {
		return v.isNot()
	}
	v.is()
	if len(p) < vdiHeader {
		return v.cutShort("the VDI header", len(p))
	}
	v.table, v.data = binary.LittleEndian.Uint32(p[340:]), binary.LittleEndian.Uint32(p[344:])
	size := binary.LittleEndian.Uint64(p[368:])
	extra, blocks := binary.LittleEndian.Uint32(p[380:]), binary.LittleEndian.Uint32(p[384:])
	v.blockSize = binary.LittleEndian.Uint32(p[376:])
	switch kind := binary.LittleEndian.Uint32(p[76:]); {
	case binary.LittleEndian.Uint32(p[68:])>>16 != 1:
		v.fail("version", "version %d of VDI is not supported, only 1 is", binary.LittleEndian.Uint32(p[68:])>>16)
	case kind == 3 || kind == 4 || !allZero(p[424:456]): // undo, differencing; links to the snapshot before and the parent
		v.fail("parent", "it is a differencing disk, which a hypervisor completes with a file of its own; merge it with its parent")
	case kind != 1 && kind != 2: // dynamic, static
		v.fail("header", "the header claims the unknown type %d", kind)
	case binary.LittleEndian.Uint32(p[360:]) != 512:
		v.fail("header", "the header claims sectors of %d bytes", binary.LittleEndian.Uint32(p[360:]))
	case bits.OnesCount32(v.blockSize) != 1 || v.blockSize < 512:
		v.fail("header", "the header claims blocks of %d bytes", v.blockSize)
	case extra != 0: // QEMU does not look whether there are any
		v.fail("header", "the header claims %d more bytes with each block", extra)
	case size > math.MaxInt64-511 || size > uint64(blocks)*uint64(v.blockSize):
		v.fail("header", "%d blocks of %d bytes do not make the disk of %d bytes", blocks, v.blockSize, size)
	default:
		v.size = (int64(size) + 511) &^ 511 // as QEMU has it; some programs write odd sizes
	}
	return enough
}

func (v *vdi) open(_ context.Context, f *file) (layout, error) {
	return newBlockTable(f, blockTable{off: int64(v.table), block: int64(v.blockSize), width: 4, entry: func(p []byte) (run, error) {
		block := binary.LittleEndian.Uint32(p)
		if block >= vdiNoBlock {
			return run{kind: runHole}, nil
		}
		return run{kind: runStored, at: int64(v.data) + int64(block)*int64(v.blockSize)}, nil
	}}, v.size)
}
