package diskformat

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
)

// A Source is the bytes of an image, which never change. It is safe for concurrent use.
type Source interface {
	// ReadAt fills p from offset off, as io.ReaderAt does; it stops early when ctx ends.
	ReadAt(ctx context.Context, p []byte, off int64) (int, error)
	Size() int64 // bytes
}

// A SparseSource is a Source that knows which ranges hold data; the rest reads as zeros.
type SparseSource interface {
	Source
	// Extents returns the data ranges within [off, off+n), in order, clipped to it, none empty, none touching.
	Extents(ctx context.Context, off, n int64) ([]Extent, error)
}

// An Extent is a range of bytes.
type Extent struct{ Offset, Length int64 }

// Why an image is not readable as a disk, now and for ever; other errors of Open and of a Disk are those of the Source and
// of a ctx. They come with a reason for people.
var (
	ErrUnsupported = errors.New("the image cannot be read as a disk") // by us, or safely: then with an *UnsafeError
	ErrCorrupt     = errors.New("the image is damaged")               // it contradicts itself; other parts may be readable
)

// A Disk is what a guest sees of an image. It is safe for concurrent use.
type Disk struct {
	file   *file
	layout layout
	size   int64
}

// A layout knows where in the file the bytes of a disk lie. It is safe for concurrent use.
type layout interface {
	// find returns the run of bytes that begins at off of the disk. It is as long as one look at the tables tells, at least
	// one byte and n at the most; the disk has that many at off.
	find(ctx context.Context, off, n int64) (run, error)
}

// An unpacker is a layout with runs that are packed.
type unpacker interface {
	// unpack fills dst, r.block bytes, with the block in which r lies. It must not ask for pages: its memory is part of the
	// cache's, and those who hold some never wait for more.
	unpack(ctx context.Context, r run, dst []byte) error
}

// A run is a range of a disk that is stored in one way.
type run struct {
	n    int64 // bytes of the disk
	kind runKind
	at   int64 // in the file: where the bytes are, or the block of a packed run; all of it must lie in the file
	// Of packed runs:
	length int // bytes of the block in the file, or a bound; they count as memory while it is unpacked
	block  int // bytes of the block when it is unpacked
	skip   int // where in there the run begins
}

// joins tells whether next, when it lies behind r in the disk, can be taken together with it.
func (r run) joins(next run) bool {
	return r.kind == next.kind && (r.kind == runHole || r.kind == runStored && r.at+r.n == next.at)
}

// least is how many bytes of the file the run takes at least.
func (r run) least() int64 {
	switch r.kind {
	case runStored:
		return r.n
	case runPacked:
		return 8
	}
	return 0
}

type runKind uint8

const (
	runHole   runKind = iota // zeros
	runStored                // as they are
	runPacked                // in a block that is compressed
)

// A diskExaminer is an examiner of a format that can be read as a disk.
type diskExaminer interface {
	examiner
	// open returns the layout of an examined file without problems.
	open(ctx context.Context, f *file) (layout, error)
}

// A recoverer is an examiner of a format whose files may not have been closed.
type recoverer interface {
	// recover lets the file be as if it had been, before it is examined.
	recover(ctx context.Context, f *file) error
}

// readable are the formats that can be read as a disk, but for Raw.
var readable = map[string]func() diskExaminer{
	QCOW2: func() diskExaminer { return newQCOW2() },
	VMDK:  func() diskExaminer { return newVMDK(Rules{}) },
	VHD:   func() diskExaminer { return newVHD() },
	VHDX:  func() diskExaminer { return newVHDX() },
	VDI:   func() diskExaminer { return newVDI() },
}

// Readable tells whether Open knows the format. An image of it may be unsupported all the same.
func Readable(format string) bool { return format == Raw || readable[format] != nil }

// Open reads the header of an image of the format and returns the disk in it. Images that fail a safety check, or need
// other files, are not readable. Tables and decompressed data are kept in the cache; Close gives their place back. The
// source remains the caller's.
func Open(ctx context.Context, src Source, format string, cache *Cache) (*Disk, error) {
	f := &file{src, cache, cache.newOwner()}
	if format == Raw {
		return &Disk{f, flatLayout{}, src.Size()}, nil
	}
	if !Readable(format) {
		return nil, unsupported("it is of the format %s", format)
	}
	e := readable[format]()
	if r, ok := e.(recoverer); ok {
		if err := r.recover(ctx, f); err != nil {
			return nil, err
		}
	}
	if err := examine(ctx, e, f); err != nil {
		return nil, err
	}
	v := e.result()
	switch {
	case !v.match:
		return nil, unsupported("it is not of the format %s", format)
	case len(v.problems) > 0:
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, &UnsafeError{format, slices.Clone(v.problems)})
	}
	l, err := e.open(ctx, f)
	if err != nil {
		cache.drop(f.owner)
		return nil, err
	}
	return &Disk{f, l, v.size}, nil
}

