package diskformat

import (
	"context"
	"encoding/binary"
	"hash/crc32"
	"io"
	"iter"
	"slices"
)

// vhdxLog is the log of a VHDX: a ring of entries, each with changes of the file that may not have been made yet. Programs
// make them when they open the file; we see it as it would be then. Source: Microsoft, [MS-VHDX] 2.3.
type vhdxLog struct {
	id      guid // of the entries that count; zero if there are none
	version uint16
	off     uint64
	length  uint32
	ring    []byte
	budget  int // bytes that may still be looked at; entries that overlap could make that go on for hours
}

const (
	vhdxLogMax        = 16 << 20 // bytes of the longest log that is read; Hyper-V writes 1 MiB
	vhdxLogChanges    = 1 << 13  // that are replayed, more than there are sectors in the longest log
	vhdxLogSector     = 4 << 10  // entries consist of them
	vhdxLogHeader     = 64
	vhdxLogDescriptor = 32 // bytes that tell of a change
)

// vhdxReplay tells what to do about a log.
const vhdxReplay = "open it once with the program that wrote it, or with qemu-img check -r all"

// log reads what the newest header says of the log.
func (v *vhdx) log() vhdxLog {
	return vhdxLog{id: guid(v.newest[48:]), version: binary.LittleEndian.Uint16(v.newest[64:]),
		length: binary.LittleEndian.Uint32(v.newest[68:]), off: binary.LittleEndian.Uint64(v.newest[72:])}
}

// recover implements recoverer.
func (v *vhdx) recover(ctx context.Context, f *file) error {
	headers := newVHDX()
	for _, at := range []int64{64 << 10, 128 << 10} {
		p, err := readUpTo(ctx, f, at, vhdxHeader)
		if err != nil {
			return err
		}
		headers.header(p)
	}
	v.replayed = true
	l := headers.log()
	if l.id == (guid{}) || len(headers.problems) > 0 {
		return nil // what is wrong will be seen again
	}
	switch end := l.off + uint64(l.length); {
	case l.version != 0:
		return unsupported("it was not closed, and its log is of version %d, of which nothing is known", l.version)
	case l.length == 0 || l.length%vhdxUnit != 0 || l.off < vhdxUnit || l.off%vhdxUnit != 0 || end < l.off || end > uint64(f.Size()):
		return corrupt("it was not closed, and its log of %d bytes at %d is not where one may be", l.length, l.off)
	case l.length > vhdxLogMax:
		return unsupported("it was not closed, and its log of %d bytes is too long to be replayed here; "+vhdxReplay, l.length)
	}
	if err := f.cache.reserve(ctx, int(l.length)); err != nil {
		return err
	}
	defer f.cache.unreserve(int(l.length))
	ring, err := readUpTo(ctx, f, int64(l.off), int(l.length))
	if err != nil {
		return err
	}
	l.ring, l.budget = ring, 8*len(ring)
	active, err := l.active()
	if err != nil {
		return err
	}
	f.Source, err = l.replay(f.Source, active)
	return err
}

// A logEntry is one whose checksum is right.
type logEntry struct {
	at, length, tail int // in the ring
	sequence         uint64
	flushed, last    uint64 // bytes that the file has, and that it must have
	count            int    // of changes
}

// A logChange is one of a range of the file.
type logChange struct {
	off, n int64
	data   int // where in the ring the sector is that the range becomes; -1 for zeros
	lead   [8]byte
	trail  [4]byte
}

// sector is one of the ring, which goes on where it began.
func (l *vhdxLog) sector(at int) []byte { return l.ring[at%len(l.ring):][:vhdxLogSector] }

