package daemon

import "github.com/vitrine-image/vitrine/diskformat"

// formatRules are what the section [images] says of content.
func (c ImagesConfig) formatRules() diskformat.Rules {
	return diskformat.Rules{AnyFormat: !c.RequireFormatMatch}
}
