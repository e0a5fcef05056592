package diskformat

import "context"

// A blockTable is the layout of a disk that is kept in blocks of one size, anywhere in the file. The table has an entry for
// each of them.
type blockTable struct {
	*file
	off   int64 // of the table in the file
	bytes int64 // of the table
	block int64 // bytes of a block
	width int64 // bytes of an entry
	// between is the number of blocks after which an entry for something else stands in the table; 0 if there are none.
	between int64
	// entry tells from bytes that begin with an entry where the block is: the kind and the place, and if it is packed the
	// bytes that it has at the most.
	entry func(p []byte) (run, error)
}

// tablePage is how many bytes of a table are read at once.
const tablePage = 16 << 10

// newBlockTable completes the table of a disk of size bytes and checks that the file has all of it.
func newBlockTable(f *file, t blockTable, size int64) (*blockTable, error) {
	t.file, t.bytes = f, t.need(size)
	if t.off < 0 || t.off > f.Size()-t.bytes {
		return nil, f.outside(t.off, t.bytes)
	}
	return &t, nil
}

// need is how many bytes of the table a disk of size bytes needs.
func (t *blockTable) need(size int64) int64 {
	if size == 0 {
		return 0
	}
	return t.place((size-1)/t.block) + t.width
}

// place is where in the table the entry of a block stands.
func (t *blockTable) place(block int64) int64 {
	if t.between > 0 {
		block += block / t.between
	}
	return block * t.width
}

// find implements layout.
func (t *blockTable) find(ctx context.Context, off, n int64) (run, error) {
	return t.findIn(ctx, t.off, off, n)
}

// findIn is find in a table that stands elsewhere. Blocks that follow each other in the file, too, are one run, as are those
// that hold nothing.
func (t *blockTable) findIn(ctx context.Context, table, off, n int64) (run, error) {
	block, skip := off/t.block, off%t.block
	at := t.place(block)
	begin := at - at%tablePage
	page, err := t.page(ctx, table+begin, int(min(tablePage, t.bytes-begin)))
	if err != nil {
		return run{}, err
	}
	defer t.cache.release(page)
	r, err := t.entry(page.data[at-begin:])
	if err != nil {
		return run{}, err
	}
	r.n = t.block - skip
	if r.kind == runPacked {
		r.skip, r.block = int(skip), int(t.block)
		r.length = t.shorten(r, page.data[at-begin+t.width:])
	} else {
		r.at += skip
		t.lengthen(&r, n, block, page.data, begin)
	}
	r.n = min(r.n, n)
	return r, nil
}

// lengthen adds the blocks behind a run that continue it, as far as the page of the table that stands at begin tells.
func (t *blockTable) lengthen(r *run, n, block int64, page []byte, begin int64) {
	for r.n < n {
		block++
		at := t.place(block) - begin
		if at >= int64(len(page)) {
			return
		}
		next, err := t.entry(page[at:])
		if err != nil || !r.joins(next) {
			return // an error is one when the block itself is asked for
		}
		r.n += t.block
	}
}

// shorten returns how many bytes the packed block of r has at the most, given the entries behind its own: it ends where the
// next one begins.
func (t *blockTable) shorten(r run, behind []byte) int {
	for ; len(behind) > 0; behind = behind[t.width:] {
		if next, err := t.entry(behind); err == nil && next.kind == runPacked {
			if next.at > r.at {
				return int(min(int64(r.length), next.at-r.at))
			}
			break
		}
	}
	return r.length
}
