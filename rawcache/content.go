package rawcache

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// A whole is a Disk in a file.
type whole struct{ *os.File }

func (w whole) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	return w.File.ReadAt(p, off)
}

func (w whole) Size() int64 {
	info, err := w.Stat()
	if err != nil {
		return -1
	}
	return info.Size()
}

func (w whole) DataAt(_ context.Context, off int64) (start, end int64, err error) {
	fd := int(w.Fd())
	if start, err = unix.Seek(fd, off, unix.SEEK_DATA); errors.Is(err, unix.ENXIO) {
		return w.Size(), w.Size(), nil
	}
	if err == nil {
		end, err = unix.Seek(fd, start, unix.SEEK_HOLE)
	}
	return start, end, err
}

// blockSize is the unit of holes: what is zero as a whole is not written.
const blockSize = 64 << 10

// ranges calls fn with the ranges of a disk that hold data, in order, each made of blocks.
func ranges(ctx context.Context, d Disk, fn func(start, end int64) error) error {
	for off := int64(0); off < d.Size(); {
		start, end, err := d.DataAt(ctx, off)
		if err != nil {
			return err
		}
		if start >= d.Size() {
			return nil
		}
		start = max(start/blockSize*blockSize, off) // off is where a block begins
		end = min((max(end, start+1)+blockSize-1)/blockSize*blockSize, d.Size())
		if err := fn(start, end); err != nil {
			return err
		}
		off = end
	}
	return nil
}

// blocks calls fn with the blocks of a disk that are not zero, in order, and step between reads.
func blocks(ctx context.Context, d Disk, step func(context.Context) error, fn func(off int64, block []byte) error) error {
	buf := make([]byte, 16*blockSize)
	return ranges(ctx, d, func(start, end int64) error {
		for start < end {
			p := buf[:min(int64(len(buf)), end-start)]
			if n, err := d.ReadAt(ctx, p, start); n < len(p) {
				return cmp.Or(err, io.ErrUnexpectedEOF)
			}
			for i := 0; i < len(p); i += blockSize {
				block := p[i:min(i+blockSize, len(p))]
				if isZero(block) {
					continue
				}
				if err := fn(start+int64(i), block); err != nil {
					return err
				}
			}
			start += int64(len(p))
			if err := step(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

func isZero(p []byte) bool {
	for len(p) >= len(zeroPage) {
		if !bytes.Equal(p[:len(zeroPage)], zeroPage[:]) {
			return false
		}
		p = p[len(zeroPage):]
	}
	return bytes.Equal(p, zeroPage[:len(p)])
}

// A sum is of the size of a disk and of its blocks that are not zero, wherever the holes are.
type sum struct{ hash hash.Hash }

func newSum(size int64) sum {
	s := sum{sha256.New()}
	s.number(size)
	return s
}

func (s sum) number(n int64) {
	s.hash.Write(binary.LittleEndian.AppendUint64(nil, uint64(n)))
}

func (s sum) add(off int64, block []byte) {
	s.number(off)
	s.hash.Write(block)
}

func (s sum) result() uint64 { return binary.LittleEndian.Uint64(s.hash.Sum(nil)) }
