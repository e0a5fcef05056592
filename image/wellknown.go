package image

import (
	"slices"
	"strings"
)

// KeyPolicies are the values of the property cinder_encryption_key_deletion_policy.
var KeyPolicies = []string{"on_image_deletion", "do_not_delete"}

// wellKnown are the properties whose values the API restricts, although they are no base fields, and how a value from a
// document becomes the one to keep.
var wellKnown = map[string]func(name string, value any) (string, error){
	"kernel_id":                             imageReference,
	"ramdisk_id":                            imageReference,
	"cinder_encryption_key_deletion_policy": keyPolicy,
}

// NullProperty reports whether the empty value of a property stands for null.
func NullProperty(name string) bool { return name == "kernel_id" || name == "ramdisk_id" }

// Encrypted reports whether the data is a volume of the block storage service that was encrypted there: a LUKS volume,
// which is declared to be raw.
func (img *Image) Encrypted() bool { return img.Properties["cinder_encryption_key_id"] != "" }

// imageReference is a UUID, or null, which servers write that boot images without a kernel of their own.
func imageReference(name string, value any) (string, error) {
	if value == nil {
		return "", nil
	}
	text, _ := value.(string)
	if _, ok := ParseID(text); !ok {
		return "", Errorf(ErrInvalid, "Invalid value for property '%s': it must be null or a UUID", name)
	}
	return text, nil
}

func keyPolicy(name string, value any) (string, error) {
	text, _ := value.(string)
	if !slices.Contains(KeyPolicies, text) {
		return "", Errorf(ErrInvalid, "Invalid value for property '%s': it must be one of %s", name, strings.Join(KeyPolicies, ", "))
	}
	return text, nil
}
