package importer

import (
	"context"
	"io"
	"slices"

	"github.com/vitrine-image/vitrine/diskformat"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/ingest"
)

// convertible are the formats that can be read as disks.
var convertible = []string{diskformat.Raw, diskformat.QCOW2, diskformat.VMDK, diskformat.VHD, diskformat.VHDX, diskformat.VDI}

// converts reports whether the image is that of a disk, in another format than the output's.
func (j *job) converts(img *image.Image) bool {
	return slices.Contains(convertible, img.DiskFormat) && img.ContainerFormat == "bare" && img.DiskFormat != j.plugins.OutputFormat && !img.Encrypted()
}

// convert brings the staged data to the output format.
func (j *job) convert(ctx context.Context) error {
	img, r, err := j.openStaged(ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	if !j.converts(img) {
		return nil
	}
	if err := j.inspect(ctx, img, r); err != nil {
		return err
	}
	out, err := j.images.ConvertStaged(ctx, img, j.plugins.OutputFormat)
	if err != nil {
		return err
	}
	defer out.Close()
	req := ingest.Request{Body: j.progress(ctx, io.NewSectionReader(out, 0, out.Size)), Size: out.Size, MaxSize: j.maxSize, File: out.File}
	return j.restage(ctx, Conversion, req, func(plan *image.ImportPlan) { plan.DiskFormat = j.plugins.OutputFormat })
}

// inspect judges the data before it is read as a disk.
func (j *job) inspect(ctx context.Context, img *image.Image, r imagestore.Reader) error {
	rules := j.plugins.Rules
	rules.AnyFormat = false // it is read as what was declared
	inspector := diskformat.NewInspector(rules)
	if _, err := io.CopyBuffer(inspector, imagestore.Sequential(ctx, r), make([]byte, 1<<20)); err != nil {
		return err
	}
	inspector.End()
	declared := diskformat.Declaration{DiskFormat: img.DiskFormat, ContainerFormat: img.ContainerFormat}
	info := inspector.Info()
	if err := rules.Check(declared, info); err != nil {
		return image.Errorf(image.ErrUnsupportedContent, "The data cannot be stored as %s: %v", img.DiskFormat, err)
	}
	size, known := declared.VirtualSize(info, r.Size())
	if j.maxSize > 0 && (!known || size > j.maxSize) {
		return image.Errorf(image.ErrTooLarge, "The disk in the image has %d bytes, more than the limit of %d bytes", size, j.maxSize)
	}
	return nil
}
