package diskformat

import (
	"slices"
	"strings"
	"testing"

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

func TestSignaturesAreOfFormatsOfTheAPI(t *testing.T) {
	for _, s := range signatures {
		if !slices.Contains(image.DiskFormats, s.format) || s.offset+len(s.bytes) > HeadSize {
			t.Errorf("the signature of %s at %d is of no format of the API, or out of reach", s.format, s.offset)
		}
	}
}
