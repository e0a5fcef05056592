package diskformat

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
)

// qcow2 recognises QEMU's format of versions 2 and 3. Source: QEMU, docs/interop/qcow2.txt.
type qcow2 struct {
	header [104]byte // what version 3 requires
	have   int
}

const (
	qcow2Magic    = "QFI\xfb" // also of version 1, which nothing reads any more
	qcow2HeaderV2 = 72
	qcow2HeaderV3 = 104
)

func (q *qcow2) examine(off int64, p []byte) bool {
	q.have += copy(q.header[q.have:], p)
	return q.have == len(q.header) || !q.pretends()
}

// pretends reports whether the bytes so far may be the beginning of the format.
func (q *qcow2) pretends() bool {
	n := min(q.have, len(qcow2Magic))
	return bytes.Equal(q.header[:n], []byte(qcow2Magic)[:n])
}

func (q *qcow2) verdict(int64) (Info, bool, error) {
	info := Info{Format: QCOW2}
	if q.have < len(qcow2Magic) || !q.pretends() {
		return Info{}, false, nil
	}
	size, err := q.virtualSize()
	info.VirtualSize = size
	return info, true, err
}

func (q *qcow2) virtualSize() (int64, error) {
	if q.have < 8 {
		return 0, fmt.Errorf("%w: the qcow2 header is cut short at %d bytes", ErrMalformed, q.have)
	}
	version, need := binary.BigEndian.Uint32(q.header[4:]), qcow2HeaderV2
	switch version {
	case 2:
	case 3:
		need = qcow2HeaderV3
	default:
		return 0, fmt.Errorf("%w: qcow2 version %d is not supported", ErrMalformed, version)
	}
	if q.have < need {
		return 0, fmt.Errorf("%w: the qcow2 header is cut short at %d of %d bytes", ErrMalformed, q.have, need)
	}
	clusterBits := binary.BigEndian.Uint32(q.header[20:])
	if clusterBits < 9 || clusterBits > 21 {
		return 0, fmt.Errorf("%w: the qcow2 header claims clusters of 2^%d bytes", ErrMalformed, clusterBits)
	}
	if length := binary.BigEndian.Uint32(q.header[100:]); version == 3 && (length < qcow2HeaderV3 || length > 1<<clusterBits) {
		return 0, fmt.Errorf("%w: the qcow2 header claims to be %d bytes long", ErrMalformed, length)
	}
	size := binary.BigEndian.Uint64(q.header[24:])
	if size > math.MaxInt64 {
		return 0, fmt.Errorf("%w: the qcow2 header claims a virtual size of %d bytes", ErrMalformed, size)
	}
	return int64(size), nil
}
