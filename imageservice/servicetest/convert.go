package servicetest

import (
	"bytes"
	"context"
	"slices"
	"testing"

	"github.com/vitrine-image/vitrine/diskformat"
	"github.com/vitrine-image/vitrine/diskformat/formattest"
	"github.com/vitrine-image/vitrine/image"
)

// uploadFormat makes an image of a format.
func uploadFormat(t *testing.T, images Images, format, container string, data []byte) image.ID {
	t.Helper()
	id := create(t, images, add("disk_format", format), add("container_format", container)).ID
	upload(t, images, id, data)
	return id
}

// convert downloads disks as raw and as qcow2, whatever they were uploaded as.
func convert(t *testing.T, images Images) {
	qcow2, disk := formattest.QCOW2Disk(formattest.QCOW2Options{ClusterBits: 16})
	for format, data := range map[string][]byte{"raw": disk, "qcow2": qcow2, "vhd": formattest.FixedVHD(disk)} {
		id := uploadFormat(t, images, format, "bare", data)
		for _, as := range []string{"", format} {
			if got, err := images.DownloadAs(t.Context(), id, as); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%s as %q: %d bytes, %v, want the %d that were uploaded", format, as, len(got), err, len(data))
			}
		}
		if got, err := images.DownloadAs(t.Context(), id, "raw"); err != nil || !bytes.Equal(got, disk) {
			t.Errorf("%s as raw: %d bytes, %v, want the disk of %d", format, len(got), err, len(disk))
		}
		got, err := images.DownloadAs(t.Context(), id, "qcow2")
		if err != nil {
			t.Fatalf("%s as qcow2: %v", format, err)
		}
		if content := diskIn(t, got); !bytes.Equal(content, disk) {
			t.Errorf("%s as qcow2: another disk, of %d bytes", format, len(content))
		}
	}
}

// convertRefuses says why there is no conversion.
func convertRefuses(t *testing.T, images Images) {
	disk := uploadFormat(t, images, "raw", "bare", []byte("a disk"))
	_, err := images.DownloadAs(t.Context(), disk, "parallels")
	wantErr(t, "a conversion to parallels", err, image.ErrInvalid)
	iso := uploadFormat(t, images, "iso", "bare", formattest.ISO("CD001"))
	_, err = images.DownloadAs(t.Context(), iso, "qcow2")
	wantErr(t, "an ISO image as qcow2", err, image.ErrUnsupportedContent)
	if got, err := images.DownloadAs(t.Context(), iso, "iso"); err != nil || len(got) == 0 {
		t.Errorf("an ISO image as it is: %d bytes, %v", len(got), err)
	}
	packed := uploadFormat(t, images, "raw", "docker", []byte("a container"))
	_, err = images.DownloadAs(t.Context(), packed, "raw")
	wantErr(t, "a disk in a container", err, image.ErrUnsupportedContent)
	queued := create(t, images, raw("disk")...).ID
	_, err = images.DownloadAs(t.Context(), queued, "qcow2")
	wantErr(t, "an image without data", err, image.ErrNoData)
	_, err = images.DownloadAs(t.Context(), image.NewID(), "qcow2")
	wantErr(t, "no image", err, image.ErrNotFound)

	qcow2, _ := formattest.QCOW2Disk(formattest.QCOW2Options{})
	damaged := uploadFormat(t, images, "qcow2", "bare", formattest.Put64(qcow2, formattest.QCOW2L2<<9, 1<<40)) // of data outside of it
	_, err = images.DownloadAs(t.Context(), damaged, "raw")
	wantErr(t, "a damaged disk as raw", err, image.ErrCorrupt)
	_, err = images.Extents(t.Context(), damaged, image.ExtentQuery{Format: "raw"})
	wantErr(t, "the extents of a damaged disk", err, image.ErrCorrupt)
}

