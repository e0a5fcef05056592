//go:build ceph

package rbd

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/bits"
	"sync"

	"github.com/ceph/go-ceph/rbd"
)

const (
	smallest = 4 << 10
	classes  = 11
	largest  = smallest << (classes - 1) // bytes that one call reads
)

// A buffer is the memory of a read.
type buffer struct {
	bytes []byte
	read  *read
}

// buffers are those that nobody needs any more, by their sizes, powers of two.
var buffers [classes]sync.Pool

func classOf(n int) int { return bits.Len(uint(max(n-1, 0)) / smallest) }

// newBuffer returns one of at least n bytes, and reads so many.
func newBuffer(n int) *buffer {
	class := classOf(n)
	b, ok := buffers[class].Get().(*buffer)
	if !ok {
		bytes := make([]byte, smallest<<class)
		b = &buffer{bytes, newRead(bytes)}
	}
	b.read.cut(n)
	return b
}

// ReadAt fills p from offset off, as io.ReaderAt does. Errors besides io.EOF: ErrNotFound when the image is gone, also
// where librbd would go on to read zeros.
func (i *Image) ReadAt(ctx context.Context, p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fmt.Errorf("read image %s at %d: the offset is negative", i, off)
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	for n < len(p) {
		if off+int64(n) >= i.size {
			return n, io.EOF
		}
		part := p[n:min(int64(len(p)), int64(n)+largest, i.size-off)]
		if err := i.read(ctx, part, off+int64(n)); err != nil {
			return n, err
		}
		n += len(part)
	}
	return n, nil
}

// read fills p, of which nobody but the caller makes use.
func (i *Image) read(ctx context.Context, p []byte, off int64) error {
	if err := i.enter(ctx); err != nil {
		return err
	}
	b := newBuffer(len(p))
	n, err := i.ask(ctx, b.read, off)
	if err != nil {
		return err // librbd may still use the buffer
	}
	copy(p, b.bytes[:n])
	buffers[classOf(len(b.bytes))].Put(b)
	return i.check(ctx, n, off, p)
}

// ReadInto reads into one buffer after the other, from off on, within the bounds of the image. It needs them until it returns, and when
// ctx ends librbd does for longer: ended is called once that needs them no more, in every case. Errors: as ReadAt.
func (i *Image) ReadInto(ctx context.Context, buffers [][]byte, off int64, ended func()) error {
	if err := i.enter(ctx); err != nil {
		ended()
		return err
	}
	r := newRead(buffers...)
	r.ended = ended
	n, err := i.ask(ctx, r, off)
	if err != nil {
		return err
	}
	return i.check(ctx, n, off, buffers...)
}

const readAct = "read image"

// check judges n bytes that were read at off into buffers.
func (i *Image) check(ctx context.Context, n int, off int64, buffers ...[]byte) error {
	mayBeRemoved := false
	for _, p := range buffers {
		mayBeRemoved = mayBeRemoved || i.snapshot != "" && i.mayBeRemoved(p, off)
		n, off = n-len(p), off+int64(len(p))
	}
	switch {
	case n != 0:
		return i.judge(readAct, io.ErrUnexpectedEOF)
	case mayBeRemoved:
		return i.confirm(ctx)
	}
	return nil
}

var zeros [64 << 10]byte

// mayBeRemoved tells whether all that was read of some object is zeros, as it is when the object is gone.
func (i *Image) mayBeRemoved(p []byte, off int64) bool {
	for len(p) > 0 {
		n := min(int64(len(p)), i.stripe-off%i.stripe)
		if allZeros(p[:n]) {
			return true
		}
		p, off = p[n:], off+n
	}
	return false
}

func allZeros(p []byte) bool {
	for len(p) > len(zeros) {
		if !bytes.Equal(p[:len(zeros)], zeros[:]) {
			return false
		}
		p = p[len(zeros):]
	}
	return bytes.Equal(p, zeros[:len(p)])
}

// confirm makes sure that zeros were data: the snapshot is there, and as protected as it was, since the removal of a
// snapshot begins with its protection and comes to its name after its objects. Who watches the image has been told of
// that; who does not must look again. Errors: ErrNotFound.
func (i *Image) confirm(ctx context.Context) error {
	var now state
	var err error
	if i.mode == Unnoticed {
		var again *Image
		again, err = i.pool.Open(ctx, i.name, i.snapshot, Unnoticed)
		if err == nil {
			now = again.opened
			err = again.Close(ctx)
		}
	} else {
		now, err = with(ctx, i, "look at image", func(img *rbd.Image) (state, error) { return stateOf(img, i.snapshot) })
	}
	if err == nil && now != i.opened {
		err = fmt.Errorf("read image %s: %w any more", i, ErrNotFound)
	}
	return err
}

// An Extent is a range of bytes.
type Extent struct{ Offset, Length int64 }

// Extents returns which objects hold data, within [off, off+n), in order. The rest reads as zeros. It costs little where
// images have object maps. Errors: ErrNotFound when the image is gone, as ReadAt.
func (i *Image) Extents(ctx context.Context, off, n int64) ([]Extent, error) {
	list, err := i.extents(ctx, off, n)
	if err == nil && i.snapshot != "" {
		err = i.confirm(ctx)
	}
	if err != nil {
		return nil, err
	}
	return list, nil
}

func (i *Image) extents(ctx context.Context, off, n int64) ([]Extent, error) {
	return with(ctx, i, "find the data of image", func(img *rbd.Image) (list []Extent, err error) {
		err = img.DiffIterate(rbd.DiffIterateConfig{
			Offset: uint64(off), Length: uint64(n), IncludeParent: rbd.IncludeParent, WholeObject: rbd.EnableWholeObject,
			Callback: func(start, length uint64, exists int, _ any) int {
				if exists == 0 {
					return 0
				}
				e := Extent{int64(start), int64(length)}
				if last := len(list) - 1; last >= 0 && list[last].Offset+list[last].Length == e.Offset {
					list[last].Length += e.Length
				} else {
					list = append(list, e)
				}
				return 0
			},
		})
		return list, err
	})
}
