package main

import "bytes"

// What guessFormat wants to see of a file: the first bytes, as far as the volume descriptor of an ISO image, and the
// footer of a fixed VHD.
const (
	headSize = 32769 + 5
	tailSize = 512
)

// magics are the bytes by which formats are known, and where they stand.
var magics = []struct {
	format string
	offset int
	bytes  string
}{
	{"qcow2", 0, "QFI\xfb"},
	{"vmdk", 0, "KDMV"},
	{"vmdk", 0, "COWD"},
	{"vmdk", 0, "# Disk DescriptorFile"},
	{"vhdx", 0, "vhdxfile"},
	{"vhd", 0, "conectix"}, // a dynamic one has a copy of its footer in front
	{"vdi", 64, "\x7f\x10\xda\xbe"},
	{"ploop", 0, "WithoutFreeSpace"},
	{"ploop", 0, "WithouFreSpacExt"},
	{"iso", 32769, "CD001"},
}

// packers are what people compress disks with.
var packers = []struct{ name, bytes string }{
	{"gzip", "\x1f\x8b"}, {"xz", "\xfd7zXZ\x00"}, {"zstd", "\x28\xb5\x2f\xfd"}, {"bzip2", "BZh"}, {"lz4", "\x04\x22\x4d\x18"},
}

// guessFormat tells the disk format of a file by its beginning and, if it is known, its end: raw unless something else
// is found. packed names what a file was compressed with that should be none.
func guessFormat(head, tail []byte) (format, packed string) {
	for _, m := range magics {
		if len(head) > m.offset && bytes.HasPrefix(head[m.offset:], []byte(m.bytes)) {
			return m.format, ""
		}
	}
	if bytes.HasPrefix(tail, []byte("conectix")) {
		return "vhd", ""
	}
	for _, p := range packers {
		if bytes.HasPrefix(head, []byte(p.bytes)) {
			return "", p.name
		}
	}
	return "raw", ""
}
