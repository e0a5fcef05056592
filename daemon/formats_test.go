package daemon

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/diskformat"
	"github.com/vitrine-image/vitrine/image"
)

func TestFormatsConfig(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vitrined.toml")
	text := `[images]
disk_formats = ["raw", "gpt"]
container_formats = ["bare"]
require_format_match = false
vmdk_allowed_types = []
gpt_safety_checks_nonfatal = ["mbr"]
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	formats, rules := cfg.Images.declared(), cfg.Images.rules()
	if !slices.Equal(formats.Disks(), []string{"raw", "gpt"}) || !slices.Equal(formats.Containers(), []string{"bare"}) {
		t.Errorf("formats %+v", formats)
	}
	if !rules.AnyFormat || rules.VMDKTypes == nil || len(rules.VMDKTypes) != 0 || !slices.Equal(rules.NonfatalPartitionChecks, []string{"mbr"}) {
		t.Errorf("rules %+v", rules)
	}
	if d := Default().Images; !slices.Equal(d.DiskFormats, image.DiskFormats) || !slices.Equal(d.VMDKAllowedTypes, diskformat.DefaultVMDKTypes) {
		t.Errorf("a file changed the defaults to %+v", d.FormatsConfig)
	}
	for key, bad := range map[string]FormatsConfig{
		"images.disk_formats":               {DiskFormats: []string{"Raw"}, ContainerFormats: []string{"bare"}},
		"images.container_formats":          {DiskFormats: []string{"raw"}},
		"images.gpt_safety_checks_nonfatal": {DiskFormats: []string{"raw"}, ContainerFormats: []string{"bare"}, GPTSafetyChecksNonfatal: []string{"x"}},
	} {
		cfg := Default()
		cfg.Data, cfg.Images.FormatsConfig = t.TempDir(), bad
		if err := cfg.finish(); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("finish = %v, want a word on %s", err, key)
		}
	}
}
