package metadata

import (
	"slices"

	"github.com/vitrine-image/vitrine/image"
)

// Holds reports whether the image is one of the scope's.
func (s Scope) Holds(img *image.Image) bool {
	if s.Owner != "" && img.Owner != s.Owner {
		return false
	}
	for _, c := range s.All {
		if !(c.Public && img.Visibility == image.Public) && !slices.Contains(c.Owners, img.Owner) {
			return false
		}
	}
	return true
}
