package formattest

import (
	"math"
	"slices"
	"strings"
)

// A Sample is an image of a few bytes.
type Sample struct {
	Name        string
	Format      string // as in the Image API, of what it is
	VirtualSize int64  // of a good one
	Check       string // that a hostile one fails, "" when it is of the wrong format or of several
	Declared    string // what somebody says of it
	Data        []byte
}

// Good returns images of every format that are what they say.
func Good() []Sample {
	mbr := MBR(Partition{Boot: 0x80, Type: 0x83, LBA: 2048}, Partition{Type: 0x82, LBA: 4096})
	gptISO := ISO("CD001", "CD001")
	copy(gptISO, mbr[:512])
	gptVHD := FixedVHD(mbr)
	return []Sample{
		{Name: "nothing", Format: "raw"},
		{Name: "text", Format: "raw", VirtualSize: 5, Data: []byte("hello")},
		{Name: "zeros", Format: "raw", VirtualSize: 1 << 20, Data: make([]byte, 1<<20)},
		{Name: "FAT", Format: "raw", VirtualSize: 1 << 20, Data: FAT()},
		{Name: "boot sector without partitions", Format: "raw", VirtualSize: 1 << 20, Data: MBR()},
		{Name: "MBR", Format: "gpt", VirtualSize: 1 << 20, Declared: "raw", Data: mbr},
		{Name: "GPT", Format: "gpt", VirtualSize: 1 << 20, Declared: "raw", Data: MBR(Protective)},
		{Name: "qcow2", Format: "qcow2", VirtualSize: 10 << 30, Data: QCOW2(10 << 30)},
		{Name: "qcow2 of version 2", Format: "qcow2", VirtualSize: 5, Data: QCOW2v2(5)[:72]},
		{Name: "the largest qcow2", Format: "qcow2", VirtualSize: math.MaxInt64, Data: QCOW2(math.MaxInt64)},
		{Name: "dirty qcow2 with extended L2", Format: "qcow2", VirtualSize: 1, Data: Put64(QCOW2(1), 72, 1<<4|1)},
		{Name: "qcow2 with zstd", Format: "qcow2", VirtualSize: 1, Data: Put32(Put64(QCOW2(1), 72, 1<<3), 104, 1<<24)},
		{Name: "encrypted qcow2", Format: "qcow2", VirtualSize: 1, Data: Put32(QCOW2(1), 32, 2)},
		{Name: "VMDK", Format: "vmdk", VirtualSize: 1 << 20, Data: VMDK(Sparse)},
		{Name: "VMDK with Windows' line ends", Format: "vmdk", VirtualSize: 1 << 20, Data: VMDK(strings.ReplaceAll(Sparse, "\n", "\r\n"))},
		{Name: "VMDK with a footer", Format: "vmdk", VirtualSize: 1 << 20, Data: StreamVMDK(nil)},
		{Name: "fixed VHD", Format: "vhd", VirtualSize: 4096, Data: FixedVHD(make([]byte, 4096))},
		{Name: "fixed VHD with partitions", Format: "vhd", VirtualSize: 1 << 20, Data: gptVHD},
		{Name: "dynamic VHD", Format: "vhd", VirtualSize: 4 << 20, Data: DynamicVHD(3, nil)},
		{Name: "VHDX", Format: "vhdx", VirtualSize: 5 << 30, Data: VHDX(VHDXOptions{Size: 5 << 30})},
		{Name: "VDI", Format: "vdi", VirtualSize: 3 << 20, Data: VDI()},
		{Name: "ISO 9660", Format: "iso", VirtualSize: 60 * 2048, Data: ISO("CD001", "CD001")},
		{Name: "UDF", Format: "iso", VirtualSize: 64 * 2048, Data: ISO("BEA01", "NSR03", "TEA01")},
		{Name: "bootable ISO", Format: "iso", VirtualSize: 60 * 2048, Data: gptISO},
		{Name: "LUKS", Format: "luks", VirtualSize: 1 << 19, Data: LUKS(1)},
		{Name: "Parallels", Format: "ploop", VirtualSize: 1 << 20, Data: Parallels("WithoutFreeSpace")},
		{Name: "Parallels, extended", Format: "ploop", VirtualSize: 1 << 20, Data: Parallels("WithouFreSpacExt")},
	}
}

