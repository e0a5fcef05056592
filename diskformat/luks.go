package diskformat

import "encoding/binary"

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
