package client

import (
	"context"
	"io"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/vitrine-image/vitrine/image"
)

// SparseOptions are the choices of a sparse download.
type SparseOptions struct {
	Format string // as for a Download, but no conversion to qcow2
	// Begin, unless nil, is called once when it is known how many bytes there will be, and Done for each of them that is there, by one
	// goroutine at a time.
	Begin func(size int64)
	Done  func(n int64)
}

// A SparseFile is an empty file that takes data in any order; what is not written reads as zeros. *os.File is one.
type SparseFile interface {
	io.ReaderAt
	io.WriterAt
	Truncate(size int64) error
}

// How a sparse download is cut into requests.
const (
	partSize  = 32 << 20  // bytes of one, at most
	smallHole = 256 << 10 // without data, and downloaded all the same: another request takes longer
	manyParts = 4         // at a time
)

// DownloadSparse writes to a file what an image's data holds, several parts at a time, and leaves out the rest. It returns the hash by
// which the whole was verified, "" for none: conversions have none. Errors: those of Download, of Extents and of the file.
func (c *Client) DownloadSparse(ctx context.Context, id image.ID, f SparseFile, opts SparseOptions) (algorithm string, err error) {
	img, err := c.Get(ctx, id)
	if err != nil {
		return "", err
	}
	if img.IsIn(opts.Format) {
		opts.Format = ""
	}
	s := &sparseDownload{c: c, img: img, f: f, opts: opts, size: -1}
	group, parts := errgroup.WithContext(ctx)
	group.SetLimit(manyParts + 1)
	group.Go(func() error {
		return s.findParts(parts, func(first, end int64) {
			group.Go(func() error { return s.fetch(parts, first, end) })
		})
	})
	if err := group.Wait(); err != nil || opts.Format != "" {
		return "", err
	}
	return s.verify(ctx)
}

type sparseDownload struct {
	c    *Client
	img  *image.Image
	f    SparseFile
	opts SparseOptions
	size int64 // bytes of the data, -1 until it is known

	mu sync.Mutex // of opts.Done
}

// findParts calls fetch for each part that is worth a request. Errors: those of Extents, image.ErrCorrupt, those of the file.
func (s *sparseDownload) findParts(ctx context.Context, fetch func(first, end int64)) error {
	var first, end int64 // of the part that grows
	for q := (image.ExtentQuery{Format: s.opts.Format}); q.Offset != s.size; {
		page, err := s.c.Extents(ctx, s.img.ID, q)
		if err == nil {
			err = s.begin(page.Size)
		}
		if err != nil {
			return err
		}
		for _, e := range page.Extents {
			if !e.Data {
				continue
			}
			if e.Offset-end > smallHole {
				if end > first {
					fetch(first, end)
				}
				s.done(e.Offset - end)
				first = e.Offset
			}
			for end = e.Offset + e.Length; end-first > partSize; first += partSize {
				fetch(first, first+partSize)
			}
		}
		q.Offset = page.Next
	}
	if end > first {
		fetch(first, end)
	}
	s.done(s.size - end)
	return nil
}

// begin gives the file its size when the first page comes. Errors: image.ErrCorrupt, those of the file.
func (s *sparseDownload) begin(size int64) error {
	switch {
	case s.size == size:
		return nil
	case s.size >= 0:
		return image.Errorf(image.ErrCorrupt, "The data of image %s changed during the download", s.img.ID)
	case s.opts.Format == "" && s.img.Size != nil && *s.img.Size != size:
		return image.Errorf(image.ErrCorrupt, "The data of image %s has %d bytes instead of %d", s.img.ID, size, *s.img.Size)
	}
	s.size = size
	if s.opts.Begin != nil {
		s.opts.Begin(size)
	}
	return s.f.Truncate(size)
}

func (s *sparseDownload) done(n int64) {
	if s.opts.Done != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.opts.Done(n)
	}
}

// fetch downloads a part.
func (s *sparseDownload) fetch(ctx context.Context, first, end int64) error {
	d := &Download{Image: s.img, ctx: ctx, c: s.c, format: s.opts.Format, start: first, off: first, end: end, size: s.size, sum: noSum}
	if err := d.begin(); err != nil {
		return err
	}
	defer d.Close()
	buf := make([]byte, 256<<10)
	for at := first; ; {
		n, err := d.Read(buf)
		if _, err := s.f.WriteAt(buf[:n], at); err != nil {
			return err
		}
		at += int64(n)
		s.done(int64(n))
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// verify reads what was written. Errors: image.ErrCorrupt, those of the file.
func (s *sparseDownload) verify(ctx context.Context) (algorithm string, err error) {
	sum := newSum(s.img)
	if sum.algo == "" {
		return "", nil
	}
	for off, piece := int64(0), int64(1<<20); off < s.size; off += piece {
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		if _, err := io.Copy(sum, io.NewSectionReader(s.f, off, min(piece, s.size-off))); err != nil {
			return "", err
		}
	}
	return sum.algo, sum.check()
}
