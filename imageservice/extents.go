package imageservice

import (
	"context"
	"iter"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
)

// extentPage is how many extents a page has at most.
const extentPage = 4096

// Extents tells which ranges of an image's data hold something. Errors: those of Open; image.ErrInvalid for an offset behind the
// data, and for a format to which the data is converted only while it is sent.
func (s *Session) Extents(ctx context.Context, id image.ID, q image.ExtentQuery) (page image.ExtentPage, err error) {
	data, err := s.Open(ctx, id, OpenOptions{Format: q.Format})
	if err != nil {
		return page, err
	}
	defer data.Reader.Close()
	page.Format, page.Size = data.Format, data.Reader.Size()
	if page.Format == "" {
		page.Format = data.Image.DiskFormat
	}
	switch {
	case data.Stream != nil:
		return page, image.Errorf(image.ErrInvalid, "Image %s has no extents in the format %s: ask for those of raw.", id, q.Format)
	case q.Offset < 0 || q.Offset > page.Size:
		return page, image.Errorf(image.ErrInvalid, "The offset %d is not within the %d bytes of the image.", q.Offset, page.Size)
	}
	page.Next = q.Offset
	for e, err := range dataOf(ctx, data.Reader, q.Offset) {
		if err != nil {
			return page, err
		}
		if !extend(&page, e.Offset, false) || !extend(&page, e.Offset+e.Length, true) {
			return page, nil
		}
	}
	extend(&page, page.Size, false)
	return page, nil
}

// extend lets the page reach to an offset, by an extent with or without data, and reports whether it had room for that.
func extend(page *image.ExtentPage, to int64, data bool) bool {
	if to == page.Next {
		return true
	}
	last := len(page.Extents) - 1
	switch {
	case last >= 0 && page.Extents[last].Data == data:
		page.Extents[last].Length = to - page.Extents[last].Offset
	case last+1 == extentPage:
		return false
	default:
		page.Extents = append(page.Extents, image.Extent{Offset: page.Next, Length: to - page.Next, Data: data})
	}
	page.Next = to
	return true
}

// How much of an image is looked at in one go: as much as has few extents, most likely.
const (
	firstWindow = 64 << 20
	largeWindow = 4 << 30
	fewExtents  = 256
)

// DataAt returns the data of r at off or the first behind it, [start, end); it may go on at end. start is r.Size() when there is none.
func DataAt(ctx context.Context, r imagestore.Reader, off int64) (start, end int64, err error) {
	for e, err := range dataOf(ctx, r, off) {
		return e.Offset, e.Offset + e.Length, err
	}
	return r.Size(), r.Size(), nil
}

// dataOf yields the ranges from off on that hold data, in order. They may touch. An error comes last. All that is known of a large
// image would be much: it is asked for window by window.
func dataOf(ctx context.Context, r imagestore.Reader, off int64) iter.Seq2[imagestore.Extent, error] {
	return func(yield func(imagestore.Extent, error) bool) {
		for window := int64(firstWindow); off < r.Size(); {
			n, found := min(window, r.Size()-off), 0
			for e, err := range dataWithin(ctx, r, off, n) {
				if !yield(e, err) || err != nil {
					return
				}
				found++
			}
			if off += n; found < fewExtents {
				window = min(2*window, largeWindow)
			}
		}
	}
}

// dataWithin is dataOf for [off, off+n).
func dataWithin(ctx context.Context, r imagestore.Reader, off, n int64) iter.Seq2[imagestore.Extent, error] {
	return func(yield func(imagestore.Extent, error) bool) {
		switch r := r.(type) {
		case *Disk:
			for e, err := range r.Disk.Extents(ctx, off, n) {
				if !yield(imagestore.Extent(e), explainDisk(r.img, err)) {
					return
				}
			}
		case imagestore.ExtentReader:
			extents, err := r.Extents(ctx, off, n)
			for _, e := range extents {
				if !yield(e, nil) {
					return
				}
			}
			if err != nil {
				yield(imagestore.Extent{}, err)
			}
		default:
			yield(imagestore.Extent{Offset: off, Length: n}, nil)
		}
	}
}
