package diskformat

import (
	"encoding/binary"
	"errors"
	"hash/adler32"
	"math/bits"
	"sync"
)

// An inflater decompresses deflate streams that are in memory whole, into blocks whose size is known. That lets it be about
// twice as fast as what reads from streams. Source: RFC 1951; the tables are as in libdeflate.
type inflater struct {
	src, dst []byte
	pos, out int    // how far they are read, and written
	buf      uint64 // the bits that come next; more of them than count may be there
	count    uint   // how many of them are from before pos
	missing  uint   // how many bytes of them are from behind the end, as zeros

	lengths  [286 + 30]uint8
	literals [2342]uint32 // as many as such tables ever need
	dists    [402]uint32
	codes    [128]uint32
}

// Bits that index the tables. A longer code leads to a table of its own, behind the first one.
const (
	literalBits = 11
	distBits    = 8
	codeBits    = 7
)

// An entry of a table has the number of bits to take in its lowest byte, extra ones included, above it in 4 bits how many
// of them are the code, and in its upper half the value to which the extra bits are added.
const (
	entryLiteral = 1 << 31 // the value is a byte
	entrySpecial = 1 << 15 // one of the two below, or no code at all
	entryTable   = 1 << 14 // where the value says; it has as many index bits as the code's number
	entryEnd     = 1 << 13 // of the block
)

var (
	errDeflate = errors.New("it is no deflate stream")
	errSum     = errors.New("its checksum is wrong")
)

var inflaters = sync.Pool{New: func() any { return new(inflater) }}

// inflate fills dst from a deflate stream, and ignores what comes then.
func inflate(dst, src []byte) error {
	z := inflaters.Get().(*inflater)
	defer z.put()
	if err := z.run(dst, src, false); err != nil {
		return err
	}
	if z.out < len(dst) {
		return errShort
	}
	return nil
}

// unzlib unpacks a zlib stream into dst and returns how many bytes it has, which are some and not more than fit. It ignores
// what comes then. Source: RFC 1950.
func unzlib(dst, src []byte) (n int, err error) {
	if len(src) < 2 || src[0]&15 != 8 || src[0]>>4 > 7 || src[1]&(1<<5) != 0 || binary.BigEndian.Uint16(src)%31 != 0 {
		return 0, errDeflate
	}
	z := inflaters.Get().(*inflater)
	defer z.put()
	if err := z.run(dst, src[2:], true); err != nil {
		return z.out, err
	}
	sum := z.rest()
	switch {
	case z.out == 0 || len(sum) < 4:
		return z.out, errShort
	case binary.BigEndian.Uint32(sum) != adler32.Checksum(dst[:z.out]):
		return z.out, errSum
	}
	return z.out, nil
}

// put lets the next one use the tables.
func (z *inflater) put() {
	z.src, z.dst = nil, nil
	inflaters.Put(z)
}

