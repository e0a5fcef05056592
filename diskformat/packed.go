package diskformat

// packers are what disks get compressed or archived with. They are known by their bytes for messages only: a raw disk
// may hold anything.
var packers = []struct {
	name   string
	offset int
	bytes  string
}{
	{"gzip", 0, "\x1f\x8b"}, {"xz", 0, "\xfd7zXZ\x00"}, {"zstd", 0, "\x28\xb5\x2f\xfd"}, {"bzip2", 0, "BZh"}, {"lz4", 0, "\x04\x22\x4d\x18"},
	{"zip", 0, "PK\x03\x04"}, {"tar", 257, "ustar"}, // OVA is tar
}

// packed keeps the beginning of the bytes.
type packed struct {
	head [257 + 5]byte
	have int
}

func (k *packed) write(off int64, p []byte) {
	if off < int64(len(k.head)) {
		k.have += copy(k.head[k.have:], p)
	}
}

func (k *packed) name() string {
	for _, p := range packers {
		if k.have >= p.offset && hasPrefix(k.head[p.offset:k.have], p.bytes) {
			return p.name
		}
	}
	return ""
}
