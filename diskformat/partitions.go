package diskformat

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// partitions recognises a table of partitions, MBR or GPT (which has an MBR that protects it), as long as it looks like
// one: guests do not agree on what a doubtful one means, and programs may take it for something else.
// Source: UEFI Specification 2.10, section 5.
type partitions struct {
	verdict
	nonfatal []string
}

// PartitionChecks are the names of the safety checks.
var PartitionChecks = []string{"boot_flag", "protective_mbr", "extra_partitions"}

// allPartitionChecks is the name that Glance knows them by.
const allPartitionChecks = "mbr"

const (
	mbrSize       = 512
	mbrTable      = 446
	mbrEntry      = 16
	mbrProtective = 0xee
)

func newPartitions(rules Rules) *partitions {
	return &partitions{verdict{format: GPT}, rules.NonfatalPartitionChecks}
}

func (d *partitions) start() step { return step{0, mbrSize, d.mbr} }

func (d *partitions) mbr(p []byte) step {
	if len(p) < mbrSize || p[510] != 0x55 || p[511] != 0xaa || allZero(p[mbrTable:510]) || isFileSystem(p) || hasPrefix(p, luksMagic) {
		return d.isNot() // the salt of a LUKS key may be any bytes
	}
	d.is()
	protective, others := false, 0
	for i := range 4 {
		e := p[mbrTable+i*mbrEntry:][:mbrEntry]
		if e[0] != 0 && e[0] != 0x80 {
			d.warn("boot_flag", "partition %d has the boot flag %#x, which must be 0 or 0x80", i+1, e[0])
		}
		switch {
		case e[4] == 0:
		case e[4] == mbrProtective && i == 0:
			protective = true
			if !bytes.Equal(e[1:4], []byte{0, 2, 0}) || binary.LittleEndian.Uint32(e[8:]) != 1 {
				d.warn("protective_mbr", "the entry that protects the GPT does not begin at cylinder 0, head 0, sector 2, which is block 1")
			}
		case e[4] == mbrProtective:
			protective = true
			others++
		default:
			others++
		}
	}
	if protective && others > 0 {
		d.warn("extra_partitions", "the MBR that protects the GPT holds %d more partitions: systems would not agree on which there are", others)
	}
	return enough
}

// warn notes a problem unless the operator does not mind it.
func (d *partitions) warn(check, text string, args ...any) {
	if !slices.Contains(d.nonfatal, check) && !slices.Contains(d.nonfatal, allPartitionChecks) {
		d.fail(check, text, args...)
	}
}

func (d *partitions) end(size int64, _ []byte) { d.size = size }

// isFileSystem tells whether the sector is the first one of a file system, which ends like an MBR but has code where the
// table would be. It jumps over a block that describes a FAT, or says what else it is.
func isFileSystem(p []byte) bool {
	if p[0] != 0xeb && p[0] != 0xe9 {
		return false
	}
	for _, name := range []string{"NTFS    ", "EXFAT   "} {
		if hasPrefix(p[3:], name) {
			return true
		}
	}
	sector, cluster, fats, media := binary.LittleEndian.Uint16(p[11:]), p[13], p[16], p[21]
	return slices.Contains([]uint16{512, 1024, 2048, 4096}, sector) && cluster != 0 && cluster&(cluster-1) == 0 &&
		(fats == 1 || fats == 2) && (media == 0xf0 || media >= 0xf8)
}
