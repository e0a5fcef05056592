package imageservice

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/vitrine-image/vitrine/diskformat"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/qemuimg"
)

// A Stream is data that is made while it is written.
type Stream interface {
	// Prepare does what has to be done before the first byte, which may take as long as all the rest. Size and Stream come after it.
	// Errors: those of Stream; image.ErrUnavailable while too many conversions are under way, image.ErrTooLarge and
	// image.ErrStoreFull without room for it.
	Prepare(ctx context.Context) error
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
	if err := d.session.svc.checkTarget(format); err != nil {
		d.Reader.Close()
		if errors.Is(err, image.ErrInvalid) {
			err = image.Errorf(image.ErrInvalid, "The data of image %s cannot be had in the format %q: %s can, and %s, which it has.",
				d.Image.ID, format, strings.Join(Targets(), ", "), d.Image.DiskFormat)
		}
		return err
	}
	disk, err := d.Disk(ctx)
	if err != nil {
		return err
	}
	d.Reader, d.Format = disk, format
	switch format {
	case diskformat.Raw:
		return nil
	case diskformat.QCOW2:
		return d.writeQCOW2(ctx, disk)
	}
	made := &fileStream{convert: d.session.svc.converter, disk: disk, format: format}
	d.Reader, d.Stream = hold(disk, made.close), made
	return nil
}

// Targets returns the formats to which disks can be converted: raw, which can be read in any order, qcow2, which is made while it is
// sent, and those of qemu-img.
func Targets() []string {
	return append([]string{diskformat.Raw, diskformat.QCOW2}, qemuimg.Formats()...)
}

// checkTarget reports why disks cannot be converted to a format. Errors: image.ErrInvalid for one that is no target,
// image.ErrUnsupportedContent for what is missing here.
func (s *Service) checkTarget(format string) error {
	switch {
	case !slices.Contains(Targets(), format):
		return image.Errorf(image.ErrInvalid, "Disks are not converted to %q.", format)
	case format == diskformat.Raw || format == diskformat.QCOW2:
		return nil
	case s.converter == nil:
		return image.Errorf(image.ErrUnsupportedContent, "This server does not convert to %s: raw and qcow2 can be had.", format)
	}
	return s.converter.Check(format)
}

// ConvertStaged returns what is staged of the image, a disk, as a file in the format, one of Targets. It waits while too many others are
// being converted. Errors: those of checkTarget, of Data.Disk and of the conversion.
func (s *Service) ConvertStaged(ctx context.Context, img *image.Image, format string) (*qemuimg.File, error) {
	if err := s.checkTarget(format); err != nil {
		return nil, err
	}
	if s.converter == nil {
		return nil, errors.New("imageservice: there is nowhere to convert")
	}
	r, err := s.OpenStaged(ctx, img)
	if err != nil {
		return nil, err
	}
	disk, err := s.openDisk(ctx, img, r)
	if err != nil {
		return nil, err
	}
	defer disk.Close()
	if format != diskformat.QCOW2 {
		return s.converter.Convert(ctx, disk, format, true)
	}
	w, err := diskformat.NewQCOW2Writer(ctx, disk.Disk)
	if err != nil {
		return nil, explainDisk(img, err)
	}
	return s.converter.Keep(ctx, w.Size(), true, func(file io.Writer) error { return qcow2Stream{w, img}.Stream(ctx, file) })
}

// A fileStream is a conversion by qemu-img, which is sent when it is complete.
type fileStream struct {
	convert *qemuimg.Converter
	disk    *Disk
	format  string
	file    *qemuimg.File // nil until it is
}

func (f *fileStream) Prepare(ctx context.Context) (err error) {
	f.file, err = f.convert.Convert(ctx, f.disk, f.format, false)
	return err
}

func (f *fileStream) Size() int64 { return f.file.Size }

func (f *fileStream) Stream(_ context.Context, w io.Writer) error {
	_, err := io.CopyBuffer(struct{ io.Writer }{w}, io.NewSectionReader(f.file, 0, f.file.Size), make([]byte, 1<<20))
	return err
}

func (f *fileStream) close() {
	if f.file != nil {
		f.file.Close()
	}
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

func (q qcow2Stream) Prepare(context.Context) error { return nil }

func (q qcow2Stream) Stream(ctx context.Context, w io.Writer) error {
	return explainDisk(q.img, q.QCOW2Writer.Stream(ctx, w))
}
