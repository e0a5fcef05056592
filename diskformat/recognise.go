package diskformat

import "bytes"

// What Recognise wants to see of an image: the first bytes, as far as the volume descriptor of an ISO image, and the last
// ones, for the footer of a fixed VHD.
const (
	HeadSize = 32769 + 5
	TailSize = 512
)

// signatures are the bytes by which formats are known, and where they stand.
var signatures = []struct {
	format string // as in the Image API
	offset int
	bytes  string
}{
	{QCOW2, 0, qcow2Magic},
	{"vmdk", 0, "KDMV"},
	{"vmdk", 0, "COWD"},
	{"vmdk", 0, "# Disk DescriptorFile"},
	{"vhdx", 0, "vhdxfile"},
	{"vhd", 0, vhdCookie}, // a dynamic one has a copy of its footer in front
	{"vdi", 64, "\x7f\x10\xda\xbe"},
	{"ploop", 0, "WithoutFreeSpace"},
	{"ploop", 0, "WithouFreSpacExt"},
	{"iso", 32769, "CD001"},
}

const vhdCookie = "conectix"

// packers are what disks get compressed with.
var packers = []struct{ name, bytes string }{
	{"gzip", "\x1f\x8b"}, {"xz", "\xfd7zXZ\x00"}, {"zstd", "\x28\xb5\x2f\xfd"}, {"bzip2", "BZh"}, {"lz4", "\x04\x22\x4d\x18"},
}

// Recognise names the format that the first HeadSize bytes of an image and its last TailSize ones (nil if they are not
// known) look like, without checking anything else: Raw unless something is found. packed names what the image was
// compressed with instead; there is no format then.
func Recognise(head, tail []byte) (format, packed string) {
	for _, s := range signatures {
		if len(head) > s.offset && bytes.HasPrefix(head[s.offset:], []byte(s.bytes)) {
			return s.format, ""
		}
	}
	if bytes.HasPrefix(tail, []byte(vhdCookie)) {
		return "vhd", ""
	}
	for _, p := range packers {
		if bytes.HasPrefix(head, []byte(p.bytes)) {
			return "", p.name
		}
	}
	return Raw, ""
}
