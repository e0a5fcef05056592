package image

import (
	"encoding/json"
	"strings"
)

// A NewClone asks for a volume that shares the data of an image until it is written to.
type NewClone struct {
	Store string // whose copy is cloned, "" for the first that can be
	Pool  string // where the volume is to be
	Name  string // of the volume
	Size  int64  // bytes, at least the image's; 0 for as many
}

// A Clone is a volume that was made.
type Clone struct {
	Store    string // whose data it shares
	Location string // as QEMU knows it, rbd:pool/name
	Size     int64  // bytes
	Parent   string // pool/image@snapshot
}

// ParseClone reads what clients write. Error: ErrInvalid.
func ParseClone(value any) (c NewClone, err error) {
	doc, ok := value.(map[string]any)
	if !ok {
		return c, wrongType("clone", "an object")
	}
	for key, v := range doc {
		field := map[string]*string{"store": &c.Store, "pool": &c.Pool, "name": &c.Name}[key]
		text, isText := v.(string)
		number, isNumber := v.(json.Number)
		switch {
		case field != nil && isText:
			*field = text
		case key == "size" && isNumber:
			if c.Size, err = number.Int64(); err != nil || c.Size <= 0 {
				return c, wrongType(key, "a number of bytes")
			}
		case field != nil:
			return c, wrongType(key, "a string")
		default:
			return c, Errorf(ErrInvalid, "A clone has no %q: it has pool, name, store and size.", key)
		}
	}
	return c, c.Check()
}

// maxVolumeName is how many bytes the name of a volume may have, and that of its pool.
const maxVolumeName = 128

// Check refuses names that no volume can have, or that would mean something else where a location is read. Error: ErrInvalid.
func (c NewClone) Check() error {
	for what, name := range map[string]string{"pool": c.Pool, "name": c.Name} {
		if name == "" || len(name) > maxVolumeName || strings.ContainsFunc(name, notInVolumeName) || strings.HasPrefix(name, "-") {
			return wrongType(what, "1 to 128 letters, digits and . _ -, and must not begin with -")
		}
	}
	return nil
}

func notInVolumeName(r rune) bool {
	isLetter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
	isDigit := r >= '0' && r <= '9'
	return !isLetter && !isDigit && !strings.ContainsRune("._-", r)
}
