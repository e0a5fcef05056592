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

// buffers are those of the calls, by powers of two. A call whose context has ended goes on to write to its own.
var buffers [classes]sync.Pool

func bufferFor(n int) (*[]byte, *sync.Pool) {
	class := bits.Len(uint(max(n-1, 0)) / smallest)
	if b, ok := buffers[class].Get().(*[]byte); ok {
		return b, &buffers[class]
	}
	b := make([]byte, smallest<<class)
	return &b, &buffers[class]
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
		part := p[n:]
		part = part[:min(int64(len(part)), largest, i.size-off-int64(n))]
		if err := i.readPart(ctx, part, off+int64(n)); err != nil {
			return n, err
		}
		n += len(part)
	}
	return n, nil
}

// readPart reads what one call may, within the image.
func (i *Image) readPart(ctx context.Context, p []byte, off int64) error {
	b, pool := bufferFor(len(p))
	err := i.do(ctx, "read image", func(img *rbd.Image) error {
		n, err := img.ReadAt((*b)[:len(p)], off)
		if err == io.EOF || err == nil && n < len(p) {
			return io.ErrUnexpectedEOF
		}
		return err
	})
	if err != nil {
		return err // the buffer may still be written to
	}
	copy(p, *b)
	pool.Put(b)
	if i.snapshot != "" && i.mayBeRemoved(p, off) {
		return i.confirm(ctx)
	}
	return nil
}

var zeros [64 << 10]byte

// mayBeRemoved tells whether all that was read of some object is zeros, as it is when the object is gone.
func (i *Image) mayBeRemoved(p []byte, off int64) bool {
	for len(p) > 0 {
		n := min(int64(len(p)), i.objectSize-off%i.objectSize)
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
// images have object maps.
func (i *Image) Extents(ctx context.Context, off, n int64) ([]Extent, error) {
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