// Hostile returns images that must be refused when they are declared as Declared, or else as what they are.
func Hostile() []Sample {
	samples := slices.Concat(hostileQCOW2(), hostileVMDK(), hostileVHD(), hostileVHDX(), hostileOthers(), disguised())
	for i := range samples {
		if samples[i].Declared == "" {
			samples[i].Declared = samples[i].Format
		}
	}
	return samples
}

func hostileQCOW2() []Sample {
	v3 := QCOW2(1 << 30)
	samples := []Sample{
		{Name: "backing file", Check: "backing_file", Data: QCOW2Backing("/etc/passwd")},
		{Name: "backing file in JSON", Check: "backing_file", Data: QCOW2Backing(`json:{"driver":"file","filename":"/etc/shadow"}`)},
		{Name: "backing file on the network", Check: "backing_file", Data: QCOW2Backing("nbd://10.0.0.1:10809/disk")},
		{Name: "backing file of version 2", Check: "backing_file", Data: Put32(Put64(QCOW2v2(1), 8, 72), 16, 7)},
		{Name: "backing file without a name", Check: "backing_file", Data: Put64(v3, 8, 1<<63)},
		{Name: "backing file without a place", Check: "backing_file", Data: Put32(v3, 16, 11)},
		{Name: "data file", Check: "data_file", Data: QCOW2DataFile("/etc/shadow")},
		{Name: "unknown feature 5", Check: "unknown_features", Data: Put64(v3, 72, 1<<5)},
		{Name: "unknown feature 63", Check: "unknown_features", Data: Put64(v3, 72, 1<<63)},
		{Name: "version 1", Check: "version", Data: Put32(v3, 4, 1)},
		{Name: "version 4", Check: "version", Data: Put32(v3, 4, 4)},
		{Name: "only the magic", Check: "header", Data: v3[:4]},
		{Name: "version 2 cut short", Check: "header", Data: QCOW2v2(1)[:71]},
		{Name: "version 3 cut short", Check: "header", Data: v3[:103]},
		{Name: "disk too large for any file", Check: "header", Data: QCOW2(1 << 63)},
		{Name: "tiny clusters", Check: "header", Data: Put32(v3, 20, 8)},
		{Name: "huge clusters", Check: "header", Data: Put32(v3, 20, math.MaxUint32)},
		{Name: "header shorter than itself", Check: "header", Data: Put32(v3, 100, 96)},
		{Name: "header longer than a cluster", Check: "header", Data: Put32(v3, 100, 1<<16+8)},
		{Name: "unknown encryption", Check: "header", Data: Put32(v3, 32, 3)},
		{Name: "unknown compression", Check: "header", Data: Put32(Put64(v3, 72, 1<<3), 104, 2<<24)},
		{Name: "compression without its feature", Check: "header", Data: Put32(v3, 104, 1<<24)},
		{Name: "reference counts of 128 bits", Check: "header", Data: Put32(v3, 96, 7)},
	}
	return named("qcow2", samples)
}

