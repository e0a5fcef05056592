package diskformat

import (
	"encoding/binary"
	"math"
)

// parallels recognises the format of Parallels' disks, in both its versions. Source: QEMU, docs/interop/parallels.txt.
type parallels struct{ verdict }

func newParallels() *parallels { return &parallels{verdict{format: Parallels}} }

func (d *parallels) start() step {
	return step{0, 44, func(p []byte) step {
		old := hasPrefix(p, "WithoutFreeSpace")
		if !old && !hasPrefix(p, "WithouFreSpacExt") {
			return d.isNot()
		}
		d.is()
		if len(p) < 44 {
			return d.cutShort("the header", len(p))
		}
		sectors := binary.LittleEndian.Uint64(p[36:])
		if old {
			sectors &= math.MaxUint32
		}
		if sectors > math.MaxInt64/512 {
			return d.fail("header", "the header claims %d sectors", sectors)
		}
		d.size = int64(sectors) * 512
		return enough
	}}
}
