package diskformat

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
)

// A QCOW2Writer writes a disk as a qcow2 of version 3 from its beginning to its end, with nothing kept but how much of the
// disk there is. First come header and reference counts, all of them 1, then the first table, then each table of the
// second level with the clusters to which it leads.
type QCOW2Writer struct {
	disk        *Disk
	clusterBits int
	size        int64   // of the disk, in whole sectors
	tables      []int64 // of the second level: how many clusters of data each leads to; those with none are not written

	refTable, refBlocks, l1 int64 // in clusters: how long they are
	total                   int64
}

const (
	qcow2Copied      = 1 << 63 // in an entry: what it leads to has one reference
	qcow2RefBytes    = 2       // of a reference count
	qcow2WriteBits   = 16      // QEMU's default
	qcow2WriteAtOnce = 1 << 20
)

// NewQCOW2Writer looks at the extents of a disk to know how long the qcow2 will be. What has no data in the disk has no place
// there either. Error: ErrUnsupported when the disk is too large.
func NewQCOW2Writer(ctx context.Context, d *Disk) (*QCOW2Writer, error) {
	return newQCOW2Writer(ctx, d, qcow2WriteBits)
}

// newQCOW2Writer takes larger clusters than it is told to if it must.
func newQCOW2Writer(ctx context.Context, d *Disk, clusterBits int) (*QCOW2Writer, error) {
	q := &QCOW2Writer{disk: d, clusterBits: clusterBits}
	for divideUp(d.Size(), q.span()) > qcow2MaxL1/8 {
		if q.clusterBits++; q.clusterBits > 21 {
			return nil, unsupported("a disk of %d bytes is too large for qcow2", d.Size())
		}
	}
	q.size = divideUp(d.Size(), 512) * 512
	q.tables = make([]int64, divideUp(q.size, q.span()))
	entries := q.span() >> q.clusterBits // of a table
	clusters := int64(0)
	for run, err := range q.clusters(ctx, 0, d.Size()) {
		if err != nil {
			return nil, err
		}
		clusters += run.Length
		for end := run.Offset + run.Length; run.Offset < end; {
			table := run.Offset / entries
			n := min(end, (table+1)*entries) - run.Offset
			if q.tables[table] == 0 {
				clusters++
			}
			q.tables[table] += n
			run.Offset += n
		}
	}
	q.l1 = divideUp(int64(len(q.tables))*8, q.cluster())
	for before := int64(-1); q.total != before; { // reference counts count themselves
		before = q.total
		q.total = 1 + q.refTable + q.refBlocks + q.l1 + clusters
		q.refBlocks = divideUp(q.total, q.cluster()/qcow2RefBytes)
		q.refTable = divideUp(q.refBlocks*8, q.cluster())
	}
	return q, nil
}

func divideUp(n, by int64) int64 { return n/by + min(1, n%by) }

func (q *QCOW2Writer) cluster() int64 { return 1 << q.clusterBits }

// span is how much of the disk a table of the second level covers.
func (q *QCOW2Writer) span() int64 { return 1 << (2*q.clusterBits - 3) }

// clusters yields which clusters of [off, off+n) hold data, as extents in clusters.
func (q *QCOW2Writer) clusters(ctx context.Context, off, n int64) func(yield func(Extent, error) bool) {
	return func(yield func(Extent, error) bool) {
		next := int64(0)
		for e, err := range q.disk.Extents(ctx, off, n) {
			if err != nil {
				yield(Extent{}, err)
				return
			}
			first, end := max(next, e.Offset>>q.clusterBits), (e.Offset+e.Length-1)>>q.clusterBits+1
			if first < end && !yield(Extent{first, end - first}, nil) {
				return
			}
			next = end
		}
	}
}

// Size returns how many bytes Stream writes.
func (q *QCOW2Writer) Size() int64 { return q.total << q.clusterBits }

// Stream writes the image.
func (q *QCOW2Writer) Stream(ctx context.Context, w io.Writer) error {
	for _, part := range []func(io.Writer) error{q.writeHeader, q.writeRefTable, q.writeRefBlocks, q.writeL1} {
		if err := part(w); err != nil {
			return err
		}
	}
	at := 1 + q.refTable + q.refBlocks + q.l1
	buf := make([]byte, max(q.cluster(), qcow2WriteAtOnce))
	for i, clusters := range q.tables {
		if clusters == 0 {
			continue
		}
		runs, err := q.writeL2(ctx, w, buf[:q.cluster()], int64(i), at)
		if err != nil {
			return err
		}
		for _, run := range runs {
			if err := q.writeData(ctx, w, buf, run); err != nil {
				return err
			}
		}
		at += 1 + clusters
	}
	return nil
}

