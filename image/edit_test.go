package image

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestApplyOne(t *testing.T) {
	long := strings.Repeat("n", 256)
	for _, tt := range []struct {
		edit Edit
		want error
	}{
		{Edit{Op: EditReplace, Name: "name", Value: nil}, nil},
		{Edit{Op: EditReplace, Name: "name", Value: strings.Repeat("日", 255)}, nil},
		{Edit{Op: EditReplace, Name: "name", Value: long}, ErrInvalid},
		{Edit{Op: EditReplace, Name: "name", Value: "\U0001F600"}, ErrInvalid},
		{Edit{Op: EditReplace, Name: "name", Value: json.Number("1")}, ErrInvalid},
		{Edit{Op: EditReplace, Name: "visibility", Value: "community"}, nil},
		{Edit{Op: EditReplace, Name: "visibility", Value: "all"}, ErrInvalid},
		{Edit{Op: EditReplace, Name: "protected", Value: true}, nil},
		{Edit{Op: EditReplace, Name: "protected", Value: "true"}, ErrInvalid},
		{Edit{Op: EditReplace, Name: "min_ram", Value: json.Number("2147483647")}, nil},
		{Edit{Op: EditReplace, Name: "min_ram", Value: json.Number("2147483648")}, ErrInvalid},
		{Edit{Op: EditReplace, Name: "min_disk", Value: json.Number("-1")}, ErrInvalid},
		{Edit{Op: EditReplace, Name: "min_disk", Value: json.Number("1.5")}, ErrInvalid},
		{Edit{Op: EditReplace, Name: "min_disk", Value: json.Number("2.0")}, nil},
		{Edit{Op: EditReplace, Name: "min_disk", Value: json.Number("1e3")}, nil},
		{Edit{Op: EditReplace, Name: "min_disk", Value: json.Number("1e400")}, ErrInvalid},
		{Edit{Op: EditReplace, Name: "min_disk", Value: json.Number("2147483647.5")}, ErrInvalid},
		{Edit{Op: EditReplace, Name: "disk_format", Value: nil}, nil},
		{Edit{Op: EditReplace, Name: "disk_format", Value: "floppy"}, ErrInvalid},
		{Edit{Op: EditReplace, Name: "tags", Value: []any{"b", "a", "b"}}, nil},
		{Edit{Op: EditReplace, Name: "tags", Value: []any{long}}, ErrInvalid},
		{Edit{Op: EditReplace, Name: "tags", Value: "a"}, ErrInvalid},
		{Edit{Op: EditRemove, Name: "tags"}, ErrForbidden},
		{Edit{Op: EditAdd, Name: "name", Value: "x"}, nil},
		{Edit{Op: EditAdd, Name: "name", Value: "x", Strict: true}, ErrConflict},
		{Edit{Op: EditReplace, Name: "status", Value: "active"}, ErrForbidden},
		{Edit{Op: EditReplace, Name: "id", Value: string(NewID())}, ErrForbidden},
		{Edit{Op: EditAdd, Name: "deleted", Value: "x"}, ErrForbidden},
		{Edit{Op: EditAdd, Name: "os_glance_anything", Value: "x"}, ErrForbidden},
		{Edit{Op: EditAdd, Name: "have", Value: "x"}, nil},
		{Edit{Op: EditAdd, Name: "have", Value: "x", Strict: true}, ErrConflict},
		{Edit{Op: EditAdd, Name: "new", Value: json.Number("1")}, ErrInvalid},
		{Edit{Op: EditAdd, Name: "new", Value: nil}, ErrInvalid},
		{Edit{Op: EditAdd, Name: "new", Value: strings.Repeat("x", 65536)}, ErrInvalid},
		{Edit{Op: EditAdd, Name: "kernel_id", Value: nil}, nil},
		{Edit{Op: EditAdd, Name: "kernel_id", Value: "0000000A-0000-4000-8000-00000000000b"}, nil},
		{Edit{Op: EditAdd, Name: "kernel_id", Value: "vmlinuz"}, ErrInvalid},
		{Edit{Op: EditAdd, Name: "ramdisk_id", Value: ""}, ErrInvalid},
		{Edit{Op: EditAdd, Name: "ramdisk_id", Value: true}, ErrInvalid},
		{Edit{Op: EditAdd, Name: "cinder_encryption_key_deletion_policy", Value: "do_not_delete"}, nil},
		{Edit{Op: EditAdd, Name: "cinder_encryption_key_deletion_policy", Value: "later"}, ErrInvalid},
		{Edit{Op: EditAdd, Name: "cinder_encryption_key_deletion_policy", Value: nil}, ErrInvalid},
		{Edit{Op: EditAdd, Name: long, Value: "x"}, ErrInvalid},
		{Edit{Op: EditAdd, Name: "", Value: "x"}, ErrInvalid},
		{Edit{Op: EditReplace, Name: "new", Value: "x"}, ErrConflict},
		{Edit{Op: EditRemove, Name: "new"}, ErrConflict},
		{Edit{Op: EditRemove, Name: "have"}, nil},
	} {
		img := &Image{Status: Queued, Properties: map[string]string{"have": "1"}}
		if err := img.Apply([]Edit{tt.edit}); !errors.Is(err, tt.want) {
			t.Errorf("%.120v: %v, want %v", tt.edit, err, tt.want)
		}
	}
}

