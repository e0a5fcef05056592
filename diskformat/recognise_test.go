package diskformat

import (
	"slices"
	"strings"
	"testing"

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
