package daemon

import (
	"slices"

	"github.com/vitrine-image/vitrine/diskformat"
	"github.com/vitrine-image/vitrine/image"
)

// FormatsConfig are the keys of the section [images] that say what the content of images may be.
type FormatsConfig struct {
	DiskFormats             []string `toml:"disk_formats"`
	ContainerFormats        []string `toml:"container_formats"`
	RequireFormatMatch      bool     `toml:"require_format_match"`
	VMDKAllowedTypes        []string `toml:"vmdk_allowed_types"`
	GPTSafetyChecksNonfatal []string `toml:"gpt_safety_checks_nonfatal"`
}

func defaultFormats() FormatsConfig {
	return FormatsConfig{DiskFormats: slices.Clone(image.DiskFormats), ContainerFormats: slices.Clone(image.ContainerFormats),
		RequireFormatMatch: true, VMDKAllowedTypes: slices.Clone(diskformat.DefaultVMDKTypes)}
}

// declared are the formats that images may be declared to be.
func (c FormatsConfig) declared() image.Formats {
	return image.Formats{Disk: c.DiskFormats, Container: c.ContainerFormats}
}

// rules say which content is acceptable.
func (c FormatsConfig) rules() diskformat.Rules {
	types := c.VMDKAllowedTypes
	if types == nil {
		types = []string{} // none
	}
	return diskformat.Rules{AnyFormat: !c.RequireFormatMatch, VMDKTypes: types, NonfatalPartitionChecks: c.GPTSafetyChecksNonfatal}
}

func (c FormatsConfig) check(fail func(string, ...any)) {
	for key, names := range map[string][]string{"disk_formats": c.DiskFormats, "container_formats": c.ContainerFormats} {
		if err := image.CheckFormats(names); err != nil {
			fail("images.%s: %w", key, err)
		}
	}
	if err := c.rules().Validate(); err != nil {
		fail("images.gpt_safety_checks_nonfatal: %w", err)
	}
}
