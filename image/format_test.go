package image

import (
	"errors"
	"strings"
	"testing"
)

func TestFormats(t *testing.T) {
	own := Formats{Disk: []string{"raw", "gpt"}, Container: []string{"bare"}}
	for _, tt := range []struct {
		formats      Formats
		field, value string
		ok           bool
	}{
		{Formats{}, "disk_format", "qcow2", true},
		{Formats{}, "disk_format", "gpt", false},
		{own, "disk_format", "gpt", true},
		{own, "disk_format", "qcow2", false},
		{Formats{}, "container_format", "ova", true},
		{own, "container_format", "bare", true},
		{own, "container_format", "ova", false},
	} {
		img := &Image{Status: Queued}
		err := tt.formats.Apply(img, []Edit{{Op: EditAdd, Name: tt.field, Value: tt.value}})
		if (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrInvalid) {
			t.Errorf("%s = %s among %+v: %v, want ok %v", tt.field, tt.value, tt.formats, err, tt.ok)
		}
	}
}

func TestCheckFormats(t *testing.T) {
	for _, good := range [][]string{DiskFormats, ContainerFormats, {"gpt", "root-tar"}} {
		if err := CheckFormats(good); err != nil {
			t.Errorf("CheckFormats(%q) = %v", good, err)
		}
	}
	for _, bad := range [][]string{nil, {""}, {"Raw"}, {"a/b"}, {"raw", "qcow2", "raw"}, {strings.Repeat("x", 21)}} {
		if CheckFormats(bad) == nil {
			t.Errorf("CheckFormats takes %q", bad)
		}
	}
}
