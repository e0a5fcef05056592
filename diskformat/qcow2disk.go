package diskformat

import (
	"context"
	"encoding/binary"
	"math"
	"math/bits"
)

// A qcow2Layout reads the two levels of tables that lead to the clusters of a qcow2. Reference counts and internal
// snapshots do not matter for reading, and neither does what marks an image as dirty or corrupt.
type qcow2Layout struct {
	file       *file
	clusters   int // bits of an offset within a cluster
	l1, l1Size int64
	entrySize  int64 // of the tables of the second level: 8, or 16 with the map of the cluster's parts
	tableBits  int   // bits of an index into such a table
	zeroEntry  bool  // entries can say that a cluster is zero
	decompress func(dst, src []byte) error
}

const (
	qcow2MaxL1 = 32 << 20 // bytes, as in QEMU
	qcow2Page  = 4 << 10  // bytes of a table that are read at once
	qcow2Parts = 32       // of a cluster; an extended entry has a bit for each
)

// What stands in an entry of a table.
const (
	qcow2Offset = 1<<56 - 1<<9
	qcow2Packed = 1 << 62
	qcow2Zero   = 1
)

// open checks what can be known from the header and from the first table.
func (q *qcow2) open(ctx context.Context, f *file) (layout, error) {
	if q.crypt != 0 {
		return nil, unsupported("it is encrypted")
	}
	l := &qcow2Layout{file: f, clusters: int(q.clusterBits), l1: int64(q.l1), l1Size: int64(q.l1Entries) * 8,
		entrySize: 8, zeroEntry: q.version > 2, decompress: inflate}
	if q.features&qcow2ExtendedL2 != 0 {
		l.entrySize = 16
		if q.clusterBits < 14 {
			return nil, corrupt("it has parts of clusters, and clusters of only 2^%d bytes", q.clusterBits)
		}
	}
	if q.zstd {
		l.decompress = unzstd
	}
	l.tableBits = l.clusters - bits.TrailingZeros64(uint64(l.entrySize))
	need := divideUp(q.size, 1<<(l.clusters+l.tableBits))
	switch {
	case int64(q.l1Entries) < need:
		return nil, corrupt("its first table has %d entries, and the disk needs %d", q.l1Entries, need)
	case l.l1Size > qcow2MaxL1:
		return nil, corrupt("its first table has %d bytes; %d are the most", l.l1Size, qcow2MaxL1)
	case q.l1%(1<<l.clusters) != 0:
		return nil, corrupt("its first table stands at %d, which is within a cluster", q.l1)
	case q.l1 > uint64(f.Size()) || l.l1 > f.Size()-l.l1Size:
		return nil, f.outside(l.l1, l.l1Size)
	}
	return l, l.countTables(ctx, need)
}

// countTables makes sure that there are no more tables of the second level than the file has clusters. So nobody can be
// made to walk through the same one for years.
func (l *qcow2Layout) countTables(ctx context.Context, entries int64) error {
	tables := int64(0)
	p := make([]byte, min(entries*8, 1<<20))
	for at := int64(0); at < entries*8; at += int64(len(p)) {
		p = p[:min(int64(len(p)), entries*8-at)]
		if err := l.file.fill(ctx, p, l.l1+at); err != nil {
			return err
		}
		for i := 0; i < len(p); i += 8 {
			if binary.BigEndian.Uint64(p[i:])&qcow2Offset != 0 {
				tables++
			}
		}
	}
	if most := l.file.Size() >> l.clusters; tables > most {
		return corrupt("it has %d tables, and no more than %d clusters", tables, most)
	}
	return nil
}

func (l *qcow2Layout) clusterSize() int64 { return 1 << l.clusters }

// find implements layout.
func (l *qcow2Layout) find(ctx context.Context, off, n int64) (run, error) {
	table, holes, err := l.table(ctx, off>>(l.clusters+l.tableBits))
	if err != nil {
		return run{}, err
	}
	if table == 0 {
		span := int64(1) << (l.clusters + l.tableBits)
		return run{n: min(n, holes*span-off&(span-1))}, nil
	}
	page := min(qcow2Page, l.clusterSize())
	at := off >> l.clusters & (1<<l.tableBits - 1) * l.entrySize
	p, err := l.file.page(ctx, table+at&^(page-1), int(page))
	if err != nil {
		return run{}, err
	}
	defer l.file.cache.release(p)
	return l.follow(p.data[at&(page-1):], off, n)
}

