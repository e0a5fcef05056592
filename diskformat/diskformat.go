// Package diskformat recognises the format of a disk image in bytes that may be hostile, reads from its header what a
// guest will see, finds what makes it unsafe to hand to a hypervisor, and reads it as the disk that a guest sees. It imports
// nothing of ours. Start reading at Inspector, which looks, Rules, which judges, and Open, which returns a Disk; a format is a
// file with an examiner, and those that are disks have one with a layout.
package diskformat

import "slices"

// The formats that an Inspector tells apart. Raw is what is none of the others.
const (
	Raw       = "raw"
	QCOW2     = "qcow2"
	QED       = "qed"
	VMDK      = "vmdk"
	VHD       = "vhd"
	VHDX      = "vhdx"
	VDI       = "vdi"
	ISO       = "iso"
	GPT       = "gpt" // a partition table, GPT or MBR: what a raw disk mostly begins with
	LUKS      = "luks"
	Parallels = "ploop" // as the Image API calls it
	Bochs     = "bochs"
	Cloop     = "cloop"
)

// Info is what the bytes tell.
type Info struct {
	Format      string // the one that counts, as in the Image API
	VirtualSize int64  // bytes that a guest sees; 0 when the header does not tell
	// Formats are all formats that the bytes match, Raw if there is none. With more than one the bytes may be one thing
	// to us and another one to the hypervisor, but for those that belong together (see combine).
	Formats  []string
	Problems []Problem // safety checks that Format fails
	Packed   string    // what Raw bytes are compressed or archived with, such as "gzip"; "" if nothing is known

	excluded []string // formats that the bytes are not, whatever comes
}

// A Problem is a safety check that failed.
type Problem struct {
	Check string // its name, such as "backing_file"
	Text  string // what was found and why it matters, without a full stop
}

// aroundPartitions are formats in whose first sector a partition table may stand: that of a bootable ISO image, which
// leaves those bytes free, and that of the disk in a fixed VHD, which is a raw disk with a footer.
var aroundPartitions = []string{ISO, VHD}

// combine reduces a partition table and the format around it to the latter.
func combine(formats []string) []string {
	if len(formats) == 2 && slices.Contains(formats, GPT) {
		for _, outer := range aroundPartitions {
			if slices.Contains(formats, outer) {
				return []string{outer}
			}
		}
	}
	return formats
}
