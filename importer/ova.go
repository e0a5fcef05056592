package importer

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"

	"github.com/vitrine-image/vitrine/diskformat"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/ingest"
	"github.com/vitrine-image/vitrine/internal/ova"
)

// ovaContainer is the container format of a machine whose disk is taken out.
const ovaContainer = "ova"

// extract puts the only disk of a staged OVA in its place, and plans to give the image what the OVA tells of its machine.
func (j *job) extract(ctx context.Context) error {
	img, r, err := j.openStaged(ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	if img.ContainerFormat != ovaContainer {
		return nil
	}
	disk, err := ova.Read(readerAt{ctx, r}, r.Size())
	if err != nil {
		return ovaError(err)
	}
	format, err := j.formatInOVA(ctx, r, disk)
	if err != nil {
		return ovaError(err)
	}
	if err := j.sumReceived(ctx, r); err != nil {
		return err
	}
	body, _, err := j.openInOVA(ctx, r, disk, io.Discard)
	if err != nil {
		return ovaError(err)
	}
	size := disk.Length
	if disk.Gzip {
		size = -1
	}
	req := ingest.Request{Body: j.progress(ctx, body), Size: size, MaxSize: j.maxSize}
	return j.restage(ctx, Extraction, req, func(plan *image.ImportPlan) {
		plan.DiskFormat, plan.ContainerFormat, plan.MinRAM = format, "bare", disk.MemoryMiB
		for name, value := range disk.Properties {
			if _, have := img.Properties[name]; !have { // what the owner says is better
				plan.AddProperty(name, value)
			}
		}
	})
}

// formatInOVA reads all of the disk, compares its sum, and returns what it is.
func (j *job) formatInOVA(ctx context.Context, r imagestore.Reader, disk *ova.Disk) (string, error) {
	body, packed, err := j.openInOVA(ctx, r, disk, disk.Watch(io.Discard))
	if err != nil {
		return "", err
	}
	inspector := diskformat.NewInspector(j.plugins.Rules)
	if _, err := io.CopyBuffer(inspector, j.progress(ctx, body), make([]byte, 1<<20)); err != nil {
		return "", err
	}
	if _, err := io.Copy(io.Discard, packed); err != nil { // what the decompressor left
		return "", err
	}
	if err := disk.Verify(); err != nil {
		return "", err
	}
	inspector.End()
	info := inspector.Info()
	format := info.Format
	if format == diskformat.GPT {
		format = diskformat.Raw
	}
	if !slices.Contains(convertible, format) {
		return "", image.Errorf(image.ErrUnsupportedContent, "The disk in the OVA is %s, which is no disk of a machine.", format)
	}
	if err := j.plugins.Rules.Check(diskformat.Declaration{DiskFormat: format, ContainerFormat: "bare"}, info); err != nil {
		return "", image.Errorf(image.ErrUnsupportedContent, "The disk in the OVA cannot be stored: %v", err)
	}
	return format, nil
}

// openInOVA opens the disk, unpacked. What is read of its file goes to watch, and the rest of that is in packed.
func (j *job) openInOVA(ctx context.Context, r imagestore.Reader, disk *ova.Disk, watch io.Writer) (body, packed io.Reader, err error) {
	src := &counted{Reader: io.TeeReader(io.NewSectionReader(readerAt{ctx, r}, disk.Offset, disk.Length), watch)}
	if !disk.Gzip {
		return src, src, nil
	}
	unpacked, err := gzip.NewReader(src)
	if err != nil {
		return nil, nil, unpackError(err)
	}
	return j.limitRatio(unpacked, src), src, nil
}

// ovaError gives a refusal the kind that it has with us.
func ovaError(err error) error {
	if errors.Is(err, ova.ErrRefused) {
		return image.Errorf(image.ErrUnsupportedContent, "The OVA cannot be taken: %s.", strings.TrimPrefix(err.Error(), ova.ErrRefused.Error()+": "))
	}
	return err
}

// readerAt is a Reader whose reads end with ctx.
type readerAt struct {
	ctx context.Context
	imagestore.Reader
}

func (r readerAt) ReadAt(p []byte, off int64) (int, error) { return r.Reader.ReadAt(r.ctx, p, off) }
