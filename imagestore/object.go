package imagestore

import (
	"fmt"
	"strings"

	"github.com/vitrine-image/vitrine/image"
)

const (
	idLength      = 36  // of an image's id
	maxObjectName = 200 // bytes
)

// Check refuses an object that is not named after its image. Errors: image.ErrInvalid.
func (o Object) Check() error {
	if id, ok := image.ParseID(string(o.ImageID)); !ok || id != o.ImageID || !strings.HasPrefix(o.Name, string(id)) {
		return fmt.Errorf("object %q of image %q is not named after it: %w", o.Name, o.ImageID, image.ErrInvalid)
	}
	if !IsObjectName(o.Name) {
		return fmt.Errorf("object name %q: %w", o.Name, image.ErrInvalid)
	}
	return nil
}

// IsObjectName tells whether a name is one that Check lets pass: it begins with an image's id and goes on in letters,
// digits, dots, hyphens and underscores.
func IsObjectName(name string) bool {
	if len(name) < idLength || len(name) > maxObjectName {
		return false
	}
	if id, ok := image.ParseID(name[:idLength]); !ok || string(id) != name[:idLength] {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool { return !isNameRune(r) })
}

func isNameRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' || r == '_'
}
