package diskformat

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// qcow2 recognises QEMU's format. Source: QEMU, docs/interop/qcow2.txt.
type qcow2 struct {
	verdict
	version     uint32
	clusterBits uint32
	crypt       uint32 // the encryption method, 0 for none
	l1Entries   uint32
	l1          uint64 // where the first table stands
	features    uint64 // that are incompatible
	zstd        bool   // packed clusters are of zstd, not of zlib
}

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

func newQCOW2() *qcow2 { return &qcow2{verdict: verdict{format: QCOW2}} }

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
	switch q.version = binary.BigEndian.Uint32(p[4:]); q.version {
	case 2:
	case 3:
		need = qcow2HeaderV3
	default:
		return q.fail("version", "version %d of qcow2 is not supported, only 2 and 3 are", q.version)
	}
	if len(p) < need {
		return q.cutShort("the qcow2 header", len(p))
	}
	q.fields(p)
	q.backing(p)
	if q.version == 3 {
		q.fieldsV3(p)
	}
	return enough
}

func (q *qcow2) fields(p []byte) {
	q.l1Entries, q.l1 = binary.BigEndian.Uint32(p[36:]), binary.BigEndian.Uint64(p[40:])
	if q.clusterBits = binary.BigEndian.Uint32(p[20:]); q.clusterBits < 9 || q.clusterBits > 21 {
		q.fail("header", "the header claims clusters of 2^%d bytes", q.clusterBits)
	}
	if q.crypt = binary.BigEndian.Uint32(p[32:]); q.crypt > 2 {
		q.fail("header", "the header claims the unknown encryption method %d", q.crypt)
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

func (q *qcow2) fieldsV3(p []byte) {
	q.features = binary.BigEndian.Uint64(p[72:])
	if q.features&qcow2DataFile != 0 {
		q.fail("data_file", "its data lies in an external file, which a hypervisor would open on its own disk and show to the guest; "+
			"flatten it with qemu-img convert")
	}
	if unknown := q.features &^ qcow2Known; unknown != 0 {
		q.fail("unknown_features", "it needs incompatible feature %d, of which nothing is known", bits.TrailingZeros64(unknown))
	}
	if order := binary.BigEndian.Uint32(p[96:]); order > 6 {
		q.fail("header", "the header claims reference counts of 2^%d bits", order)
	}
	length := binary.BigEndian.Uint32(p[100:])
	if length < qcow2HeaderV3 || length%8 != 0 || length > 1<<min(q.clusterBits, 21) {
		q.fail("header", "the header claims to be %d bytes long", length)
	}
	compression := byte(0)
	if length > qcow2HeaderV3 && len(p) >= qcow2Header {
		compression = p[qcow2HeaderV3]
	}
	if compression > 1 || (q.features&qcow2Compression != 0) != (compression != 0) {
		q.fail("header", "the header claims the compression %d and says otherwise in its features", compression)
	}
	q.zstd = compression == 1
}
