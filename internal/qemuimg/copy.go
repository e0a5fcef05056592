package qemuimg

import (
	"bytes"
	"context"
	"io"
	"os"

	"golang.org/x/sync/errgroup"
)

const (
	block   = 2 << 20  // at least what a format takes for data that lies anywhere in it
	piece   = 1 << 20  // what is read at once
	readers = 4        // pieces at the same time: those of a packed disk are unpacked meanwhile
	hole    = 64 << 10 // zeros that are so long, and aligned so, are not written
)

// extents calls a function with each range of data.
func extents(ctx context.Context, disk Disk, do func(start, end int64) error) error {
	for off := int64(0); off < disk.Size(); {
		start, end, err := disk.DataAt(ctx, off)
		if err != nil {
			return err
		}
		if start < end {
			if err := do(start, end); err != nil {
				return err
			}
		}
		off = max(end, start)
	}
	return ctx.Err()
}

// room returns how many bytes the blocks have in which there is data.
func room(ctx context.Context, disk Disk) (bytes int64, err error) {
	next := int64(0)
	err = extents(ctx, disk, func(start, end int64) error {
		start, end = max(next, start/block*block), (end+block-1)/block*block
		bytes += max(0, end-start)
		next = max(next, end)
		return nil
	})
	return bytes, err
}

// copySparse writes what holds data in the disk, and makes the file as long as it, in whole sectors.
func copySparse(ctx context.Context, w *os.File, disk Disk) error {
	if err := w.Truncate((disk.Size() + 511) / 512 * 512); err != nil {
		return err
	}
	type span struct{ off, n int64 }
	spans := make(chan span)
	g, ctx := errgroup.WithContext(ctx)
	for range readers {
		g.Go(func() error {
			p := make([]byte, piece)
			for s := range spans {
				if n, err := disk.ReadAt(ctx, p[:s.n], s.off); int64(n) < s.n {
					if err == nil || err == io.EOF {
						err = io.ErrUnexpectedEOF
					}
					return err
				}
				if err := writeData(w, p[:s.n], s.off); err != nil {
					return err
				}
			}
			return nil
		})
	}
	g.Go(func() error {
		defer close(spans)
		return extents(ctx, disk, func(start, end int64) error {
			for start < end {
				n := min(piece-start%piece, end-start)
				select {
				case spans <- span{start, n}:
				case <-ctx.Done():
					return ctx.Err()
				}
				start += n
			}
			return nil
		})
	})
	return g.Wait()
}

var zeros [hole]byte

// writeData leaves out zeros that make a hole.
func writeData(w *os.File, p []byte, off int64) error {
	for len(p) > 0 {
		n := min(hole-off%hole, int64(len(p)))
		if !bytes.Equal(p[:n], zeros[:n]) {
			if _, err := w.WriteAt(p[:n], off); err != nil {
				return err
			}
		}
		p, off = p[n:], off+n
	}
	return nil
}
