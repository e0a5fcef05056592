//go:build ceph

package rbd

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/ceph/go-ceph/rbd"
)

// Data is what one read gives. Free it.
type Data struct {
	Bytes []byte
	read  *read
}

// Free ends the use of the bytes: another read may get their memory.
func (d *Data) Free() { d.read.free() }

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
		d, err := i.Read(ctx, int(min(int64(len(part)), largest, i.size-off-int64(n))), off+int64(n))
		if err != nil {
			return n, err
		}
		n += copy(part, d.Bytes)
		d.Free()
	}
	return n, nil
}

// Read is ReadAt without the copy, for n bytes within the image, of which there are at most 4 MiB.
func (i *Image) Read(ctx context.Context, n int, off int64) (*Data, error) {
	if n <= 0 || n > largest || off < 0 || off > i.size-int64(n) {
		return nil, fmt.Errorf("read %d bytes of image %s at %d: they are too many, or outside", n, i, off)
	}
	r, err := i.read(ctx, n, off)
	if err != nil {
		return nil, err
	}
	d := &Data{r.buf[:n], r}
	if i.snapshot != "" && i.mayBeRemoved(d.Bytes, off) {
		if err := i.confirm(ctx); err != nil {
			d.Free()
			return nil, err
		}
	}
	return d, nil
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
