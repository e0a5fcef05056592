package importer

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/vitrine-image/vitrine/diskformat"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/ingest"
)

// convertible are the formats that can be read as disks.
var convertible = []string{diskformat.Raw, diskformat.QCOW2, diskformat.VMDK, diskformat.VHD, diskformat.VHDX, diskformat.VDI}

// target returns the format to which the image is to be converted, "" if it stays as it is. Error: that of image.StoreFormats.
func (j *job) target(img *image.Image) (string, error) {
	if !slices.Contains(convertible, img.DiskFormat) || img.ContainerFormat != "bare" || img.Encrypted() {
		return "", nil
	}
	format, err := j.plugins.Formats.Of(j.plan.Stores)
	if format == img.DiskFormat {
		format = ""
	}
	return format, err
}

// unconverted tells of the stores that have another format by an import of a copy than by others.
func (j *job) unconverted(img *image.Image) (text string) {
	if j.plan.Method != image.ImportCopy || !slices.Contains(j.plugins.Enabled, Conversion) || !img.HasRawView() {
		return ""
	}
	for _, store := range j.plan.Stores {
		if wants := j.plugins.Formats.Wants(store); wants != "" && wants != img.DiskFormat {
			text += fmt.Sprintf(". Copies are not converted: store %q has it as %s now, and takes new images as %s", store, img.DiskFormat, wants)
		}
	}
	return text
}

// convert brings the staged data to the format of its stores.
func (j *job) convert(ctx context.Context) error {
	img, r, err := j.openStaged(ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	target, err := j.target(img)
	if target == "" || err != nil {
		return err
	}
	if err := j.inspect(ctx, img, r); err != nil {
		return err
	}
	if err := j.sumReceived(ctx, r); err != nil {
		return err
	}
	out, err := j.images.ConvertStaged(ctx, img, target)
	if err != nil {
		return err
	}
	defer out.Close()
	req := ingest.Request{Body: j.progress(ctx, io.NewSectionReader(out, 0, out.Size)), Size: out.Size, MaxSize: j.maxSize, File: out.File}
	return j.restage(ctx, Conversion, req, func(plan *image.ImportPlan) { plan.DiskFormat = target })
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
