package imageservice

import (
	"context"
	"io"

	"github.com/vitrine-image/vitrine/diskformat"
	"github.com/vitrine-image/vitrine/image"
)

// A Stream is data that is made while it is written.
type Stream interface {
	Size() int64 // bytes
	// Stream writes all of it. Errors: image.ErrCorrupt, those of the store, and those of w as they are.
	Stream(ctx context.Context, w io.Writer) error
}

// convert makes the data be of a format, "" for its own. Errors: image.ErrInvalid for a format that cannot be had; those of Disk;
// image.ErrUnavailable while too many conversions are under way. The Reader is closed when it fails.
func (d *Data) convert(ctx context.Context, format string) error {
	if format == "" || d.Image.IsIn(format) {
		return nil
	}
	if format != diskformat.Raw && format != diskformat.QCOW2 {
		d.Reader.Close()
		return image.Errorf(image.ErrInvalid, "The data of image %s cannot be had in the format %q: raw and qcow2 can, and %s, which it has.",
			d.Image.ID, format, d.Image.DiskFormat)
	}
	disk, err := d.Disk(ctx)
	if err != nil {
		return err
	}
	d.Reader, d.Format = disk, format
	if format == diskformat.QCOW2 {
		return d.writeQCOW2(ctx, disk)
	}
	return nil
}

// How much memory conversions to qcow2 take, in bytes: one its buffer, and a bit for each GiB of the disk.
const (
	conversionMemory = 256 << 20 // of all
	conversionBuffer = 2 << 20
	conversionPerGiB = 16
	conversionTables = 32 << 20 // no disk takes more
)

// writeQCOW2 makes the data a Stream. The Reader is closed when it fails.
func (d *Data) writeQCOW2(ctx context.Context, disk *Disk) error {
	memory := d.session.svc.conversions
	weight := conversionBuffer + min(disk.Size()>>30*conversionPerGiB, conversionTables)
	if !memory.TryAcquire(weight) {
		disk.Close()
		return image.Errorf(image.ErrUnavailable, "Too many images are being converted. Please try again later.")
	}
	d.Reader = hold(disk, func() { memory.Release(weight) })
	w, err := diskformat.NewQCOW2Writer(ctx, disk.Disk)
	if err != nil {
		d.Reader.Close()
		return explainDisk(d.Image, err)
	}
	d.Stream = qcow2Stream{w, d.Image}
	return nil
}

type qcow2Stream struct {
	*diskformat.QCOW2Writer
	img *image.Image
}

func (q qcow2Stream) Stream(ctx context.Context, w io.Writer) error {
	return explainDisk(q.img, q.QCOW2Writer.Stream(ctx, w))
}