// run decompresses until dst is full, or to the end of the stream, for which it must do.
func (z *inflater) run(dst, src []byte, toEnd bool) error {
	z.src, z.dst, z.pos, z.out, z.buf, z.count, z.missing = src, dst, 0, 0, 0, 0, 0
	for last := false; !last && (toEnd || z.out < len(dst)); {
		z.refill()
		last = z.take(1) == 1
		var err error
		switch z.take(2) {
		case 0:
			err = z.storedBlock(toEnd)
		case 1:
			if err = z.fixedCodes(); err == nil {
				err = z.block(toEnd)
			}
		case 2:
			if err = z.ownCodes(); err == nil {
				err = z.block(toEnd)
			}
		default:
			err = errDeflate
		}
		if err == nil && z.missing > z.count/8 {
			err = errShort
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// rest returns what comes after the byte in which the last bit was.
func (z *inflater) rest() []byte { return z.src[z.pos-int(z.count/8-z.missing):] }

// refill makes sure that there are 56 bits, of zeros where the input has ended.
func (z *inflater) refill() {
	if z.pos+8 <= len(z.src) {
		z.buf |= binary.LittleEndian.Uint64(z.src[z.pos:]) << z.count
		z.pos += int(63-z.count) >> 3
		z.count |= 56
		return
	}
	for ; z.count < 56; z.count += 8 {
		if z.pos < len(z.src) {
			z.buf |= uint64(z.src[z.pos]) << z.count
			z.pos++
		} else {
			z.missing++
		}
	}
}

// take returns the next n bits, which must be there.
func (z *inflater) take(n uint) uint {
	v := uint(z.buf & (1<<n - 1))
	z.buf >>= n
	z.count -= n
	return v
}

func (z *inflater) storedBlock(toEnd bool) error {
	if z.missing > z.count/8 {
		return errShort
	}
	z.src = z.rest()
	z.pos, z.buf, z.count, z.missing = 0, 0, 0, 0
	if len(z.src) < 4 {
		return errShort
	}
	n := int(binary.LittleEndian.Uint16(z.src))
	if n != int(^binary.LittleEndian.Uint16(z.src[2:])) {
		return errDeflate
	}
	z.src = z.src[4:]
	copied := copy(z.dst[z.out:], z.src[:min(n, len(z.src))])
	z.src, z.out = z.src[copied:], z.out+copied
	switch {
	case copied == n || z.out == len(z.dst) && !toEnd:
		return nil
	case z.out == len(z.dst):
		return errLong
	}
	return errShort
}

// fixedCodes makes the tables of a block that has none.
func (z *inflater) fixedCodes() error {
	var lengths [288]uint8
	for i := range lengths {
		switch {
		case i < 144:
			lengths[i] = 8
		case i < 256:
			lengths[i] = 9
		case i < 280:
			lengths[i] = 7
		default:
			lengths[i] = 8
		}
	}
	if !makeTable(z.literals[:], literalBits, lengths[:], literalValues[:]) {
		return errDeflate
	}
	for i := range 32 {
		lengths[i] = 5
	}
	if !makeTable(z.dists[:], distBits, lengths[:32], distValues[:]) {
		return errDeflate
	}
	return nil
}

// codeOrder is the order in which the lengths of the codes for lengths stand.
var codeOrder = [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// ownCodes makes the tables from what stands in front of a block.
func (z *inflater) ownCodes() error {
	literals, dists, codes := z.take(5)+257, z.take(5)+1, z.take(4)+4
	if literals > 286 || dists > 30 {
		return errDeflate
	}
	var lengths [19]uint8
	for i := range codes {
		if i%16 == 0 {
			z.refill()
		}
		lengths[codeOrder[i]] = uint8(z.take(3))
	}
	if !makeTable(z.codes[:], codeBits, lengths[:], codeValues[:]) {
		return errDeflate
	}
	for i := uint(0); i < literals+dists; {
		z.refill()
		e := z.codes[z.buf&(1<<codeBits-1)]
		if e&entrySpecial != 0 || z.missing > z.count/8 {
			return errDeflate
		}
		z.take(uint(e & 0xff))
		length, again := uint8(e>>16), uint(1)
		switch length {
		case 16:
			if i == 0 {
				return errDeflate
			}
			length, again = z.lengths[i-1], 3+z.take(2)
		case 17:
			length, again = 0, 3+z.take(3)
		case 18:
			length, again = 0, 11+z.take(7)
		}
		if again > literals+dists-i {
			return errDeflate
		}
		for range again {
			z.lengths[i] = length
			i++
		}
	}
	const end = 256
	if z.lengths[end] == 0 || !makeTable(z.literals[:], literalBits, z.lengths[:literals], literalValues[:]) ||
		!makeTable(z.dists[:], distBits, z.lengths[literals:literals+dists], distValues[:]) {
		return errDeflate
	}
	return nil
}

// block decompresses until the end of the block, or of the place for it if that will do.
func (z *inflater) block(toEnd bool) error {
	src, dst := z.src, z.dst
	pos, out, buf, count := z.pos, z.out, z.buf, z.count // in registers
	for out < len(dst) {
		if pos+8 <= len(src) { // refill, in place
			buf |= binary.LittleEndian.Uint64(src[pos:]) << (count & 63)
			pos += int(63-count) >> 3
			count |= 56
		} else {
			z.pos, z.buf, z.count = pos, buf, count
			if z.refill(); z.missing > z.count/8 {
				return errShort
			}
			pos, buf, count = z.pos, z.buf, z.count
		}
		e := z.literals[buf&(1<<literalBits-1)]
		if e&entryLiteral != 0 {
			for range 3 { // no more than there are bits for
				buf >>= e & 63
				count -= uint(e & 63)
				dst[out] = byte(e >> 16)
				out++
				if e = z.literals[buf&(1<<literalBits-1)]; e&entryLiteral == 0 || out == len(dst) {
					break
				}
			}
			continue
		}
		if e&entryTable != 0 {
			buf >>= e & 63
			count -= uint(e & 63)
			e = z.literals[e>>16+uint32(buf)&(1<<(e>>8&15)-1)]
		}
		saved := buf
		buf >>= e & 63
		count -= uint(e & 63)
		switch {
		case e&entryLiteral != 0:
			dst[out] = byte(e >> 16)
			out++
			continue
		case e&entryEnd != 0:
			z.pos, z.out, z.buf, z.count = pos, out, buf, count
			return nil
		case e&entrySpecial != 0:
			return errDeflate
		}
		length := int(e>>16) + int(saved&(1<<(e&63)-1)>>(e>>8&15))
		if e = z.dists[buf&(1<<distBits-1)]; e&entryTable != 0 {
			buf >>= e & 63
			count -= uint(e & 63)
			e = z.dists[e>>16+uint32(buf)&(1<<(e>>8&15)-1)]
		}
		if e&entrySpecial != 0 {
			return errDeflate
		}
		dist := int(e>>16) + int(buf&(1<<(e&63)-1)>>(e>>8&15))
		buf >>= e & 63
		count -= uint(e & 63)
		if dist > out {
			return errDeflate
		}
		repeat(dst, out, dist, length)
		out += length
	}
	z.pos, z.out, z.buf, z.count = pos, len(dst), buf, count
	if !toEnd {
		return nil
	}
	z.refill()
	e := z.literals[z.buf&(1<<literalBits-1)]
	if e&entryTable != 0 {
		z.take(uint(e & 63))
		e = z.literals[e>>16+uint32(z.buf)&(1<<(e>>8&15)-1)]
	}
	if e&entryEnd == 0 {
		return errLong
	}
	z.take(uint(e & 63))
	return nil
}

// repeat writes length bytes at out of dst, those that stand dist bytes before; no more than there is place for. What is
// behind them may be overwritten.
func repeat(dst []byte, out, dist, length int) {
	from := out - dist
	if dist >= 8 && length+8 <= len(dst)-out {
		for end := out + length; out < end; from, out = from+8, out+8 {
			binary.LittleEndian.PutUint64(dst[out:], binary.LittleEndian.Uint64(dst[from:]))
		}
		return
	}
	for end := min(out+length, len(dst)); out < end; {
		out += copy(dst[out:end], dst[from:out]) // twice as much each time
	}
}

// What the symbols of the three kinds of codes stand for, as entries without the bits of the code.
var literalValues, distValues, codeValues = func() (literals [288]uint32, dists [32]uint32, codes [19]uint32) {
	for i := range literals {
		switch {
		case i < 256:
			literals[i] = entryLiteral | uint32(i)<<16
		case i == 256:
			literals[i] = entrySpecial | entryEnd
		case i < 265:
			literals[i] = uint32(i-257+3) << 16
		case i < 285:
			extra := uint32(i-261) / 4
			literals[i] = (3+(4+uint32(i-261)%4)<<extra)<<16 | extra
		case i == 285:
			literals[i] = 258 << 16
		default:
			literals[i] = entrySpecial
		}
	}
	for i := range dists {
		switch {
		case i < 4:
			dists[i] = uint32(i+1) << 16
		case i < 30:
			extra := uint32(i-2) / 2
			dists[i] = (1+(2+uint32(i)%2)<<extra)<<16 | extra
		default:
			dists[i] = entrySpecial
		}
	}
	for i := range codes {
		codes[i] = uint32(i) << 16
	}
	return
}()

// makeTable makes the table of a code from the lengths of its symbols. It reports false if they are those of no code. Only a
// code of a single symbol, or of none, may be incomplete.
func makeTable(table []uint32, indexBits int, lengths []uint8, values []uint32) bool {
	var count, next [16]int
	for _, l := range lengths {
		count[l]++
	}
	longest, left := 0, 1
	for l := 1; l < 16; l++ {
		if left = 2*left - count[l]; left < 0 {
			return false
		}
		if next[l] = next[l-1]; l > 1 {
			next[l] += count[l-1]
		}
		if count[l] > 0 {
			longest = l
		}
	}
	if left > 0 {
		if longest > 1 {
			return false
		}
		for i := range 1 << indexBits {
			table[i] = entrySpecial
		}
	}
	var sorted [288]uint16 // by the length of their codes
	for symbol, l := range lengths {
		if l > 0 {
			sorted[next[l]] = uint16(symbol)
			next[l]++
		}
	}
	code, i, subtable, subtables := 0, 0, -1, 1<<indexBits
	var subBits int
	for l := 1; l <= longest; l++ {
		for ; count[l] > 0; count[l]-- {
			symbol := sorted[i]
			i++
			reversed := int(bits.Reverse16(uint16(code)) >> (16 - l))
			code++
			if l <= indexBits {
				e := values[symbol] + uint32(l) | uint32(l)<<8
				for at := reversed; at < 1<<indexBits; at += 1 << l {
					table[at] = e
				}
				continue
			}
			if prefix := reversed & (1<<indexBits - 1); prefix != subtable {
				if subtable >= 0 {
					subtables += 1 << subBits
				}
				subtable, subBits = prefix, l-indexBits
				for open := 1<<subBits - count[l]; open > 0 && subBits+indexBits < longest; {
					subBits++
					open = 2*open - count[subBits+indexBits]
				}
				table[prefix] = entrySpecial | entryTable | uint32(subtables)<<16 | uint32(subBits)<<8 | uint32(indexBits)
			}
			l := l - indexBits
			e := values[symbol] + uint32(l) | uint32(l)<<8
			for at := reversed >> indexBits; at < 1<<subBits; at += 1 << l {
				table[subtables+at] = e
			}
		}
		code <<= 1
	}
	return true
}