// examine shows an examiner what it wants to see of a file.
func examine(ctx context.Context, e examiner, src Source) error {
	for want := e.start(); want.n > 0; {
		p, err := readUpTo(ctx, src, want.off, want.n)
		if err != nil {
			return err
		}
		next := want.then(p)
		if len(p) < want.n {
			break
		}
		want = next
	}
	last := min(tailSize, src.Size())
	tail, err := readUpTo(ctx, src, src.Size()-last, int(last))
	if err != nil {
		return err
	}
	e.end(src.Size(), tail)
	return nil
}

// readUpTo reads n bytes at off, fewer where the file ends.
func readUpTo(ctx context.Context, src Source, off int64, n int) ([]byte, error) {
	p := make([]byte, max(0, min(int64(n), src.Size()-off)))
	if _, err := src.ReadAt(ctx, p, off); err != nil && err != io.EOF {
		return nil, err
	}
	return p, nil
}

// A file is an image with its part of the cache.
type file struct {
	Source
	cache *Cache
	owner owner
}

// corrupt returns an error that says what is wrong.
func corrupt(text string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(text, args...))
}

// unsupported returns an error that says what is in the way.
func unsupported(text string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrUnsupported, fmt.Sprintf(text, args...))
}

func (f *file) outside(off, n int64) error {
	return corrupt("it refers to %d bytes at %d, and has %d in all", n, off, f.Size())
}

// fill reads len(p) bytes at off. The file must have them.
func (f *file) fill(ctx context.Context, p []byte, off int64) error {
	if off < 0 || off > f.Size()-int64(len(p)) {
		return f.outside(off, int64(len(p)))
	}
	n, err := f.ReadAt(ctx, p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF // the source promised more
	}
	return err
}

// page returns n bytes at off of the file, of a table, through the cache. Release it after use, and before the next one is
// asked for.
func (f *file) page(ctx context.Context, off int64, n int) (*entry, error) {
	return f.cache.get(ctx, key{owner: f.owner, off: off, length: n}, n, 0, func(p []byte) error { return f.fill(ctx, p, off) })
}

// Size returns the number of bytes that a guest sees.
func (d *Disk) Size() int64 { return d.size }

// Close gives back what the disk has in the cache. Nobody may use it any more.
func (d *Disk) Close() error {
	d.file.cache.drop(d.file.owner)
	return nil
}

// How much of one read goes on at the same time: pieces of it, if it is long enough to be worth that.
const (
	parallelReads = 4
	parallelFrom  = 64 << 10 // bytes
)

// helpers are the goroutines that do pieces of somebody else's read, of any disk. With many reads at once there is nothing for
// more of them to do, and each holds a buffer.
var helpers = make(chan struct{}, 32)

// A piece is a part of a read that is done at once.
type piece struct {
	run
	off int // in the buffer
}

// ReadAt fills p from offset off of the disk, as io.ReaderAt does; it stops early when ctx ends.
func (d *Disk) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read a disk at %d", off)
	}
	var end error
	if left := d.size - off; int64(len(p)) > left {
		p, end = p[:max(0, left)], io.EOF
	}
	n, err := d.read(ctx, p, off)
	if err == nil {
		err = end
	}
	return n, err
}

func (d *Disk) read(ctx context.Context, p []byte, off int64) (int, error) {
	var few [8]piece
	pieces := few[:0]
	for at := 0; at < len(p); {
		r, err := d.run(ctx, off+int64(at), int64(len(p)-at))
		if err != nil {
			return d.finish(ctx, p, pieces, at, err)
		}
		last := len(pieces) - 1
		switch {
		case r.kind == runHole:
			clear(p[at:][:r.n])
		case last >= 0 && pieces[last].off+int(pieces[last].n) == at && pieces[last].joins(r):
			pieces[last].n += r.n
		default:
			pieces = append(pieces, piece{r, at})
		}
		at += int(r.n)
	}
	return d.finish(ctx, p, pieces, len(p), nil)
}

// run asks the layout and checks what it answers.
func (d *Disk) run(ctx context.Context, off, n int64) (run, error) {
	r, err := d.layout.find(ctx, off, n)
	if err == nil && r.kind == runStored && (r.at < 0 || r.at > d.file.Size()-r.n) {
		err = d.file.outside(r.at, r.n)
	}
	return r, err
}

// Stored returns where in the Source the bytes at off stand as they are, and how many of them in a row, up to n; 0 for none.
func (d *Disk) Stored(ctx context.Context, off, n int64) (at, length int64, err error) {
	if _, changed := d.file.Source.(*replayed); changed {
		return 0, 0, nil // the log has other bytes for some of them
	}
	n = min(n, d.size-off)
	var have run
	for have.n < n {
		r, err := d.run(ctx, off+have.n, n-have.n)
		switch {
		case have.n > 0 && (err != nil || !have.joins(r)):
			return have.at, have.n, nil // what failed is for the one who asks for it
		case err != nil:
			return 0, 0, err
		case r.kind != runStored:
			return 0, 0, nil
		case have.n == 0:
			have = r
		default:
			have.n += r.n
		}
	}
	return have.at, have.n, nil
}