func (q *QCOW2Writer) writeHeader(w io.Writer) error {
	const length = 112
	h := make([]byte, q.cluster())
	copy(h, qcow2Magic)
	binary.BigEndian.PutUint32(h[4:], 3)
	binary.BigEndian.PutUint32(h[20:], uint32(q.clusterBits))
	binary.BigEndian.PutUint64(h[24:], uint64(q.size))
	binary.BigEndian.PutUint32(h[36:], uint32(len(q.tables)))
	binary.BigEndian.PutUint64(h[40:], uint64(1+q.refTable+q.refBlocks)<<q.clusterBits)
	binary.BigEndian.PutUint64(h[48:], 1<<q.clusterBits)
	binary.BigEndian.PutUint32(h[56:], uint32(q.refTable))
	binary.BigEndian.PutUint32(h[96:], uint32(bits.TrailingZeros(8*qcow2RefBytes)))
	binary.BigEndian.PutUint32(h[100:], length)
	_, err := w.Write(h)
	return err
}

// writeTable writes a table of n entries, up to the end of its last cluster.
func (q *QCOW2Writer) writeTable(w io.Writer, clusters, n int64, entry func(i int64) uint64) error {
	p := make([]byte, 0, q.cluster())
	for i := range clusters * q.cluster() / 8 {
		e := uint64(0)
		if i < n {
			e = entry(i)
		}
		if p = binary.BigEndian.AppendUint64(p, e); len(p) == cap(p) {
			if _, err := w.Write(p); err != nil {
				return err
			}
			p = p[:0]
		}
	}
	return nil
}

func (q *QCOW2Writer) writeRefTable(w io.Writer) error {
	return q.writeTable(w, q.refTable, q.refBlocks, func(i int64) uint64 { return uint64(1+q.refTable+i) << q.clusterBits })
}

// writeRefBlocks writes the counts, which are four to what writeTable takes for an entry.
func (q *QCOW2Writer) writeRefBlocks(w io.Writer) error {
	const all, each = 0x0001_0001_0001_0001, 8 / qcow2RefBytes
	return q.writeTable(w, q.refBlocks, divideUp(q.total, each), func(i int64) uint64 {
		if left := q.total - i*each; left < each {
			return all << (16 * (each - left))
		}
		return all
	})
}

func (q *QCOW2Writer) writeL1(w io.Writer) error {
	at := 1 + q.refTable + q.refBlocks + q.l1
	return q.writeTable(w, q.l1, int64(len(q.tables)), func(i int64) uint64 {
		if q.tables[i] == 0 {
			return 0
		}
		table := at
		at += 1 + q.tables[i]
		return qcow2Copied | uint64(table)<<q.clusterBits
	})
}

// writeL2 writes one table of the second level, which stands in the cluster at, and returns which clusters of the disk come
// behind it.
func (q *QCOW2Writer) writeL2(ctx context.Context, w io.Writer, p []byte, table, at int64) (runs []Extent, err error) {
	clear(p)
	first, next := table*q.span()>>q.clusterBits, at+1
	for run, err := range q.clusters(ctx, table*q.span(), min(q.span(), q.disk.Size()-table*q.span())) {
		if err != nil {
			return nil, err
		}
		for i := range run.Length {
			binary.BigEndian.PutUint64(p[8*(run.Offset+i-first):], qcow2Copied|uint64(next+i)<<q.clusterBits)
		}
		runs = append(runs, run)
		next += run.Length
	}
	if next != at+1+q.tables[table] {
		return nil, fmt.Errorf("write a qcow2: the disk had other data at %d before", table*q.span())
	}
	_, err = w.Write(p)
	return runs, err
}

// writeData writes a run of clusters of the disk. Behind the end of the disk there are zeros.
func (q *QCOW2Writer) writeData(ctx context.Context, w io.Writer, buf []byte, run Extent) error {
	for off, end := run.Offset<<q.clusterBits, (run.Offset+run.Length)<<q.clusterBits; off < end; {
		p := buf[:min(int64(len(buf)), end-off)]
		n, err := q.disk.ReadAt(ctx, p, off)
		if err != nil && err != io.EOF {
			return err
		}
		clear(p[n:])
		if _, err := w.Write(p); err != nil {
			return err
		}
		off += int64(len(p))
	}
	return nil
}