// extents tells where the data of an image is, and that of the disk in it.
func extents(t *testing.T, images Images) {
	data := slices.Concat(make([]byte, 1<<20), bytes.Repeat([]byte{1}, 1<<20), make([]byte, 3<<20))
	id := uploadFormat(t, images, "raw", "bare", data)
	qcow2, err := images.DownloadAs(t.Context(), id, "qcow2")
	if err != nil {
		t.Fatal(err)
	}
	packed := uploadFormat(t, images, "qcow2", "bare", qcow2)
	want := []image.Extent{{Length: 1 << 20}, {Offset: 1 << 20, Length: 1 << 20, Data: true}, {Offset: 2 << 20, Length: 3 << 20}}
	for _, tt := range []struct {
		id     image.ID
		query  image.ExtentQuery
		format string
		size   int64
		want   []image.Extent
	}{
		{id, image.ExtentQuery{}, "raw", 5 << 20, want},
		{id, image.ExtentQuery{Format: "raw", Offset: 3 << 20}, "raw", 5 << 20, []image.Extent{{Offset: 3 << 20, Length: 2 << 20}}},
		{id, image.ExtentQuery{Offset: 5 << 20}, "raw", 5 << 20, nil},
		{packed, image.ExtentQuery{Format: "raw"}, "raw", 5 << 20, want},
		{packed, image.ExtentQuery{Format: "raw", Offset: 3 << 19}, "raw", 5 << 20, []image.Extent{{Offset: 3 << 19, Length: 1 << 19, Data: true}, want[2]}},
	} {
		page, err := images.Extents(t.Context(), tt.id, tt.query)
		if err != nil || page.Format != tt.format || page.Size != tt.size || page.Next != tt.size || !slices.Equal(page.Extents, tt.want) {
			t.Errorf("Extents(%+v) = %+v, %v, want %v", tt.query, page, err, tt.want)
		}
	}
	if page, err := images.Extents(t.Context(), packed, image.ExtentQuery{}); err != nil || page.Format != "qcow2" || page.Size != int64(len(qcow2)) {
		t.Errorf("the extents of the data as it is = %+v, %v", page, err)
	}
	_, err = images.Extents(t.Context(), id, image.ExtentQuery{Format: "qcow2"})
	wantErr(t, "the extents of what is still to be made", err, image.ErrInvalid)
	_, err = images.Extents(t.Context(), id, image.ExtentQuery{Offset: 5<<20 + 1})
	wantErr(t, "extents behind the end", err, image.ErrInvalid)
}

// diskIn returns the disk in a qcow2.
func diskIn(t *testing.T, qcow2 []byte) []byte {
	t.Helper()
	d, err := diskformat.Open(t.Context(), bytesSource(qcow2), diskformat.QCOW2, diskformat.NewCache(1<<20))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	disk := make([]byte, d.Size())
	if _, err := d.ReadAt(t.Context(), disk, 0); err != nil {
		t.Fatal(err)
	}
	return disk
}

type bytesSource []byte

func (s bytesSource) Size() int64 { return int64(len(s)) }

func (s bytesSource) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	return bytes.NewReader(s).ReadAt(p, off)
}

// sums are those of a raw disk without an import, and of other data that alone.
func sums(t *testing.T, images Images) {
	disk := []byte("a disk")
	raw := uploadFormat(t, images, "raw", "bare", disk)
	img, err := images.Get(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	stored := image.ContentSum{Of: image.SumStored, Algo: img.HashAlgo, Value: img.HashValue, Size: int64(len(disk))}
	guest := stored
	guest.Of = image.SumDisk
	if got, err := images.Sums(t.Context(), raw); err != nil || !slices.Equal(got, []image.ContentSum{stored, guest}) {
		t.Errorf("the sums of a raw disk are %+v, %v", got, err)
	}
	packed := uploadFormat(t, images, "raw", "docker", disk)
	if got, err := images.Sums(t.Context(), packed); err != nil || !slices.Equal(got, []image.ContentSum{stored}) {
		t.Errorf("the sums of a container are %+v, %v", got, err)
	}
	queued := create(t, images, add("name", "queued")).ID
	if got, err := images.Sums(t.Context(), queued); err != nil || len(got) > 0 {
		t.Errorf("the sums of no data are %+v, %v", got, err)
	}
	_, err = images.Sums(t.Context(), image.NewID())
	wantErr(t, "the sums of no image", err, image.ErrNotFound)
}
