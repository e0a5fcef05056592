package policy

import (
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

// TestFields says what each name stands for; "-" is a field that is not there, "" one that is null.
func TestFields(t *testing.T) {
	name, size, virtual := "n", int64(5), int64(1<<40)
	img := ForImage(&image.Image{ID: "i", Name: &name, Owner: "own", Status: image.Queued, Visibility: image.Public, Protected: true,
		DiskFormat: "raw", ContainerFormat: "bare", MinDisk: 1, MinRAM: 2, Size: &size, VirtualSize: &virtual, Checksum: "c",
		HashAlgo: "sha512", HashValue: "h", CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC),
		Properties: map[string]string{"type": "t", "owner": "no", "os_distro": "debian", "target.x": "y"}}, "m")
	empty := ForImage(&image.Image{}, "")
	space := ForNamespace("ns", "own", image.Private)
	task := ForTask("i", "import", "pending", "own")
	list := ForProject("own")
	for field, want := range map[string][6]string{
		"id":               {"i", "", "-", "i", "-", "-"},
		"image_id":         {"i", "", "-", "i", "-", "-"},
		"name":             {"n", "", "ns", "-", "-", "-"},
		"namespace":        {"-", "-", "ns", "-", "-", "-"},
		"owner":            {"own", "", "own", "own", "own", "-"},
		"project_id":       {"own", "", "own", "own", "own", "-"},
		"visibility":       {"public", "", "private", "-", "-", "-"},
		"member":           {"m", "", "-", "-", "-", "-"},
		"member_id":        {"m", "", "-", "-", "-", "-"},
		"status":           {"queued", "", "-", "pending", "-", "-"},
		"protected":        {"True", "False", "-", "-", "-", "-"},
		"os_hidden":        {"False", "False", "-", "-", "-", "-"},
		"disk_format":      {"raw", "", "-", "-", "-", "-"},
		"container_format": {"bare", "", "-", "-", "-", "-"},
		"min_disk":         {"1", "0", "-", "-", "-", "-"},
		"min_ram":          {"2", "0", "-", "-", "-", "-"},
		"size":             {"5", "", "-", "-", "-", "-"},
		"virtual_size":     {"1099511627776", "", "-", "-", "-", "-"},
		"checksum":         {"c", "", "-", "-", "-", "-"},
		"os_hash_algo":     {"sha512", "", "-", "-", "-", "-"},
		"os_hash_value":    {"h", "", "-", "-", "-", "-"},
		"created_at":       {"2026-01-02T03:04:05Z", "", "-", "-", "-", "-"},
		"updated_at":       {"", "", "-", "-", "-", "-"},
		"type":             {"t", "-", "-", "import", "-", "-"},
		"os_distro":        {"debian", "-", "-", "-", "-", "-"},
		"target.x":         {"y", "-", "-", "-", "-", "-"},
		"tags":             {"-", "-", "-", "-", "-", "-"},
	} {
		for i, target := range []Target{img, empty, space, task, list, {}} {
			got, state := target.field(fieldNamed(field), field)
			switch {
			case state == absent:
				got = "-"
			case state == null && got == none:
				got = ""
			}
			if got != want[i] {
				t.Errorf("%s of target %d = %q, want %q", field, i, got, want[i])
			}
			value, ok := target.document()[field]
			if field != "tags" && (ok != (state != absent) || (value == nil) != (state != present)) {
				t.Errorf("%s of target %d is told as %v", field, i, value)
			}
		}
	}
}
