package filestore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"golang.org/x/sys/unix"
)

const (
	readSize   = 1 << 20 // bytes after which a read looks whether it is still wanted
	maxExtents = 64 << 10
)

// A reader is an imagestore.FileReader and ExtentReader.
type reader struct {
	f          *os.File
	size       int64
	maxExtents int // that one call returns
}

// Open implements imagestore.Store. A symbolic link, a device or another thing in the place of a file is not opened.
func (s *Store) Open(ctx context.Context, loc image.Location) (imagestore.Reader, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d, p, err := s.resolve(loc)
	if err != nil {
		return nil, err
	}
	r, err := s.online(d)
	if err != nil {
		return nil, err
	}
	f, info, err := r.openFile(p)
	if err != nil {
		return nil, s.unreadable(d, r, err)
	}
	return &reader{f, info.Size(), maxExtents}, nil
}

// ReadAt implements imagestore.Reader.
func (r *reader) ReadAt(ctx context.Context, p []byte, off int64) (n int, err error) {
	for {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		m, err := r.f.ReadAt(p[n:min(len(p), n+readSize)], off+int64(n))
		n += m
		if err == io.EOF && off+int64(n) < r.size {
			return n, fmt.Errorf("%s ends at %d of %d bytes: %w", r.f.Name(), off+int64(n), r.size, io.ErrUnexpectedEOF)
		}
		if err != nil || n == len(p) {
			return n, err
		}
	}
}

func (r *reader) Size() int64 { return r.size }

func (r *reader) Close() error { return r.f.Close() }

func (r *reader) File() *os.File { return r.f }

// Extents implements imagestore.ExtentReader. Where there are very many ranges, the last one returned holds the rest.
func (r *reader) Extents(ctx context.Context, off, n int64) ([]imagestore.Extent, error) {
	end := r.size
	if n < r.size-off {
		end = off + n
	}
	if off < 0 || n < 0 {
		return nil, fmt.Errorf("extents of %s from %d: %w", r.f.Name(), off, image.ErrRange)
	}
	var extents []imagestore.Extent
	for off < end {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		start, err := r.seek(off, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) || err == nil && start >= end {
			break // a hole up to the end
		}
		if err != nil {
			return nil, err
		}
		stop := end
		if len(extents) < r.maxExtents-1 {
			if stop, err = r.seek(start, unix.SEEK_HOLE); err != nil {
				return nil, err
			}
		}
		off = min(stop, end)
		extents = append(extents, imagestore.Extent{Offset: start, Length: off - start})
	}
	return extents, nil
}

// seek moves the file's offset, which nobody uses.
func (r *reader) seek(off int64, whence int) (int64, error) {
	off, err := r.f.Seek(off, whence)
	if err != nil {
		return 0, fmt.Errorf("find the extents of %s: %w", r.f.Name(), err)
	}
	return off, nil
}