func hostileVMDK() []Sample {
	sparse := VMDK(Sparse)
	with := func(from, to string) []byte { return VMDK(strings.Replace(Sparse, from, to, 1)) }
	flat := Descriptor("monolithicFlat", `RW 2048 FLAT "/etc/passwd" 0`)
	samples := []Sample{
		{Name: "flat extent of the host, alone", Check: "create_type", Data: []byte(flat)},
		{Name: "flat extent of the host, embedded", Check: "create_type", Data: VMDK(flat)},
		{Name: "path in an extent", Check: "extents", Data: with(`"disk.vmdk"`, `"/etc/shadow"`)},
		{Name: "path upwards in an extent", Check: "extents", Data: with(`"disk.vmdk"`, `"..\secret"`)},
		{Name: "flat extent in a sparse disk", Check: "extents", Data: with("SPARSE", "FLAT")},
		{Name: "two extents", Check: "extents", Data: with("RW 2048", "RW 1024 SPARSE \"a\"\nRW 1024")},
		{Name: "no extents", Check: "extents", Data: VMDK(Descriptor("monolithicSparse"))},
		{Name: "sparse descriptor without data", Check: "extents", Data: []byte(Sparse)},
		{Name: "device", Check: "create_type", Data: []byte(Descriptor("fullDevice", `RW 2048 FLAT "/dev/sda" 0`))},
		{Name: "descriptor that begins as QEMU allows", Check: "create_type", Data: []byte("#\n  \r\nversion=1\ncreateType=\"monolithicFlat\"\nRW 1 FLAT \"/etc/passwd\" 0\n")},
		{Name: "no create type", Check: "create_type", Data: with("createType", "#")},
		{Name: "another type in a comment", Check: "descriptor", Data: with("version=1", "# createType=\"monolithicFlat\"\nversion=1")},
		{Name: "parent", Check: "parent", Data: with("parentCID=ffffffff", "parentCID=12345678")},
		{Name: "parent's name", Check: "parent", Data: with("version=1", "version=1\nparentFileNameHint=\"/etc/passwd\"")},
		{Name: "parent's name in a comment", Check: "parent", Data: with("version=1", "version=1\n#parentFileNameHint=\"/etc/passwd\"")},
		{Name: "unknown key", Check: "descriptor", Data: with("version=1", "version=1\nchangeTrackPath=\"/etc/passwd\"")},
		{Name: "key twice", Check: "descriptor", Data: with("version=1", "version=1\nversion=1")},
		{Name: "no text", Check: "descriptor", Data: with("version=1", "version=1\n\x01")},
		{Name: "no capacity", Check: "header", Data: Put64LE(sparse, 12, 0)},
		{Name: "capacity too large for any file", Check: "header", Data: Put64LE(sparse, 12, math.MaxUint64)},
		{Name: "grains of no power of two", Check: "header", Data: Put64LE(sparse, 20, 100)},
		{Name: "huge compressed grains", Check: "header", Data: Put32LE(Put64LE(sparse, 20, 8192), 77, 1)},
		{Name: "huge grain directory", Check: "header", Data: Put64LE(Put64LE(sparse, 20, 8), 12, 1<<40)},
		{Name: "huge grain tables", Check: "header", Data: Put32LE(sparse, 44, 1<<31)},
		{Name: "version 4", Check: "version", Data: Put32LE(sparse, 4, 4)},
		{Name: "descriptor elsewhere", Check: "descriptor", Data: Put64LE(sparse, 28, 2)},
		{Name: "no descriptor", Check: "descriptor", Data: Put64LE(sparse, 36, 0)},
		{Name: "huge descriptor", Check: "descriptor", Data: Put64LE(sparse, 36, math.MaxUint64)},
		{Name: "header cut short", Check: "header", Data: sparse[:511]},
		{Name: "descriptor cut short", Check: "header", Data: sparse[:2000]},
		{Name: "long descriptor alone", Check: "descriptor", Data: []byte("# Disk DescriptorFile\n" + strings.Repeat("#\n", 1<<20))},
		{Name: "ESX's old format", Check: "create_type", Data: []byte("COWD\x01\x00\x00\x00")},
		{Name: "footer with another descriptor", Check: "footer", Data: StreamVMDK(func(f []byte) { le.PutUint64(f[28:], 40) })},
		{Name: "footer with another size", Check: "footer", Data: StreamVMDK(func(f []byte) { le.PutUint64(f[12:], 1) })},
		{Name: "footer with another packing", Check: "footer", Data: StreamVMDK(func(f []byte) { f[77] = 1 })},
		{Name: "footer that wants a footer", Check: "footer", Data: StreamVMDK(func(f []byte) { le.PutUint64(f[56:], math.MaxUint64) })},
		{Name: "footer missing", Check: "footer", Data: StreamVMDK(nil)[:21*512]},
		{Name: "bytes behind the footer", Check: "footer", Data: append(StreamVMDK(nil), make([]byte, 512)...)},
	}
	return named("vmdk", samples)
}