// table returns where the table of the second level stands to which an entry of the first one leads, or for how many
// entries from there on there is none.
func (l *qcow2Layout) table(ctx context.Context, index int64) (at, holes int64, err error) {
	first := index * 8 &^ (qcow2Page - 1)
	p, err := l.file.page(ctx, l.l1+first, int(min(qcow2Page, l.l1Size-first)))
	if err != nil {
		return 0, 0, err
	}
	defer l.file.cache.release(p)
	entries := p.data[index*8-first:]
	if at = qcow2At(entries); at&(l.clusterSize()-1) != 0 {
		return 0, 0, corrupt("entry %d of its first table leads to %d, which is within a cluster", index, at)
	}
	if at != 0 {
		return at, 0, nil
	}
	for ; len(entries) > 0 && qcow2At(entries) == 0; entries = entries[8:] {
		holes++
	}
	return 0, holes, nil
}

// qcow2At returns where an entry leads to, 0 for nowhere.
func qcow2At(entry []byte) int64 { return int64(binary.BigEndian.Uint64(entry) & qcow2Offset) }

// follow returns the run that begins at off, whose cluster is that of the first entry.
func (l *qcow2Layout) follow(entries []byte, off, n int64) (run, error) {
	within := off & (l.clusterSize() - 1)
	r, err := l.cluster(entries, within)
	if err != nil {
		return run{}, err
	}
	for end := within + r.n; end == l.clusterSize() && r.n < n; {
		if entries = entries[l.entrySize:]; len(entries) == 0 {
			break
		}
		next, err := l.cluster(entries, 0)
		if err != nil || !r.joins(next) {
			break // it is for the one who asks for it
		}
		r.n += next.n
		end = next.n
	}
	r.n = min(r.n, n)
	return r, nil
}

// cluster returns the run that begins at an offset within the cluster of an entry, as far as it goes there.
func (l *qcow2Layout) cluster(entry []byte, within int64) (run, error) {
	if e := binary.BigEndian.Uint64(entry); e&qcow2Packed != 0 {
		return l.packedCluster(e, within)
	}
	parts, err := l.parts(entry)
	if err != nil {
		return run{}, err
	}
	partBits := l.clusters - bits.TrailingZeros(qcow2Parts)
	part := within >> partBits
	if here := parts >> part; here&1 == 0 {
		last := min(part+int64(bits.TrailingZeros32(here)), qcow2Parts)
		return run{n: last<<partBits - within}, nil
	}
	at, last := qcow2At(entry), part+int64(bits.TrailingZeros32(^(parts>>part)))
	r := run{n: last<<partBits - within, kind: runStored, at: at + within}
	switch left := l.file.Size() - r.at; {
	case at&(l.clusterSize()-1) != 0:
		return run{}, corrupt("a cluster stands at %d, which is within another one", at)
	case at >= l.file.Size():
		return run{}, l.file.outside(at, l.clusterSize())
	case left <= 0: // QEMU takes what the last cluster lacks as zeros
		return run{n: r.n}, nil
	default:
		r.n = min(r.n, left)
		return r, nil
	}
}

// parts tells which parts of a cluster have data of their own.
func (l *qcow2Layout) parts(entry []byte) (uint32, error) {
	at := qcow2At(entry)
	if l.entrySize == 16 {
		parts, zero := binary.BigEndian.Uint32(entry[12:]), binary.BigEndian.Uint32(entry[8:])
		if parts&zero != 0 || parts != 0 && at == 0 {
			return 0, corrupt("the map of a cluster's parts contradicts itself")
		}
		return parts, nil
	}
	zero := binary.BigEndian.Uint64(entry)&qcow2Zero != 0
	if zero && !l.zeroEntry {
		return 0, corrupt("a cluster is marked as zero, which there is not in version 2")
	}
	if zero || at == 0 {
		return 0, nil
	}
	return math.MaxUint32, nil
}

// packedCluster returns the run in a compressed cluster. Its length is known up to a sector, and the file can end before.
func (l *qcow2Layout) packedCluster(e uint64, within int64) (run, error) {
	atBits := 62 - (l.clusters - 8)
	at := int64(e & (1<<atBits - 1))
	length := int64(e>>atBits&(1<<(l.clusters-8)-1)+1)*512 - at&511
	if at >= l.file.Size() {
		return run{}, l.file.outside(at, length)
	}
	return run{n: l.clusterSize() - within, kind: runPacked, at: at, length: int(min(length, l.file.Size()-at)),
		block: int(l.clusterSize()), skip: int(within)}, nil
}

// unpack implements unpacker.
func (l *qcow2Layout) unpack(ctx context.Context, r run, dst []byte) error {
	src := buffers.get(r.length)
	defer buffers.put(src)
	if err := l.file.fill(ctx, src, r.at); err != nil {
		return err
	}
	if err := l.decompress(dst, src); err != nil {
		return corrupt("the compressed cluster at %d: %v", r.at, err)
	}
	return nil
}