// active finds the entries that are to be replayed, in order: of all sequences of entries that are there whole the newest.
func (l *vhdxLog) active() (active []logEntry, err error) {
	for at := 0; at < len(l.ring); {
		var entries []logEntry
		next := at
		for {
			e, ok := l.entry(next)
			if !ok || len(entries) > 0 && e.sequence != entries[len(entries)-1].sequence+1 {
				break
			}
			entries = append(entries, e)
			next += e.length
		}
		if l.budget < 0 {
			return nil, corrupt("it was not closed, and its log is tangled")
		}
		at = max(next, at+vhdxLogSector)
		if len(entries) == 0 {
			continue
		}
		// What stands before the tail of the newest entry has been done.
		head := entries[len(entries)-1]
		tail := slices.IndexFunc(entries, func(e logEntry) bool { return e.at == head.tail })
		if tail >= 0 && (len(active) == 0 || head.sequence > active[len(active)-1].sequence) {
			active = entries[tail:]
		}
	}
	if len(active) == 0 {
		return nil, corrupt("it was not closed, and nothing in its log is whole")
	}
	return active, nil
}

// entry reads the one at a place in the ring, if there is one and all of it is valid.
func (l *vhdxLog) entry(at int) (e logEntry, ok bool) {
	p := l.sector(at)
	e = logEntry{at: at % len(l.ring), length: int(binary.LittleEndian.Uint32(p[8:])), tail: int(binary.LittleEndian.Uint32(p[12:])),
		sequence: binary.LittleEndian.Uint64(p[16:]), count: int(binary.LittleEndian.Uint32(p[24:])),
		flushed: binary.LittleEndian.Uint64(p[48:]), last: binary.LittleEndian.Uint64(p[56:])}
	if !hasPrefix(p, "loge") || guid(p[32:]) != l.id || e.sequence == 0 || e.length == 0 || e.length%vhdxLogSector != 0 || e.length > len(l.ring) ||
		e.count > (e.length-vhdxLogHeader)/vhdxLogDescriptor || !l.sumIs(e, binary.LittleEndian.Uint32(p[4:])) {
		return e, false
	}
	for _, ok := range l.changes(e) {
		if !ok {
			return e, false
		}
	}
	return e, true
}

// sumIs checks the checksum of an entry.
func (l *vhdxLog) sumIs(e logEntry, want uint32) bool {
	if l.budget -= e.length; l.budget < 0 {
		return false
	}
	first := slices.Clone(l.sector(e.at))
	clear(first[4:8])
	sum := crc32.Checksum(first, castagnoli)
	for i := vhdxLogSector; i < e.length; i += vhdxLogSector {
		sum = crc32.Update(sum, castagnoli, l.sector(e.at+i))
	}
	return sum == want
}

// changes yields those of an entry, and whether they are valid.
func (l *vhdxLog) changes(e logEntry) iter.Seq2[logChange, bool] {
	return func(yield func(logChange, bool) bool) {
		data := (vhdxLogHeader + e.count*vhdxLogDescriptor + vhdxLogSector - 1) / vhdxLogSector * vhdxLogSector // where it begins
		for i := range e.count {
			at := vhdxLogHeader + i*vhdxLogDescriptor
			p := l.sector(e.at + at - at%vhdxLogSector)[at%vhdxLogSector:]
			c, ok := l.change(p, e, data)
			if !yield(c, ok) {
				return
			}
			if c.data >= 0 {
				data += vhdxLogSector
			}
		}
	}
}

// change reads the one of an entry that p tells; data is where in the entry its sector would be.
func (l *vhdxLog) change(p []byte, e logEntry, data int) (c logChange, ok bool) {
	c = logChange{off: int64(binary.LittleEndian.Uint64(p[16:])), n: vhdxLogSector, data: -1}
	switch {
	case binary.LittleEndian.Uint64(p[24:]) != e.sequence:
		return c, false
	case hasPrefix(p, "zero"):
		c.n = int64(binary.LittleEndian.Uint64(p[8:]))
	case hasPrefix(p, "desc") && data < e.length:
		c.data, c.lead, c.trail = (e.at+data)%len(l.ring), [8]byte(p[8:]), [4]byte(p[4:])
		s := l.sector(c.data)
		if !hasPrefix(s, "data") || uint64(binary.LittleEndian.Uint32(s[4:]))<<32|uint64(binary.LittleEndian.Uint32(s[4092:])) != e.sequence {
			return c, false
		}
	default:
		return c, false
	}
	return c, c.off >= 0 && c.n >= 0 && c.off%vhdxLogSector == 0 && c.n%vhdxLogSector == 0
}