func hostileVHD() []Sample {
	footer := VHDFooter(2, 4096)
	zeros := func(n int) []byte { return make([]byte, n) }
	dynamic := DynamicVHD(3, nil)
	samples := []Sample{
		{Name: "differencing disk", Check: "parent", Data: DynamicVHD(4, nil)},
		{Name: "parent", Check: "parent", Data: DynamicVHD(3, func(h []byte) { h[40] = 1 })},
		{Name: "fixed, larger than the file", Check: "footer", Data: append(zeros(4095), footer...)},
		{Name: "fixed, size too large for any file", Check: "footer", Data: append(zeros(4096), VHDFooter(2, 1<<63)...)},
		{Name: "checksum of the footer", Check: "footer", Data: append(zeros(4096), Put32(footer, 64, 1)...)},
		{Name: "version 2", Check: "version", Data: append(zeros(4096), Summed(Put32(footer, 12, 0x20000), 64)...)},
		{Name: "unknown type", Check: "footer", Data: append(zeros(4096), VHDFooter(5, 4096)...)},
		{Name: "dynamic footer only", Check: "footer", Data: append(zeros(4096), VHDFooter(3, 4096)...)},
		{Name: "dynamic without a footer", Check: "footer", Data: dynamic[:len(dynamic)-512]},
		{Name: "dynamic with another footer", Check: "footer", Data: append(dynamic[:len(dynamic)-512:len(dynamic)-512], VHDFooter(3, 2<<20)...)},
		{Name: "dynamic cut short", Check: "header", Data: dynamic[:1000]},
		{Name: "dynamic, header elsewhere", Check: "header", Data: append(Summed(Put64(VHDFooter(3, 4<<20), 16, math.MaxUint64), 64), dynamic[512:]...)},
		{Name: "dynamic, header in the footer", Check: "header", Data: append(Summed(Put64(VHDFooter(3, 4<<20), 16, 0), 64), dynamic[512:]...)},
		{Name: "dynamic, header far away", Check: "header", Data: append(Summed(Put64(VHDFooter(3, 4<<20), 16, 1<<62), 64), dynamic[512:]...)},
		{Name: "checksum of the header", Check: "header", Data: Put32(dynamic, 512+36, 0)},
		{Name: "too few blocks", Check: "header", Data: DynamicVHD(3, func(h []byte) { be.PutUint32(h[28:], 1) })},
		{Name: "blocks of no power of two", Check: "header", Data: DynamicVHD(3, func(h []byte) { be.PutUint32(h[32:], 3<<20) })},
		{Name: "no header", Check: "header", Data: DynamicVHD(3, func(h []byte) { copy(h, "cxsparsf") })},
	}
	return named("vhd", samples)
}