// TestTextOfAnImageIsBounded: what counts is the image as it is after all edits, and whether they made it longer.
func TestTextOfAnImageIsBounded(t *testing.T) {
	value := func(n int) string { return strings.Repeat("v", n) }
	full := func(more int) *Image {
		img := &Image{Properties: map[string]string{}}
		for rest := MaxTextBytes + more; rest > 0; {
			name := fmt.Sprintf("p%02d", len(img.Properties))
			n := min(rest-len(name), 60_000)
			img.Properties[name] = value(n)
			rest -= len(name) + n
		}
		if img.TextBytes() != MaxTextBytes+more {
			t.Fatalf("TextBytes = %d", img.TextBytes())
		}
		return img
	}
	for _, tt := range []struct {
		name  string
		img   *Image
		edits []Edit
		want  error
	}{
		{"as much as there can be", full(-4), []Edit{{Op: EditAdd, Name: "new", Value: "v"}}, nil},
		{"a property too much", full(-3), []Edit{{Op: EditAdd, Name: "new", Value: "v"}}, ErrTooLarge},
		{"a name too much", full(0), []Edit{{Op: EditReplace, Name: "name", Value: "n"}}, ErrTooLarge},
		{"a tag too much", full(0), []Edit{{Op: EditReplace, Name: "tags", Value: []any{"t"}}}, ErrTooLarge},
		{"a longer value", full(0), []Edit{{Op: EditReplace, Name: "p00", Value: value(60_001)}}, ErrTooLarge},
		{"too much in between", full(0), []Edit{{Op: EditAdd, Name: "new", Value: value(100)}, {Op: EditRemove, Name: "p00"}}, nil},
		{"too much before, less now", full(1000), []Edit{{Op: EditReplace, Name: "p00", Value: value(59_999)}}, nil},
		{"too much before, no less now", full(1000), []Edit{{Op: EditReplace, Name: "protected", Value: true}}, nil},
		{"too much before, more now", full(1000), []Edit{{Op: EditReplace, Name: "p00", Value: value(60_001)}}, ErrTooLarge},
	} {
		err := tt.img.Apply(tt.edits)
		if !errors.Is(err, tt.want) || err != nil && !strings.Contains(err.Error(), "1048576") {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestApplySortsAndDeduplicatesTags(t *testing.T) {
	img := &Image{}
	if err := img.Apply([]Edit{{Op: EditReplace, Name: "tags", Value: []any{"b", "a", "b"}}}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"a", "b"}; !slices.Equal(img.Tags, want) {
		t.Errorf("tags = %q, want %q", img.Tags, want)
	}
}

func TestFormatsAreFixedOnceThereIsData(t *testing.T) {
	for _, status := range []Status{Saving, Active, Deactivated} {
		img := &Image{Status: status, DiskFormat: "raw"}
		if err := img.Apply([]Edit{{Op: EditReplace, Name: "disk_format", Value: "qcow2"}}); !errors.Is(err, ErrForbidden) {
			t.Errorf("disk_format of an image that is %s: %v, want ErrForbidden", status, err)
		}
	}
}
