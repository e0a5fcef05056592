package diskformat

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz"

	"github.com/vitrine-image/vitrine/diskformat/formattest"
	"github.com/vitrine-image/vitrine/image"
)

func TestRecognise(t *testing.T) {
	iso := strings.Repeat("\x00", 32769) + "CD001"
	for _, tt := range []struct{ head, tail, format, packed string }{
		{"", "", "raw", ""},
		{"\x33\xc0boot sector", strings.Repeat("\x00", 512), "raw", ""},
		{"QFI\xfb\x00\x00\x00\x03", "", "qcow2", ""},
		{"QFI", "", "raw", ""},
		{"KDMV\x01", "", "vmdk", ""},
		{"# Disk DescriptorFile\nversion=1", "", "vmdk", ""},
		{"vhdxfile", "", "vhdx", ""},
		{"conectix", "", "vhd", ""},
		{"\x33\xc0", "conectix" + strings.Repeat("\x00", 504), "vhd", ""},
		{strings.Repeat("<", 64) + "\x7f\x10\xda\xbe", "", "vdi", ""},
		{"WithoutFreeSpace", "", "ploop", ""},
		{"PK\x03\x04", "", "", "zip"},
		{strings.Repeat("n", 257) + "ustar\x0000", "", "", "tar"},
		{iso, "", "iso", ""},
		{iso[:32770], "", "raw", ""},
		{"\x1f\x8b\x08", "", "", "gzip"},
		{"\xfd7zXZ\x00", "", "", "xz"},
		{"\x28\xb5\x2f\xfd", "", "", "zstd"},
	} {
		format, packed := Recognise([]byte(tt.head), []byte(tt.tail))
		if format != tt.format || packed != tt.packed {
			t.Errorf("Recognise(%.20q, %.10q) = %q, %q, want %q, %q", tt.head, tt.tail, format, packed, tt.format, tt.packed)
		}
	}
}

// The command names formats as the API does.
func TestRecogniseSamples(t *testing.T) {
	for _, s := range formattest.Good() {
		want := s.Format
		if want == GPT {
			want = Raw
		}
		tail := s.Data[max(0, len(s.Data)-TailSize):]
		if got, packed := Recognise(s.Data[:min(len(s.Data), HeadSize)], tail); got != want || packed != "" {
			t.Errorf("Recognise(%s) = %q, %q, want %q", s.Name, got, packed, want)
		}
		if !slices.Contains(append(image.DiskFormats, LUKS), want) {
			t.Errorf("%s is no format of the API", want)
		}
	}
}

// What is no disk, or one in another container, is told by name, taken only as what it is, and never read as a disk.
func TestRecognised(t *testing.T) {
	text := bytes.Repeat([]byte("what is in a file\n"), 5000)
	packedBy := func(open func(w io.Writer) io.WriteCloser) []byte {
		var b bytes.Buffer
		w := open(&b)
		w.Write(text)
		w.Close()
		return b.Bytes()
	}
	archive := func(names ...string) []byte {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for _, name := range names {
			if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text)), Format: tar.FormatUSTAR}); err != nil {
				t.Fatal(err)
			}
			w.Write(text)
		}
		w.Close()
		return b.Bytes()
	}
	for _, tt := range []struct {
		name           string
		data           []byte
		format, packed string
	}{
		{"ISO 9660", formattest.ISO("CD001", "CD001"), ISO, ""},
		{"UDF", formattest.ISO("BEA01", "NSR02", "TEA01"), ISO, ""},
		{"GPT", formattest.MBR(formattest.Protective), GPT, ""},
		{"MBR", formattest.MBR(formattest.Partition{Boot: 0x80, Type: 0x83, LBA: 2048}), GPT, ""},
		{"Parallels", formattest.Parallels("WithoutFreeSpace"), Parallels, ""},
		{"ploop", formattest.Parallels("WithouFreSpacExt"), Parallels, ""},
		{"LUKS 1", formattest.LUKS(1), LUKS, ""},
		{"LUKS 2", formattest.LUKS(2), LUKS, ""},
		{"gzip", packedBy(func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }), "", "gzip"},
		{"bzip2", []byte("BZh91AY&SY"), "", "bzip2"},
		{"xz", packedBy(func(w io.Writer) io.WriteCloser { return must(xz.NewWriter(w)) }), "", "xz"},
		{"zstd", packedBy(func(w io.Writer) io.WriteCloser { return must(zstd.NewWriter(w)) }), "", "zstd"},
		{"lz4", packedBy(func(w io.Writer) io.WriteCloser { return lz4.NewWriter(w) }), "", "lz4"},
		{"zip", packedBy(func(w io.Writer) io.WriteCloser {
			z := zip.NewWriter(w)
			return struct {
				io.Writer
				io.Closer
			}{must(z.Create("disk")), z}
		}), "", "zip"},
		{"tar", archive("disk.raw"), "", "tar"},
		{"OVA", archive("appliance.ovf", "appliance.mf", "disk.vmdk"), "", "tar"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := tt.format
			if want == GPT { // which is a raw disk to a command
				want = Raw
			}
			format, packed := Recognise(tt.data[:min(len(tt.data), HeadSize)], tt.data[max(0, len(tt.data)-TailSize):])
			if format != want || packed != tt.packed {
				t.Errorf("Recognise = %q, %q, want %q, %q", format, packed, want, tt.packed)
			}
			info := inspect(Rules{}, tt.data, 4096)
			if info.Packed != tt.packed || tt.format != "" && info.Format != tt.format {
				t.Errorf("inspected as %+v", info)
			}
			for _, disk := range []string{QCOW2, VMDK, VHD, VHDX, VDI} {
				err := (Rules{}).Check(Declaration{DiskFormat: disk, ContainerFormat: "bare"}, info)
				var other *MismatchError
				if !errors.As(err, &other) || other.Packed != tt.packed {
					t.Errorf("Check of %s = %v", disk, err)
				}
				if _, err := Open(t.Context(), bytesSource(tt.data), disk, NewCache(1<<20)); !errors.Is(err, ErrUnsupported) && !errors.Is(err, ErrCorrupt) {
					t.Errorf("Open as %s = %v", disk, err)
				}
			}
			raw := (Rules{}).Check(Declaration{DiskFormat: Raw, ContainerFormat: "bare"}, info)
			if taken := tt.packed != "" || tt.format == GPT; (raw == nil) != taken {
				t.Errorf("Check of raw = %v", raw)
			}
			for _, container := range []string{"ova", "compressed"} { // whose content nobody knows yet
				if err := (Rules{}).Check(Declaration{DiskFormat: VMDK, ContainerFormat: container}, info); err != nil {
					t.Errorf("Check in %s = %v", container, err)
				}
			}
		})
	}
}

// must returns a writer that was opened without options.
func must[W any](w W, err error) W {
	if err != nil {
		panic(err)
	}
	return w
}
