package diskformat

import (
	"encoding/binary"
	"slices"
)

// iso recognises an optical disc: ISO 9660, UDF, or both. What it is stands in volume descriptors, one in each sector from
// the 16th on. Source: ECMA-119, section 9; ECMA-167, part 2.
type iso struct {
	verdict
	sectors int // seen
}

const (
	isoStart  = 16 * isoSector
	isoSector = 2048
	isoMost   = 32 // descriptors that are looked at
)

// Identifiers of volume descriptors. Those of isoDiscs tell what the volume is, the others stand around them.
var (
	isoDiscs  = []string{"CD001", "NSR02", "NSR03"}
	isoOthers = []string{"BEA01", "BOOT2", "CDW02"}
)

func newISO() *iso { return &iso{verdict: verdict{format: ISO}} }

func (d *iso) start() step { return step{isoStart, isoSector, d.descriptor} }

func (d *iso) descriptor(p []byte) step {
	if len(p) < 6 {
		return d.last()
	}
	id := string(p[1:6])
	switch disc := slices.Contains(isoDiscs, id); {
	case disc:
		d.is()
		if len(p) < isoSector {
			return d.cutShort("a volume descriptor", len(p))
		}
	case !slices.Contains(isoOthers, id):
		return d.last()
	}
	if id == "CD001" && p[0] == 1 { // the primary one
		d.size = int64(binary.LittleEndian.Uint16(p[128:])) * int64(binary.LittleEndian.Uint32(p[80:]))
		return enough
	}
	if d.sectors++; d.sectors == isoMost {
		return d.last()
	}
	return step{isoStart + int64(d.sectors)*isoSector, isoSector, d.descriptor}
}

// last ends the looking: what is no disc by now is none.
func (d *iso) last() step {
	d.decided = true
	return enough
}

// end gives a disc that does not tell its size that of the bytes.
func (d *iso) end(size int64, _ []byte) {
	if d.match && d.size == 0 {
		d.size = size
	}
}
