package diskformat

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// qcow2 recognises QEMU's format. Source: QEMU, docs/interop/qcow2.txt.
type qcow2 struct{ verdict }

const (
	qcow2Magic    = "QFI\xfb" // also of version 1, which nothing reads any more
	qcow2HeaderV2 = 72
	qcow2HeaderV3 = 104
	qcow2Header   = qcow2HeaderV3 + 1 // with the compression type
)

// The incompatible features of version 3. A dirty image can be read, and so can the good part of a corrupt one.
const (
	qcow2Dirty = 1 << iota
	qcow2Corrupt
	qcow2DataFile
	qcow2Compression
	qcow2ExtendedL2
	qcow2Known = 1<<iota - 1
)

func newQCOW2() *qcow2 { return &qcow2{verdict{format: QCOW2}} }

func (q *qcow2) start() step { return step{0, qcow2Header, q.header} }

func (q *qcow2) header(p []byte) step {
	if !hasPrefix(p, qcow2Magic) {
		return q.isNot()
	}
	q.is()
	if len(p) < 8 {
		return q.cutShort("the qcow2 header", len(p))
	}
	need := qcow2HeaderV2
	switch version := binary.BigEndian.Uint32(p[4:]); version {
	case 2:
	case 3:
		need = qcow2HeaderV3
	default:
		return q.fail("version", "version %d of qcow2 is not supported, only 2 and 3 are", version)
	}
	if len(p) < need {
		return q.cutShort("the qcow2 header", len(p))
	}
	q.fields(p)
	q.backing(p)
	if need == qcow2HeaderV3 {
		q.features(p)
	}
	return enough
}

func (q *qcow2) fields(p []byte) {
	clusterBits := binary.BigEndian.Uint32(p[20:])
	if clusterBits < 9 || clusterBits > 21 {
		q.fail("header", "the header claims clusters of 2^%d bytes", clusterBits)
	}
	if crypt := binary.BigEndian.Uint32(p[32:]); crypt > 2 {
		q.fail("header", "the header claims the unknown encryption method %d", crypt)
	}
	size := binary.BigEndian.Uint64(p[24:])
	if size > math.MaxInt64 {
		q.fail("header", "the header claims a virtual size of %d bytes", size)
		return
	}
	q.size = int64(size)
}

func (q *qcow2) backing(p []byte) {
	if binary.BigEndian.Uint64(p[8:]) != 0 || binary.BigEndian.Uint32(p[16:]) != 0 {
		q.fail("backing_file", "it names a backing file, which a hypervisor would open on its own disk and show to the guest; "+
			"flatten it with qemu-img convert")
	}
}

func (q *qcow2) features(p []byte) {
	incompatible := binary.BigEndian.Uint64(p[72:])
	if incompatible&qcow2DataFile != 0 {
		q.fail("data_file", "its data lies in an external file, which a hypervisor would open on its own disk and show to the guest; "+
			"flatten it with qemu-img convert")
	}
	if unknown := incompatible &^ qcow2Known; unknown != 0 {
		q.fail("unknown_features", "it needs incompatible feature %d, of which nothing is known", bits.TrailingZeros64(unknown))
	}
	if order := binary.BigEndian.Uint32(p[96:]); order > 6 {
		q.fail("header", "the header claims reference counts of 2^%d bits", order)
	}
	length := binary.BigEndian.Uint32(p[100:])
	if length < qcow2HeaderV3 || length%8 != 0 || length > 1<<min(binary.BigEndian.Uint32(p[20:]), 21) {
		q.fail("header", "the header claims to be %d bytes long", length)
	}
	compression := byte(0)
	if length > qcow2HeaderV3 && len(p) >= qcow2Header {
		compression = p[qcow2HeaderV3]
	}
	if compression > 1 || (incompatible&qcow2Compression != 0) != (compression != 0) {
		q.fail("header", "the header claims the compression %d and says otherwise in its features", compression)
	}
}