// replay returns the file with the changes of the entries.
func (l *vhdxLog) replay(src Source, entries []logEntry) (Source, error) {
	r := &replayed{src: src, log: int64(l.off), size: src.Size()}
	count := 0
	for _, e := range entries {
		if e.flushed > uint64(src.Size()) || e.last > 1<<62 {
			return nil, corrupt("it was not closed, and has %d bytes where its log has seen %d, or is to have %d", src.Size(), e.flushed, e.last)
		}
		r.size = max(r.size, int64(e.last))
		count += e.count
	}
	if count > vhdxLogChanges {
		return nil, unsupported("it was not closed, and %d changes in its log are too many to be replayed here; "+vhdxReplay, count)
	}
	for _, e := range entries {
		for c := range l.changes(e) {
			if c.off > r.size-c.n {
				return nil, corrupt("its log changes %d bytes at %d, and it has %d in all", c.n, c.off, r.size)
			}
			if c.n > 0 {
				r.put(c)
			}
		}
	}
	return r, nil
}

// replayed is a file whose log has been replayed.
type replayed struct {
	src     Source
	log     int64 // where the ring is
	size    int64
	changes []logChange // in the order of their offsets; none overlap
}

// put adds a change that is newer than all others. Those of data are of one sector, so a part can only be left of zeros.
func (r *replayed) put(c logChange) {
	end := c.off + c.n
	i, _ := slices.BinarySearchFunc(r.changes, c.off, cmpEnd)
	j := i
	with := []logChange{c}
	for ; j < len(r.changes) && r.changes[j].off < end; j++ {
		if old := r.changes[j]; old.off < c.off {
			old.n = c.off - old.off
			with = slices.Insert(with, 0, old)
		}
		if old := r.changes[j]; old.off+old.n > end {
			old.n -= end - old.off
			old.off = end
			with = append(with, old)
		}
	}
	r.changes = slices.Replace(r.changes, i, j, with...)
}

// cmpEnd orders a change before an offset if it ends there.
func cmpEnd(c logChange, off int64) int {
	if c.off+c.n <= off {
		return -1
	}
	return 1
}

func (r *replayed) Size() int64 { return r.size }

// ReadAt implements Source.
func (r *replayed) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if off < 0 || off > r.size {
		return 0, io.EOF
	}
	var end error
	if left := r.size - off; int64(len(p)) > left {
		p, end = p[:left], io.EOF
	}
	there := p[:max(0, min(int64(len(p)), r.src.Size()-off))]
	if n, err := r.src.ReadAt(ctx, there, off); n < len(there) {
		return n, err
	}
	clear(p[len(there):])
	i, _ := slices.BinarySearchFunc(r.changes, off, cmpEnd)
	for _, c := range r.changes[i:] {
		if c.off >= off+int64(len(p)) {
			break
		}
		if err := r.apply(ctx, c, p, off); err != nil {
			return 0, err
		}
	}
	return len(p), end
}

// apply makes a change in bytes that were read at off.
func (r *replayed) apply(ctx context.Context, c logChange, p []byte, off int64) error {
	begin := max(c.off, off)
	to := p[begin-off : min(c.off+c.n, off+int64(len(p)))-off]
	if c.data < 0 {
		clear(to)
		return nil
	}
	sector, err := readUpTo(ctx, r.src, r.log+int64(c.data), vhdxLogSector)
	if err != nil {
		return err
	}
	copy(sector, c.lead[:])
	copy(sector[vhdxLogSector-len(c.trail):], c.trail[:])
	copy(to, sector[begin-c.off:])
	return nil
}
