package diskformat

import (
	"fmt"
	"slices"
	"strings"
)

// Rules say which content is acceptable. The zero value has the defaults.
type Rules struct {
	// AnyFormat takes content of another format than the declared one. Content that is unsafe is refused all the same.
	AnyFormat bool
	// VMDKTypes are create types of VMDK that are taken, nil for DefaultVMDKTypes. Allowing types with extents in other
	// files is allowing images that a hypervisor completes with files beside them.
	VMDKTypes []string
	// NonfatalPartitionChecks are checks of partition tables that need not hold: "mbr" for all, or single ones of
	// PartitionChecks.
	NonfatalPartitionChecks []string
}

// DefaultVMDKTypes keep all data in the one file.
var DefaultVMDKTypes = []string{"monolithicSparse", "streamOptimized"}

// Validate reports a name that no check has.
func (r Rules) Validate() error {
	for _, name := range r.NonfatalPartitionChecks {
		if name != allPartitionChecks && !slices.Contains(PartitionChecks, name) {
			return fmt.Errorf("%q is no check of partition tables: those are %s, and %s for all of them", name,
				strings.Join(PartitionChecks, ", "), allPartitionChecks)
		}
	}
	return nil
}

// A Declaration is what the owner of an image says of its bytes, in words of the Image API.
type Declaration struct {
	DiskFormat      string
	ContainerFormat string
	Encrypted       bool // a raw disk may be a LUKS volume, whose key is kept elsewhere
}

// inspected are the declared formats whose content is looked at. The others (ami, ploop, an operator's own) may hold
// anything.
var inspected = []string{Raw, QCOW2, QED, VMDK, VHD, VHDX, VDI, ISO, GPT, LUKS, Bochs, Cloop}

func (d Declaration) inspected() bool {
	return d.ContainerFormat == "bare" && slices.Contains(inspected, d.DiskFormat)
}

// matches tells whether content of the format is what was declared.
func (d Declaration) matches(format string) bool {
	switch {
	case format == d.DiskFormat:
		return true
	case d.DiskFormat == Raw:
		return format == GPT || format == LUKS && d.Encrypted
	}
	return false
}

// Check judges what is known of the bytes by now; what it refuses, it refuses whatever comes. Errors: *MismatchError,
// *UnsafeError, *AmbiguousError.
func (r Rules) Check(d Declaration, info Info) error {
	if !d.inspected() {
		return nil
	}
	if r.pending(d, info) {
		return nil
	}
	mismatch := len(info.Formats) == 1 && !d.matches(info.Format)
	if info.Format == Raw { // it can still become anything, but for what is excluded
		mismatch = slices.Contains(info.excluded, d.DiskFormat)
	}
	switch {
	case mismatch && !r.AnyFormat:
		return &MismatchError{Declared: d.DiskFormat, Detected: info.Format, Packed: info.Packed}
	case len(info.Formats) > 1:
		return &AmbiguousError{info.Formats}
	case d.Encrypted && info.Format == LUKS: // the service that has the key wrote the header, and is the only one to read it
		return nil
	case len(info.Problems) > 0:
		return &UnsafeError{info.Format, info.Problems}
	}
	return nil
}

// pending tells whether bytes that begin with a partition table can still turn out to be an image that has one inside,
// and would be acceptable as such.
func (r Rules) pending(d Declaration, info Info) bool {
	return info.Format == GPT && slices.ContainsFunc(aroundPartitions, func(outer string) bool {
		return (r.AnyFormat || d.DiskFormat == outer) && !slices.Contains(info.excluded, outer)
	})
}

// VirtualSize returns the size of the disk that a guest sees, if the bytes, size of them, tell it.
func (d Declaration) VirtualSize(info Info, size int64) (virtual int64, ok bool) {
	switch {
	case !d.inspected():
		return 0, false
	case d.DiskFormat == Raw: // whatever the bytes are, they will be the guest's disk
		return size, true
	}
	return info.VirtualSize, d.matches(info.Format) && len(info.Problems) == 0
}

// A MismatchError says that an image was declared to be of one format and is of another.
type MismatchError struct{ Declared, Detected, Packed string }

func (e *MismatchError) Error() string {
	if e.Packed != "" {
		return fmt.Sprintf("the image was declared to be %s, but its content is packed with %s: unpack it first", e.Declared, e.Packed)
	}
	return fmt.Sprintf("the image was declared to be %s, but its content is %s", e.Declared, e.Detected)
}

// An AmbiguousError says that an image is of several formats at once.
type AmbiguousError struct{ Formats []string }

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("the content is %s at once: programs would not agree on what it is", strings.Join(e.Formats, " and "))
}

// An UnsafeError says which safety checks an image fails.
type UnsafeError struct {
	Format   string
	Problems []Problem
}

func (e *UnsafeError) Error() string {
	var texts []string
	for _, p := range e.Problems {
		texts = append(texts, fmt.Sprintf("%s (check %s)", p.Text, p.Check))
	}
	return fmt.Sprintf("the %s content is not safe: %s", e.Format, strings.Join(texts, "; "))
}
