// Package diskformat recognises the format of a disk image in bytes that may be hostile, and reads from its header what
// a guest will see. It imports nothing of ours. Start reading at Inspector; a format is a file with an examiner.
package diskformat

import (
	"errors"
	"fmt"
	"slices"
)

// The formats that an Inspector tells apart. Raw is what is none of the others.
const (
	Raw   = "raw"
	QCOW2 = "qcow2"
)

// ErrMalformed means that the bytes begin as those of a format and then break its rules.
var ErrMalformed = errors.New("malformed image")

// A MismatchError says that an image was declared to be of one format and is of another.
type MismatchError struct{ Declared, Detected string }

func (e *MismatchError) Error() string {
	return fmt.Sprintf("the image was declared to be %s, but its content is %s", e.Declared, e.Detected)
}

// Info is what the bytes tell.
type Info struct {
	Format      string // as in the Image API
	VirtualSize int64  // bytes that a guest sees
}

// inspected are the declared formats whose content is looked at: the others (ami, ploop...) may hold anything.
var inspected = []string{Raw, QCOW2, "vmdk", "vhd", "vhdx", "vdi", "iso"}

// Check compares what was found with the declared disk format of an image in a bare container. What no examiner knows
// yet appears as raw, which says nothing against those formats. Errors: *MismatchError.
func Check(declared string, found Info) error {
	if !slices.Contains(inspected, declared) || declared == found.Format || declared != QCOW2 && found.Format == Raw {
		return nil
	}
	return &MismatchError{declared, found.Format}
}
