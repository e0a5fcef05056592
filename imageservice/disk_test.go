package imageservice_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/diskformat"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/metadata"
)

// openDisk returns what a guest sees of an image.
func openDisk(t *testing.T, s session, id image.ID) (*imageservice.Disk, error) {
	t.Helper()
	data, err := s.Open(t.Context(), id, imageservice.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return data.Disk(t.Context())
}

// activeQCOW2 makes an image with data and one that is the same disk as a qcow2.
func activeQCOW2(t *testing.T, s session, data []byte) (raw, qcow2 *image.Image) {
	t.Helper()
	raw = active(t, s, "raw", string(data))
	disk, err := openDisk(t, s, raw.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	w, err := diskformat.NewQCOW2Writer(t.Context(), disk.Disk)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := w.Stream(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	qcow2, err = s.Create(t.Context(), "", []image.Edit{{Op: image.EditAdd, Name: "disk_format", Value: "qcow2"},
		{Op: image.EditAdd, Name: "container_format", Value: "bare"}})
	if err == nil {
		err = s.Upload(t.Context(), qcow2.ID, &b, int64(b.Len()))
	}
	if err == nil {
		qcow2, err = s.Get(t.Context(), qcow2.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	return raw, qcow2
}

func TestDisk(t *testing.T) {
	svc := open(t, t.TempDir(), nil)
	s := session{svc.As(admin)}
	want := slices.Concat(bytes.Repeat([]byte{1}, mega), make([]byte, 2*mega), bytes.Repeat([]byte{2}, mega))
	raw, qcow2 := activeQCOW2(t, s, want)
	if *qcow2.Size >= *raw.Size {
		t.Fatalf("the qcow2 has %d bytes, want holes", *qcow2.Size)
	}
	for _, img := range []*image.Image{raw, qcow2} {
		disk, err := openDisk(t, s, img.ID)
		if err != nil {
			t.Fatal(err)
		}
		defer disk.Close()
		checkDisk(t, disk, want)
		over := 0
		disk, err = svc.Tree(imageservice.TreeConfig{}).OpenDisk(t.Context(), img.Number,
			func(r imagestore.Reader, loc image.Location) imagestore.Reader {
				if loc.URL != img.Locations[0].URL {
					t.Errorf("a cache lies over %v, want %v", loc, img.Locations[0])
				}
				over++
				return r
			})
		if err != nil || over != 1 {
			t.Fatalf("OpenDisk = %v, asked for a cache %d times", err, over)
		}
		checkDisk(t, disk, want)
		wantInUse(t, s, img.ID)
		if err := disk.Close(); err != nil {
			t.Error(err)
		}
		if err := s.Delete(t.Context(), img.ID); err != nil {
			t.Errorf("Delete of an image that is not open any more = %v", err)
		}
	}
}

func wantInUse(t *testing.T, s session, id image.ID) {
	t.Helper()
	if err := s.Delete(t.Context(), id); !errors.Is(err, image.ErrInUse) {
		t.Errorf("Delete of an image that is open = %v, want %v", err, image.ErrInUse)
	}
}

// checkDisk reads a disk that has data in its first and last quarter.
func checkDisk(t *testing.T, disk *imageservice.Disk, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := disk.ReadAt(t.Context(), got, 0); err != nil || disk.Size() != int64(n) || !bytes.Equal(got, want) {
		t.Errorf("a disk of %d bytes: ReadAt = %d, %v", disk.Size(), n, err)
	}
	extents, err := disk.Extents(t.Context(), mega/2, 3*mega)
	if err != nil || !slices.Equal(extents, []imagestore.Extent{{Offset: mega / 2, Length: mega / 2}, {Offset: 3 * mega, Length: mega / 2}}) {
		t.Errorf("Extents = %v, %v", extents, err)
	}
	file, at, n, err := disk.Stored(t.Context(), 3*mega+5, mega)
	if err != nil || n != mega-5 {
		t.Fatalf("Stored = %d bytes, %v, want %d", n, err, mega-5)
	}
	if n, err := file.ReadAt(got[:n], at); err != nil || !bytes.Equal(got[:n], want[3*mega+5:]) {
		t.Errorf("%s has %d other bytes at %d (%v)", file.Name(), n, at, err)
	}
	for _, tt := range [][3]int64{{0, 0, mega}, {mega - 1, mega - 1, mega}, {mega, 3 * mega, 4 * mega}, {4 * mega, 4 * mega, 4 * mega}} {
		if start, end, err := disk.DataAt(t.Context(), tt[0]); err != nil || start != tt[1] || end != tt[2] {
			t.Errorf("DataAt %d = %d, %d, %v, want %d, %d", tt[0], start, end, err, tt[1], tt[2])
		}
	}
}

// TestDataFarAway looks for it in more than one step.
func TestDataFarAway(t *testing.T) {
	dir := t.TempDir()
	db := openDB(t, dir)
	s := session{openOn(t, db, dir, nil, false).As(admin)}
	img := active(t, s, "sparse", strings.Repeat("x", mega))
	const size, last = int64(4 << 30), 4<<30 - mega
	object, err := os.OpenFile(objectFile(dir, img.ID), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer object.Close()
	if _, err := object.WriteAt(bytes.Repeat([]byte("y"), mega), last); err != nil {
		t.Fatal(err)
	}
	*img.Size = size
	if err := db.Update(t.Context(), func(tx metadata.WriteTx) error { return tx.SaveImage(img) }); err != nil {
		t.Fatal(err)
	}
	disk, err := openDisk(t, s, img.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	if start, end, err := disk.DataAt(t.Context(), mega); err != nil || start != last || end != size {
		t.Errorf("DataAt = %d, %d, %v, want %d, %d", start, end, err, last, size)
	}
}

// TestUnreadableDisks says what is wrong, and leaves nothing open.
func TestUnreadableDisks(t *testing.T) {
	dir := t.TempDir()
	db := openDB(t, dir)
	svc := openOn(t, db, dir, nil, false)
	s := session{svc.As(admin)}
	_, damaged := activeQCOW2(t, s, bytes.Repeat([]byte{1}, mega))
	object, err := os.OpenFile(objectFile(dir, damaged.ID), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer object.Close()
	l1 := make([]byte, 8)
	if _, err := object.ReadAt(l1, 40); err != nil {
		t.Fatal(err)
	}
	beyond := binary.BigEndian.AppendUint64(nil, 1<<40)
	if _, err := object.WriteAt(beyond, int64(binary.BigEndian.Uint64(l1))); err != nil {
		t.Fatal(err)
	}
	disk, err := openDisk(t, s, damaged.ID)
	if err == nil {
		defer disk.Close()
		_, err = disk.ReadAt(t.Context(), make([]byte, 10), 0)
	}
	checkText(t, "a damaged table", err, image.ErrCorrupt, "The data of image "+string(damaged.ID)+" is corrupt: it refers to ")
	if _, _, err := disk.DataAt(t.Context(), 0); !errors.Is(err, image.ErrCorrupt) {
		t.Errorf("DataAt in a damaged table = %v", err)
	}
	if _, err := disk.Extents(t.Context(), 0, mega); !errors.Is(err, image.ErrCorrupt) {
		t.Errorf("Extents in a damaged table = %v", err)
	}

	for _, tt := range []struct {
		disk, container string
		words           string
	}{
		{"qcow2", "bare", "cannot be read as a disk: it is not of the format qcow2."},
		{"iso", "bare", "iso"},
		{"vmdk", "ova", "ova"},
	} {
		img := active(t, s, "disk", "data")
		img.DiskFormat, img.ContainerFormat = tt.disk, tt.container
		if err := db.Update(t.Context(), func(tx metadata.WriteTx) error { return tx.SaveImage(img) }); err != nil {
			t.Fatal(err)
		}
		_, err := svc.Tree(imageservice.TreeConfig{}).OpenDisk(t.Context(), img.Number, sameReader)
		checkText(t, tt.disk+" in "+tt.container, err, image.ErrUnsupportedContent, tt.words, string(img.ID))
		if err := s.Delete(t.Context(), img.ID); err != nil {
			t.Errorf("Delete of an image that could not be opened = %v", err)
		}
	}
}

// TestRawViews are of the formats that can be read.
func TestRawViews(t *testing.T) {
	for _, format := range image.DiskFormats {
		img := &image.Image{DiskFormat: format, ContainerFormat: "bare"}
		if img.HasRawView() != diskformat.Readable(format) {
			t.Errorf("an image of the format %s has a raw view: %v, can be read: %v", format, img.HasRawView(), diskformat.Readable(format))
		}
	}
}

// TestDiskThatOthersMayChange is read by us alone, so it leads to no other files; as it lies, no hypervisor may get it.
func TestDiskThatOthersMayChange(t *testing.T) {
	svc := openWith(t, imageservice.Config{DB: openDB(t, t.TempDir())},
		imagestore.Entry{ID: "local", Store: openFiles(t, "local", t.TempDir()), Default: true, Changeable: true})
	_, img := activeQCOW2(t, session{svc.As(admin)}, bytes.Repeat([]byte{1}, mega))
	tree := svc.Tree(imageservice.TreeConfig{})
	if _, _, err := tree.Open(t.Context(), img.Number); !errors.Is(err, image.ErrForbidden) {
		t.Errorf("Open = %v, want %v", err, image.ErrForbidden)
	}
	disk, err := tree.OpenDisk(t.Context(), img.Number, sameReader)
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	p := make([]byte, 1)
	if _, err := disk.ReadAt(t.Context(), p, 0); err != nil || p[0] != 1 {
		t.Errorf("ReadAt = %d, %v", p, err)
	}
}

func sameReader(r imagestore.Reader, _ image.Location) imagestore.Reader { return r }