func hostileVHDX() []Sample {
	edit := func(fn func(b []byte)) []byte { return VHDX(VHDXOptions{Size: 1 << 30, Edit: fn}) }
	regions := func(fn func(table []byte)) []byte {
		return edit(func(b []byte) { fn(b[192<<10:]); fn(b[256<<10:]) })
	}
	items := func(fn func(table []byte)) []byte { return edit(func(b []byte) { fn(b[VHDXMetadata:]) }) }
	whole := VHDX(VHDXOptions{Size: 1 << 30})
	samples := []Sample{
		{Name: "differencing disk", Check: "parent", Data: VHDX(VHDXOptions{Size: 1, HasParent: true})},
		{Name: "parent locator", Check: "parent", Data: items(func(m []byte) {
			le.PutUint16(m[10:], 4)
			copy(m[32+96:], "\x2d\x5f\xd3\xa8\x0b\xb3\x4d\x45\xab\xf7\xd3\xd8\x48\x34\xab\x0c")
		})},
		{Name: "log", Check: "log", Data: VHDX(VHDXOptions{Size: 1 << 30, Log: true})},
		{Name: "larger than any disk", Check: "header", Data: VHDX(VHDXOptions{Size: 64<<40 + 512})},
		{Name: "half a sector", Check: "header", Data: VHDX(VHDXOptions{Size: 1<<30 + 256})},
		{Name: "no header", Check: "header", Data: edit(func(b []byte) { b[64<<10], b[128<<10] = 0, 0 })},
		{Name: "checksum of the region table", Check: "header", Data: Put32(whole, 192<<10+4, 1)},
		{Name: "differing region tables", Check: "header", Data: edit(func(b []byte) { le.PutUint64(b[256<<10+16+32+16:], 4<<20) })},
		{Name: "unknown region", Check: "unknown_features", Data: regions(func(r []byte) { r[16] = 0 })},
		{Name: "too many regions", Check: "header", Data: regions(func(r []byte) { le.PutUint32(r[8:], math.MaxUint32) })},
		{Name: "block table too small", Check: "header", Data: VHDX(VHDXOptions{Size: 5 << 40})},
		{Name: "two block tables", Check: "header", Data: regions(func(r []byte) { copy(r[16+32:16+48], r[16:32]) })},
		{Name: "differing headers of one age", Check: "header", Data: edit(func(b []byte) { le.PutUint64(b[64<<10+8:], 2); b[64<<10+16] = 1 })},
		{Name: "no metadata", Check: "header", Data: regions(func(r []byte) { le.PutUint32(r[8:], 1) })},
		{Name: "metadata in the header", Check: "header", Data: regions(func(r []byte) { le.PutUint64(r[16+32+16:], 0) })},
		{Name: "metadata far away", Check: "header", Data: regions(func(r []byte) { le.PutUint64(r[16+32+16:], 1<<62) })},
		{Name: "metadata nowhere", Check: "header", Data: regions(func(r []byte) { le.PutUint64(r[16+32+16:], math.MaxUint64) })},
		{Name: "no metadata table", Check: "header", Data: items(func(m []byte) { m[0] = 0 })},
		{Name: "too much metadata", Check: "header", Data: items(func(m []byte) { le.PutUint16(m[10:], math.MaxUint16) })},
		{Name: "unknown metadata", Check: "unknown_features", Data: items(func(m []byte) { m[32] = 0 })},
		{Name: "size twice", Check: "header", Data: items(func(m []byte) { copy(m[32:64], m[64:96]) })},
		{Name: "size of a user's own", Check: "header", Data: items(func(m []byte) { m[64+24] |= 1 })},
		{Name: "all of a user's own", Check: "header", Data: items(func(m []byte) { m[32+24], m[64+24], m[96+24] = 1, 1, 1 })},
		{Name: "no size", Check: "header", Data: items(func(m []byte) { le.PutUint16(m[10:], 1) })},
		{Name: "size outside of its region", Check: "header", Data: items(func(m []byte) { le.PutUint32(m[64+16:], 1<<20) })},
		{Name: "overlapping metadata", Check: "header", Data: items(func(m []byte) { le.PutUint32(m[64+16:], 64<<10+4) })},
		{Name: "sectors of 0 bytes", Check: "header", Data: edit(func(b []byte) { le.PutUint32(b[VHDXItems+16:], 0) })},
		{Name: "blocks of 3 MiB", Check: "header", Data: edit(func(b []byte) { le.PutUint32(b[VHDXItems:], 3<<20) })},
		{Name: "only the magic", Check: "header", Data: whole[:8]},
		{Name: "cut short", Check: "header", Data: whole[:VHDXItems+4]},
	}
	return named("vhdx", samples)
}

