package imageservice_test

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"testing"

	"github.com/vitrine-image/vitrine/diskformat/formattest"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
	"github.com/vitrine-image/vitrine/internal/qemuimg"
	"github.com/vitrine-image/vitrine/internal/testservers"
	"github.com/vitrine-image/vitrine/metadata"
)

// convertAll lets an image be converted, and throws the result away.
func convertAll(ctx context.Context, s session, id image.ID, format string) error {
	data, err := s.Open(ctx, id, imageservice.OpenOptions{Format: format})
	if err != nil {
		return err
	}
	defer data.Reader.Close()
	if data.Stream == nil {
		_, err := data.Reader.ReadAt(ctx, make([]byte, min(data.Reader.Size(), mega)), 0)
		return err
	}
	if err := data.Stream.Prepare(ctx); err != nil {
		return err
	}
	var count counter
	if err := data.Stream.Stream(ctx, &count); err != nil {
		return err
	}
	if int64(count) != data.Stream.Size() {
		return errors.New("the qcow2 has another size than was promised")
	}
	return nil
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// TestConvertHostileImages that came into a store by another way than an upload.
func TestConvertHostileImages(t *testing.T) {
	dir := t.TempDir()
	db := openDB(t, dir)
	s := session{openOn(t, db, dir, nil, false).As(admin)}
	img := active(t, s, "disk", "data")
	refused := 0
	for _, sample := range slices.Concat(formattest.Good(), formattest.Hostile()) {
		img.DiskFormat, *img.Size = sample.Format, int64(len(sample.Data))
		if sample.Declared != "" {
			img.DiskFormat = sample.Declared
		}
		if err := os.WriteFile(objectFile(dir, img.ID), sample.Data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := db.Update(t.Context(), func(tx metadata.WriteTx) error { return tx.SaveImage(img) }); err != nil {
			t.Fatal(err)
		}
		for _, format := range []string{"raw", "qcow2"} {
			err := convertAll(t.Context(), s, img.ID, format)
			known := errors.Is(err, image.ErrUnsupportedContent) || errors.Is(err, image.ErrCorrupt)
			if err != nil && !known {
				t.Errorf("%s (%s) as %s: %v", sample.Name, img.DiskFormat, format, err)
			}
			if known && sample.Check != "" {
				refused++
			}
			if err == nil && slices.Contains([]string{"backing_file", "data_file", "parent"}, sample.Check) && !img.IsIn(format) {
				t.Errorf("%s, which refers to another file, was converted to %s", sample.Name, format)
			}
		}
	}
	if refused < 50 {
		t.Errorf("only %d conversions of hostile images were refused", refused)
	}
}

// TestManyConversions are told to come again once they would take too much memory.
func TestManyConversions(t *testing.T) {
	s := session{open(t, t.TempDir(), nil).As(admin)}
	img := active(t, s, "disk", "data")
	var under []io.Closer
	for {
		data, err := s.Open(t.Context(), img.ID, imageservice.OpenOptions{Format: "qcow2"})
		if errors.Is(err, image.ErrUnavailable) {
			break
		}
		if err != nil || len(under) > 1000 {
			t.Fatalf("conversion %d: %v", len(under), err)
		}
		under = append(under, data.Reader)
	}
	if len(under) < 64 {
		t.Errorf("%d conversions are too many", len(under)+1)
	}
	if _, err := s.Download(t.Context(), img.ID); err != nil {
		t.Errorf("a download beside them: %v", err)
	}
	for _, r := range under {
		r.Close()
	}
	if err := convertAll(t.Context(), s, img.ID, "qcow2"); err != nil {
		t.Errorf("a conversion after them: %v", err)
	}
}

// TestConversionsByQemuImg are made before the first byte, one at a time here, and are gone afterwards.
func TestConversionsByQemuImg(t *testing.T) {
	testservers.Require(t, "qemu")
	converter, err := qemuimg.New(qemuimg.Config{Dir: t.TempDir(), Scratch: 2 * (64<<20 + 8<<20)})
	if err != nil {
		t.Fatal(err)
	}
	s := session{openWithStore(t, imageservice.Config{Converter: converter}).As(admin)}
	img := active(t, s, "disk", "data")
	for range 20 {
		for _, format := range qemuimg.Formats() {
			if err := convertAll(t.Context(), s, img.ID, format); err != nil {
				t.Fatalf("%s: %v", format, err)
			}
		}
	}
	var busy bool
	for range 20 { // those that nobody fetches keep their room
		data, err := s.Open(t.Context(), img.ID, imageservice.OpenOptions{Format: "vhdx"})
		if err != nil {
			t.Fatal(err)
		}
		defer data.Reader.Close()
		if err := data.Stream.Prepare(t.Context()); errors.Is(err, image.ErrUnavailable) {
			busy = true
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if !busy {
		t.Error("there is room for any number of conversions")
	}
	none := session{open(t, t.TempDir(), nil).As(admin)}
	img = active(t, none, "disk", "data")
	if err := convertAll(t.Context(), none, img.ID, "vmdk"); !errors.Is(err, image.ErrUnsupportedContent) {
		t.Errorf("vmdk of a server that does not convert to it: %v", err)
	}
	if err := convertAll(t.Context(), none, img.ID, "iso"); !errors.Is(err, image.ErrInvalid) {
		t.Errorf("iso: %v", err)
	}
}

// TestManyExtents come in pages.
func TestManyExtents(t *testing.T) {
	dir := t.TempDir()
	db := openDB(t, dir)
	s := session{openOn(t, db, dir, nil, false).As(admin)}
	img := active(t, s, "sparse", "")
	const block, pieces = 64 << 10, 5001
	*img.Size = block * pieces
	object, err := os.OpenFile(objectFile(dir, img.ID), os.O_RDWR, 0)
	if err == nil {
		defer object.Close()
		err = object.Truncate(*img.Size)
	}
	for i := int64(0); i < pieces && err == nil; i += 2 {
		_, err = object.WriteAt([]byte{1}, i*block)
	}
	if err == nil {
		err = db.Update(t.Context(), func(tx metadata.WriteTx) error { return tx.SaveImage(img) })
	}
	if err != nil {
		t.Fatal(err)
	}
	var all []image.Extent
	pages := 0
	for q := (image.ExtentQuery{}); q.Offset < *img.Size; pages++ {
		page, err := s.Extents(t.Context(), img.ID, q)
		if err != nil || page.Next <= q.Offset {
			t.Fatalf("the page at %d ends at %d, %v", q.Offset, page.Next, err)
		}
		all = append(all, page.Extents...)
		q.Offset = page.Next
	}
	if pages < 2 || pages > 3 {
		t.Errorf("%d extents came in %d pages", len(all), pages)
	}
	off, data := int64(0), 0
	for _, e := range all {
		if e.Offset != off || e.Length <= 0 {
			t.Fatalf("%+v does not go on at %d", e, off)
		}
		if off += e.Length; e.Data {
			data++
		}
	}
	if off != *img.Size || data != (pieces+1)/2 {
		t.Errorf("%d of %d bytes, %d extents with data", off, *img.Size, data)
	}
}