// finish does the pieces of a read that is at n when they are done. It returns err, or that of the first piece that fails.
func (d *Disk) finish(ctx context.Context, p []byte, pieces []piece, n int, err error) (int, error) {
	if len(pieces) > 1 && len(p) >= parallelFrom {
		return d.finishParallel(ctx, p, append([]piece(nil), pieces...), n, err) // the caller's can stay on its stack
	}
	for _, at := range pieces {
		if err := d.do(ctx, p, at); err != nil {
			return at.off, err
		}
	}
	return n, err
}

func (d *Disk) finishParallel(ctx context.Context, p []byte, pieces []piece, n int, err error) (int, error) {
	errs := make([]error, len(pieces))
	var next atomic.Int64
	var failed atomic.Bool
	work := func() {
		for !failed.Load() {
			i := int(next.Add(1)) - 1
			if i >= len(pieces) {
				return
			}
			if errs[i] = d.do(ctx, p, pieces[i]); errs[i] != nil {
				failed.Store(true)
			}
		}
	}
	var others sync.WaitGroup
	help := func() {
		defer func() { <-helpers }()
		work()
	}
	for range min(parallelReads, len(pieces)) - 1 {
		select {
		case helpers <- struct{}{}:
			others.Go(help)
		default:
		}
	}
	work()
	others.Wait()
	for i, e := range errs {
		if e != nil {
			return pieces[i].off, e
		}
	}
	return n, err
}

func (d *Disk) do(ctx context.Context, p []byte, at piece) error {
	p = p[at.off:][:at.n]
	if at.kind == runStored {
		return d.file.fill(ctx, p, at.at)
	}
	u := d.layout.(unpacker)
	k := key{owner: d.file.owner, off: at.at, length: at.length, packed: true}
	if len(p) == at.block && !d.file.cache.has(k) { // whoever reads on needs it no more
		if err := d.file.cache.reserve(ctx, at.length); err != nil {
			return err
		}
		defer d.file.cache.unreserve(at.length)
		return u.unpack(ctx, at.run, p)
	}
	e, err := d.file.cache.get(ctx, k, at.block, at.length, func(dst []byte) error { return u.unpack(ctx, at.run, dst) })
	if err != nil {
		return err
	}
	copy(p, e.data[at.skip:])
	d.file.cache.release(e)
	return nil
}

// Extents yields the ranges within [off, off+n) that hold data, in order, clipped to it, none empty, none touching; the rest
// reads as zeros. It looks at the tables while it goes: who stops early pays for no more. An error comes last.
func (d *Disk) Extents(ctx context.Context, off, n int64) iter.Seq2[Extent, error] {
	return func(yield func(Extent, error) bool) {
		if off < 0 {
			yield(Extent{}, fmt.Errorf("find the data of a disk at %d", off))
			return
		}
		var have Extent
		for e, err := range d.data(ctx, off, min(n, d.size-off)) {
			switch {
			case err != nil:
				_ = (have.Length == 0 || yield(have, nil)) && yield(Extent{}, err)
				return
			case have.Length > 0 && have.Offset+have.Length == e.Offset:
				have.Length += e.Length
				continue
			case have.Length > 0 && !yield(have, nil):
				return
			}
			have = e
		}
		if have.Length > 0 {
			yield(have, nil)
		}
	}
}

// maxSharing is how often all bytes of a file may be data of the disk, one time with another. A table all of whose entries
// lead to the same place would keep whoever walks through the extents busy for hours.
const maxSharing = 16

// data yields the pieces of which the extents consist, as the tables tell them.
func (d *Disk) data(ctx context.Context, off, n int64) iter.Seq2[Extent, error] {
	return func(yield func(Extent, error) bool) {
		var used int64
		for end := off + n; off < end; {
			r, err := d.run(ctx, off, end-off)
			if used += r.least(); err == nil && used/maxSharing > d.file.Size() {
				err = corrupt("its blocks overlap: it has %d bytes, and more than %d times as many are in use", d.file.Size(), maxSharing)
			}
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				yield(Extent{}, err)
				return
			}
			if r.kind != runHole && !d.dataOf(ctx, r, off, yield) {
				return
			}
			off += r.n
		}
	}
}

// dataOf yields what of a run at off holds data: all of it, unless the source knows better.
func (d *Disk) dataOf(ctx context.Context, r run, off int64, yield func(Extent, error) bool) bool {
	s, ok := d.file.Source.(SparseSource)
	if !ok || r.kind == runPacked {
		return yield(Extent{off, r.n}, nil)
	}
	extents, err := s.Extents(ctx, r.at, r.n)
	if err != nil {
		return yield(Extent{}, err)
	}
	for _, e := range extents {
		if !yield(Extent{off + e.Offset - r.at, e.Length}, nil) {
			return false
		}
	}
	return true
}