func hostileOthers() []Sample {
	vdi := VDI()
	parent := slices.Clone(vdi)
	parent[440] = 1
	linux := Partition{Type: 0x83, LBA: 2048}
	badStart, badLBA := Protective, Protective
	badStart.Start, badLBA.LBA = [3]byte{0, 1, 0}, 2
	return []Sample{
		{Name: "qed", Format: "qed", Check: "banned", Data: []byte("QED\x00" + strings.Repeat("\x00", 100))},
		{Name: "bochs", Format: "bochs", Check: "banned", Data: bochs()},
		{Name: "cloop", Format: "cloop", Check: "banned", Data: []byte("#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n" + strings.Repeat("\x00", 200))},
		{Name: "bochs as raw", Format: "bochs", Declared: "raw", Data: bochs()},
		{Name: "VDI: parent", Format: "vdi", Check: "parent", Data: parent},
		{Name: "VDI: differencing disk", Format: "vdi", Check: "parent", Data: Put32LE(vdi, 76, 4)},
		{Name: "VDI: unknown type", Format: "vdi", Check: "header", Data: Put32LE(vdi, 76, 5)},
		{Name: "VDI: version 2", Format: "vdi", Check: "version", Data: Put32LE(vdi, 68, 0x20000)},
		{Name: "VDI: too large for its blocks", Format: "vdi", Check: "header", Data: Put64LE(vdi, 368, 3<<20+1)},
		{Name: "VDI: too large for any file", Format: "vdi", Check: "header", Data: Put64LE(vdi, 368, math.MaxUint64)},
		{Name: "VDI: blocks of 3 bytes", Format: "vdi", Check: "header", Data: Put32LE(vdi, 376, 3)},
		{Name: "VDI: bytes between blocks", Format: "vdi", Check: "header", Data: Put32LE(vdi, 380, 512)},
		{Name: "VDI: sectors of 4 KiB", Format: "vdi", Check: "header", Data: Put32LE(vdi, 360, 4096)},
		{Name: "VDI: cut short", Format: "vdi", Check: "header", Data: vdi[:400]},
		{Name: "ISO: cut short", Format: "iso", Check: "header", Data: ISO("CD001")[:32774]},
		{Name: "MBR: boot flag", Format: "gpt", Declared: "raw", Check: "boot_flag", Data: MBR(Partition{Boot: 1, Type: 0x83})},
		{Name: "GPT: start", Format: "gpt", Declared: "raw", Check: "protective_mbr", Data: MBR(badStart)},
		{Name: "GPT: first block", Format: "gpt", Declared: "raw", Check: "protective_mbr", Data: MBR(badLBA)},
		{Name: "GPT: hybrid", Format: "gpt", Declared: "raw", Check: "extra_partitions", Data: MBR(Protective, linux)},
		{Name: "GPT: protective entry not the first", Format: "gpt", Declared: "raw", Check: "extra_partitions", Data: MBR(linux, Protective)},
		{Name: "LUKS: version 2", Format: "luks", Check: "version", Data: LUKS(2)},
		{Name: "LUKS: no cipher", Format: "luks", Check: "cipher", Data: Put32(LUKS(1), 8, 0)},
		{Name: "LUKS: data behind the end", Format: "luks", Check: "header", Data: Put32(LUKS(1), 104, math.MaxUint32)},
		{Name: "LUKS: cut short", Format: "luks", Check: "header", Data: LUKS(1)[:591]},
	}
}

// bochs is a growing disk of 1 MiB.
func bochs() []byte {
	b := make([]byte, 1024)
	copy(b, "Bochs Virtual HD Image")
	copy(b[32:], "Redolog")
	copy(b[48:], "Growing")
	le.PutUint32(b[64:], 0x20000)
	le.PutUint32(b[68:], 512)
	le.PutUint32(b[72:], 1)
	le.PutUint32(b[76:], 64)
	le.PutUint32(b[80:], 4096)
	le.PutUint64(b[88:], 1<<20)
	return b
}

// disguised are images that are not what they are declared to be, or several things at once.
func disguised() []Sample {
	over := func(image, head []byte) []byte {
		return append(append([]byte(nil), head...), image[len(head):]...)
	}
	disc := ISO("CD001", "CD001")
	samples := []Sample{
		{Name: "qcow2 and ISO at once", Format: "qcow2", Data: over(disc, QCOW2(1<<30))},
		{Name: "VMDK and ISO at once", Format: "vmdk", Data: over(disc, VMDK(Sparse))},
		{Name: "VDI and MBR at once", Format: "vdi", Data: over(MBR(Partition{Type: 0x83}), VDI()[:440])},
		{Name: "qcow2 in a fixed VHD", Format: "vhd", Data: FixedVHD(append(QCOW2(1<<30), make([]byte, 4096)...))},
		{Name: "ISO in a fixed VHD", Format: "vhd", Data: FixedVHD(disc)},
		{Name: "raw as qcow2", Format: "raw", Declared: "qcow2", Data: make([]byte, 1<<16)},
		{Name: "nothing as qcow2", Format: "raw", Declared: "qcow2"},
		{Name: "qcow2 as VMDK", Format: "qcow2", Declared: "vmdk", Data: QCOW2(1 << 30)},
		{Name: "MBR as ISO", Format: "gpt", Declared: "iso", Data: MBR(Partition{Type: 0x83})},
		{Name: "MBR as VHD", Format: "gpt", Declared: "vhd", Data: MBR(Partition{Type: 0x83})},
	}
	for _, good := range Good() {
		if !slices.Contains([]string{"raw", "gpt"}, good.Format) {
			samples = append(samples, Sample{Name: good.Name + " as raw", Format: good.Format, Declared: "raw", Data: good.Data})
		}
	}
	return samples
}

// named gives the format to samples and to their names.
func named(format string, samples []Sample) []Sample {
	for i := range samples {
		samples[i].Format = format
		samples[i].Name = format + ": " + samples[i].Name
	}
	return samples
}
