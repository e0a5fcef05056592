package importer

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/vitrine-image/vitrine/diskformat"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/ingest"
)

// The plugins, by the names that Glance has for them. They run in the order in which they are configured.
const (
	Decompression = "image_decompression"   // of one file packed with gzip, bzip2, xz, zstd, lz4 or zip
	Extraction    = "ovf_process"           // of the only disk of an OVA
	Conversion    = "image_conversion"      // to one disk format
	Injection     = "inject_image_metadata" // of properties
)

// Plugins returns every plugin.
func Plugins() []string { return []string{Decompression, Extraction, Conversion, Injection} }

// A PluginConfig says what becomes of data and properties on their way in.
type PluginConfig struct {
	Enabled []string // in their order

	MaxRatio int64 // how many times as large as packed data what is in it may be, beyond the first GiB; 0 for 2000
	free     int64 // how much may come out of however little; 0 for that GiB

	Formats image.StoreFormats // of conversion, nil for raw in every store
	Rules   diskformat.Rules   // by which data is judged before

	Inject      map[string]string // properties to add
	IgnoreRoles []string          // to whose images none are added
}

func (c *PluginConfig) check() error {
	for _, name := range c.Enabled {
		if !slices.Contains(Plugins(), name) {
			return fmt.Errorf("importer: there is no plugin %q", name)
		}
	}
	if c.Formats == nil {
		c.Formats = image.StoreFormats{"": diskformat.Raw}
	}
	for _, format := range c.Formats {
		if format != "" && !slices.Contains(convertible, format) {
			return fmt.Errorf("importer: images cannot be converted to %q", format)
		}
	}
	c.MaxRatio, c.free = cmp.Or(c.MaxRatio, 2000), cmp.Or(c.free, 1<<30)
	for name := range c.Inject {
		if image.IsBookkeeping(name) {
			return fmt.Errorf("importer: the property %q cannot be injected", name)
		}
	}
	return nil
}

// changes reports whether a plugin works on data that has not been staged yet, and returns all of the data again, whose beginning
// it may have looked at.
func (j *job) changes(img *image.Image, src io.Reader) (bool, io.Reader) {
	if slices.Contains(j.plugins.Enabled, Extraction) && img.ContainerFormat == ovaContainer {
		return true, src
	}
	if slices.Contains(j.plugins.Enabled, Conversion) {
		if target, err := j.target(img); target != "" || err != nil {
			return true, src
		}
	}
	if !slices.Contains(j.plugins.Enabled, Decompression) || img.ContainerFormat == "compressed" {
		return false, src
	}
	head := make([]byte, packedHead)
	n, _ := io.ReadFull(src, head) // who reads on meets the error again
	return packing(head[:n]) != "", io.MultiReader(bytes.NewReader(head[:n]), src)
}

// runPlugins runs those that have not run on the staged data.
func (j *job) runPlugins(ctx context.Context) error {
	for _, name := range j.plugins.Enabled {
		if slices.Contains(j.plan.Steps, name) {
			continue
		}
		var err error
		switch name {
		case Decompression:
			err = j.decompress(ctx)
		case Extraction:
			err = j.extract(ctx)
		case Conversion:
			err = j.convert(ctx)
		case Injection:
			j.inject()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// inject adds properties to the plan, if it is enabled and who asked has none of the roles.
func (j *job) inject() {
	if !slices.Contains(j.plugins.Enabled, Injection) {
		return
	}
	ignored := slices.ContainsFunc(j.plan.Roles, func(role string) bool {
		return slices.ContainsFunc(j.plugins.IgnoreRoles, func(r string) bool { return strings.EqualFold(r, role) })
	})
	if ignored {
		return
	}
	for name, value := range j.plugins.Inject {
		j.plan.AddProperty(name, value)
	}
}

// restage puts what body gives in the place of what is staged. The plan says so afterwards, and if the process ends before, the
// step is done anew with what was staged before.
func (j *job) restage(ctx context.Context, step string, req ingest.Request, change func(*image.ImportPlan)) error {
	next := *j.plan
	next.Properties = maps.Clone(next.Properties)
	next.Steps = append(slices.Clone(next.Steps), step)
	change(&next)
	if err := j.images.Receive(ctx, j.task, &next, imagestore.Staging, req); err != nil {
		return err
	}
	*j.plan = next
	return nil
}

// decompress unpacks the staged data, if it is packed.
func (j *job) decompress(ctx context.Context) error {
	img, r, err := j.openStaged(ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	if img.ContainerFormat == "compressed" {
		return nil // is to stay as it is
	}
	src := &counted{Reader: imagestore.Sequential(ctx, r)}
	unpacked, err := unpack(src)
	if err != nil || unpacked == nil {
		return err
	}
	defer unpacked.Close()
	if err := j.sumReceived(ctx, r); err != nil {
		return err
	}
	req := ingest.Request{Body: j.progress(ctx, j.limitRatio(unpacked, src)), Size: -1, MaxSize: j.maxSize}
	return j.restage(ctx, Decompression, req, func(*image.ImportPlan) {})
}

func (j *job) openStaged(ctx context.Context) (*image.Image, imagestore.Reader, error) {
	img, err := j.image(ctx)
	if err != nil {
		return nil, nil, err
	}
	r, err := j.images.OpenStaged(ctx, img)
	return img, r, err
}

// counted counts what is read.
type counted struct {
	io.Reader
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	return n, err
}

// A ratioReader refuses data that is much larger than it was when it was packed: bombs.
type ratioReader struct {
	src    io.Reader
	packed *counted
	ratio  int64
	free   int64
	n      int64
}

func (j *job) limitRatio(src io.Reader, packed *counted) *ratioReader {
	return &ratioReader{src: src, packed: packed, ratio: j.plugins.MaxRatio, free: j.plugins.free}
}

func (r *ratioReader) Read(p []byte) (int, error) {
	n, err := r.src.Read(p)
	if r.n += int64(n); r.n > r.free && r.n/r.ratio > r.packed.n {
		return 0, image.Errorf(image.ErrTooLarge, "The data is more than %d times as large as it was when it was compressed, which is refused.", r.ratio)
	}
	if err != nil && err != io.EOF {
		err = unpackError(err)
	}
	return n, err
}

// unpackError gives an error of a decompressor a text, unless it is one of the store below.
func unpackError(err error) error {
	if slices.ContainsFunc(image.Errors(), func(ours error) bool { return errors.Is(err, ours) }) || errors.Is(err, context.Canceled) {
		return err
	}
	return image.Errorf(image.ErrUnsupportedContent, "The data cannot be decompressed: %v.", err)
}
