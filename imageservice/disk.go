package imageservice

import (
	"context"
	"errors"
	"os"
	"strings"

	"github.com/vitrine-image/vitrine/diskformat"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
)

// DefaultTableCache is how many bytes of tables and of decompressed data are kept of all the images that are open as disks.
const DefaultTableCache = 64 << 20

// A Disk is an imagestore.ExtentReader of what a guest sees of an image. The embedded Disk gives its extents one by one; its
// errors are not ours.
type Disk struct {
	*diskformat.Disk
	img  *image.Image
	data imagestore.Reader
}

// Disk opens the data as the disk that a guest sees, which owns d.Reader from then on: close either. Errors:
// image.ErrUnsupportedContent when it cannot be read as one, with the reason; image.ErrCorrupt; those of reading.
func (d *Data) Disk(ctx context.Context) (*Disk, error) {
	return d.session.svc.openDisk(ctx, d.Image, d.Reader)
}

// openDisk returns the disk in the image's data r, which it closes when there is none.
func (s *Service) openDisk(ctx context.Context, img *image.Image, r imagestore.Reader) (*Disk, error) {
	d, err := s.readDisk(ctx, img, r)
	if err != nil {
		r.Close()
		return nil, err
	}
	return d, nil
}

func (s *Service) readDisk(ctx context.Context, img *image.Image, r imagestore.Reader) (*Disk, error) {
	if !img.HasRawView() {
		return nil, image.Errorf(image.ErrUnsupportedContent, "Image %s cannot be read as a disk: it is %s in a container of the format %s.",
			img.ID, img.DiskFormat, img.ContainerFormat)
	}
	format := img.DiskFormat
	if img.IsRawDisk() {
		format = diskformat.Raw
	}
	disk, err := diskformat.Open(ctx, sourceOf(r), format, s.tables)
	if err != nil {
		return nil, explainDisk(img, err)
	}
	return &Disk{Disk: disk, img: img, data: r}, nil
}

// Image returns whose disk it is.
func (d *Disk) Image() *image.Image { return d.img }

// ReadAt fills p from offset off of the disk, as io.ReaderAt does. Errors: image.ErrCorrupt, those of the store.
func (d *Disk) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	n, err := d.Disk.ReadAt(ctx, p, off)
	return n, explainDisk(d.img, err)
}

// Extents returns all the data ranges within [off, off+n).
func (d *Disk) Extents(ctx context.Context, off, n int64) (all []imagestore.Extent, err error) {
	for e, err := range d.Disk.Extents(ctx, off, n) {
		if err != nil {
			return nil, explainDisk(d.img, err)
		}
		all = append(all, imagestore.Extent(e))
	}
	return all, nil
}

// DataAt is DataAt of this package.
func (d *Disk) DataAt(ctx context.Context, off int64) (start, end int64, err error) {
	return DataAt(ctx, d, off)
}

// Stored tells in which local file, and where in there, the bytes at off stand as they are, and how many of them in a row, up to n.
// There are 0 when they are compressed or zeros, or in no such file.
func (d *Disk) Stored(ctx context.Context, off, n int64) (f *os.File, at, length int64, err error) {
	file, ok := d.data.(imagestore.FileReader)
	if !ok {
		return nil, 0, 0, nil
	}
	at, length, err = d.Disk.Stored(ctx, off, n)
	return file.File(), at, length, explainDisk(d.img, err)
}

// Close closes the disk and the image's data.
func (d *Disk) Close() error {
	return errors.Join(d.Disk.Close(), d.data.Close())
}

// diskErrors gives errors of diskformat the kinds that they have with us, and texts for a client.
var diskErrors = []struct {
	theirs, ours error
	text         string
}{
	{diskformat.ErrUnsupported, image.ErrUnsupportedContent, "Image %s cannot be read as a disk: %s."},
	{diskformat.ErrCorrupt, image.ErrCorrupt, "The data of image %s is corrupt: %s."},
}

// explainDisk returns ours for an error of diskformat; others as they are.
func explainDisk(img *image.Image, err error) error {
	for _, e := range diskErrors {
		if errors.Is(err, e.theirs) {
			return image.Errorf(e.ours, e.text, img.ID, strings.TrimPrefix(err.Error(), e.theirs.Error()+": "))
		}
	}
	return err
}

// sourceOf returns r as diskformat reads it, with what it knows of holes.
func sourceOf(r imagestore.Reader) diskformat.Source {
	if e, ok := r.(imagestore.ExtentReader); ok {
		return sparseSource{e}
	}
	return r
}

type sparseSource struct{ imagestore.ExtentReader }

func (s sparseSource) Extents(ctx context.Context, off, n int64) ([]diskformat.Extent, error) {
	found, err := s.ExtentReader.Extents(ctx, off, n)
	extents := make([]diskformat.Extent, len(found))
	for i, e := range found {
		extents[i] = diskformat.Extent(e)
	}
	return extents, err
}
