package diskformat

import (
	"encoding/binary"
	"math"
)

// banned recognises a format that is never taken: nobody needs it any more, but QEMU still opens it. Source: QEMU,
// block/qed.c, block/bochs.c and block/cloop.c.
type banned struct {
	verdict
	magic string
}

func newBanned(format, magic string) *banned { return &banned{verdict{format: format}, magic} }

func newQED() *banned   { return newBanned(QED, "QED\x00") }
func newBochs() *banned { return newBanned(Bochs, "Bochs Virtual HD Image") }
func newCloop() *banned { return newBanned(Cloop, "#!/bin/sh\n#V2.0 Format\nmodprobe cloop") }

func (b *banned) start() step {
	return step{0, len(b.magic), func(p []byte) step {
		if !hasPrefix(p, b.magic) {
			return b.isNot()
		}
		b.is()
		return b.fail("banned", "%s is not supported; convert it to qcow2", b.format)
	}}
}

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

// luks recognises a volume encrypted by Linux. Source: cryptsetup, LUKS1 On-Disk Format Specification 1.2.3.
type luks struct {
	verdict
	payload int64 // where the data begins
}

const luksMagic = "LUKS\xba\xbe"

func newLUKS() *luks { return &luks{verdict: verdict{format: LUKS}} }

func (l *luks) start() step { return step{0, 592, l.header} }

func (l *luks) header(p []byte) step {
	if !hasPrefix(p, luksMagic) {
		return l.isNot()
	}
	l.is()
	if len(p) < 8 {
		return l.cutShort("the LUKS header", len(p))
	}
	if version := binary.BigEndian.Uint16(p[6:]); version != 1 {
		return l.fail("version", "version %d of LUKS is not supported, only 1 is", version)
	}
	if len(p) < 592 {
		return l.cutShort("the LUKS header", len(p))
	}
	for i, what := range []string{"cipher", "cipher mode", "hash"} {
		if !isWord(p[8+32*i:][:32]) {
			return l.fail("cipher", "the LUKS header names no %s", what)
		}
	}
	l.payload = int64(binary.BigEndian.Uint32(p[104:])) * 512
	return enough
}

func (l *luks) end(size int64, _ []byte) {
	switch {
	case !l.match || len(l.problems) > 0:
	case l.payload > size:
		l.fail("header", "the LUKS header puts the data at %d, behind the end", l.payload)
	default:
		l.size = size - l.payload
	}
}

// isWord tells whether p is printable text, filled up with NUL.
func isWord(p []byte) bool {
	n := 0
	for n < len(p) && p[n] > ' ' && p[n] < 0x7f {
		n++
	}
	return n > 0 && allZero(p[n:])
}

func allZero(p []byte) bool {
	for _, b := range p {
		if b != 0 {
			return false
		}
	}
	return true
}
