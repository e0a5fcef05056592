package formattest

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
)

// A CorpusFile is one that was made to do harm.
type CorpusFile struct {
	Kind   string // of harm
	Name   string
	Format string // that it looks like
	Refers bool   // it refers to other files or to none of its own data, so nobody may take it for a disk
	Data   []byte // only until the next one comes
}

// Corpus yields more than 2,000 files, always the same ones: images that were damaged in every way that somebody may think
// of, and such that refer to other files.
func Corpus() iter.Seq[CorpusFile] {
	return func(yield func(CorpusFile) bool) {
		for _, kind := range []struct {
			name  string
			files func() iter.Seq[CorpusFile]
		}{{"sample", samples}, {"flips", flips}, {"truncation", truncations}, {"extreme", extremes}, {"table", tables}, {"bomb", bombs},
			{"reference", references}, {"descriptor", descriptors}, {"disagreement", disagreements}, {"log", logs}, {"polyglot", polyglots}} {
			for f := range kind.files() {
				f.Kind = kind.name
				if !yield(f) {
					return
				}
			}
		}
	}
}

// Some yields every nth file of each kind and format of the Corpus, beginning with the first one.
func Some(n int) iter.Seq[CorpusFile] {
	return func(yield func(CorpusFile) bool) {
		seen := make(map[[2]string]int)
		for f := range Corpus() {
			of := [2]string{f.Kind, f.Format}
			if seen[of]%n == 0 && !yield(f) {
				return
			}
			seen[of]++
		}
	}
}

// A base is an image that is damaged. What is told of it is where it can hurt.
type base struct {
	name, format string
	data         []byte
	fields       []field
	tables       []field // the first entries of tables; they end where the entries are zero
	packed       []int   // where compressed data begins
	scratch      []byte  // for copies
}

// A field is a number in an image.
type field struct {
	at, size int
	big      bool // endian
}

func (f field) put(b []byte, value uint64) {
	for i := range f.size {
		shift := 8 * i
		if f.big {
			shift = 8 * (f.size - 1 - i)
		}
		b[f.at+i] = byte(value >> shift)
	}
}

// fieldsAt makes fields of one size and order.
func fieldsAt(size int, big bool, offsets ...int) (list []field) {
	for _, at := range offsets {
		list = append(list, field{at, size, big})
	}
	return list
}

// shifted moves fields to another place.
func shifted(list []field, by int) (moved []field) {
	for _, f := range list {
		f.at += by
		moved = append(moved, f)
	}
	return moved
}

// bases are images with data of all formats that can be read.
func bases() (list []base) {
	small, large := Content(16, 4<<10, 1500), Content(2, 1<<20, 512)
	for i, o := range []QCOW2Options{{Version: 2}, {}, {Zstd: true}, {Extended: true}, {Extended: true, Zstd: true}} {
		data, _ := QCOW2Disk(o)
		cluster := 1 << data[23]
		b := base{name: fmt.Sprint("qcow2 ", i), format: "qcow2", data: data,
			fields: append(fieldsAt(4, true, 4, 16, 20, 32, 36, 56, 60, 96, 100), fieldsAt(8, true, 8, 24, 40, 48, 64, 72, 80, 88)...),
			tables: fieldsAt(8, true, QCOW2L1*cluster, QCOW2L2*cluster), packed: []int{(QCOW2Data + 3) * cluster}}
		list = append(list, b)
	}
	vmdk := append(fieldsAt(4, false, 4, 8, 44), fieldsAt(8, false, 12, 20, 28, 36, 48, 56, 64)...)
	vmdk = append(vmdk, field{77, 2, false})
	vmdkTables := fieldsAt(4, false, VMDKDirectory, VMDKTable)
	list = append(list, base{name: "sparse VMDK", format: "vmdk", data: SparseVMDK(small), fields: vmdk, tables: vmdkTables},
		base{name: "VMDK with zero grains", format: "vmdk", data: ZeroGrainVMDK(small), fields: vmdk, tables: vmdkTables})
	for _, p := range []struct {
		name    string
		markers bool
	}{{"stream-optimized VMDK", true}, {"compressed VMDK", false}} {
		data := PackedVMDK(small, p.markers)
		b := base{name: p.name, format: "vmdk", data: data, fields: vmdk, tables: vmdkTables}
		if p.markers {
			b.fields = append(shifted(vmdk, len(data)-1024), vmdk...)
		}
		for _, grain := range []int{0, 3} {
			b.packed = append(b.packed, 512*int(le.Uint32(data[VMDKTable+4*grain:])))
		}
		list = append(list, b)
	}
	footer := append(fieldsAt(4, true, 8, 12, 60), fieldsAt(8, true, 16, 40, 48)...)
	footer = append(footer, field{56, 2, true}, field{58, 2, true})
	header := append(fieldsAt(4, true, 512+24, 512+28, 512+32), fieldsAt(8, true, 512+8, 512+16)...)
	fixed, dynamic := FixedVHD(small), BlocksVHD(small)
	list = append(list, base{name: "fixed VHD", format: "vhd", data: fixed, fields: shifted(footer, len(fixed)-512)},
		base{name: "dynamic VHD", format: "vhd", data: dynamic, fields: append(header, footer...), tables: fieldsAt(4, true, VHDTable)})
	vhdx := append(fieldsAt(4, false, 64<<10+68, 128<<10+68, 192<<10+8, 256<<10+8, VHDXItems, VHDXItems+4, VHDXItems+16),
		fieldsAt(8, false, 64<<10+8, 128<<10+8, 128<<10+72, 192<<10+32, 192<<10+64, VHDXItems+8)...)
	vhdx = append(vhdx, field{VHDXMetadata + 10, 2, false}, field{128<<10 + 64, 2, false}, field{128<<10 + 66, 2, false}, field{192<<10 + 40, 4, false})
	log := append(fieldsAt(4, false, VHDXLog+8192+8, VHDXLog+8192+12, VHDXLog+8192+24),
		fieldsAt(8, false, VHDXLog+8192+16, VHDXLog+8192+48, VHDXLog+8192+56, VHDXLog+8192+72, VHDXLog+8192+80, VHDXLog+8192+88)...)
	list = append(list, base{name: "VHDX", format: "vhdx", data: BlocksVHDX(large), fields: vhdx, tables: fieldsAt(8, false, VHDXBlocks)},
		base{name: "VHDX with a log", format: "vhdx", data: LoggedVHDX(large, 0, nil), fields: append(log, vhdx...)})
	vdi := append(fieldsAt(4, false, 68, 72, 76, 340, 344, 360, 376, 380, 384, 388), field{368, 8, false})
	return append(list, base{name: "VDI", format: "vdi", data: BlocksVDI(small), fields: vdi, tables: fieldsAt(4, false, VDITable)})
}

// resum puts the checksums right of what is still where it was, so that what else is wrong is seen.
func resum(format string, b []byte) {
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	sum := func(at, n int) {
		if at+n <= len(b) {
			le.PutUint32(b[at+4:], 0)
			le.PutUint32(b[at+4:], crc32.Checksum(b[at:at+n], castagnoli))
		}
	}
	switch {
	case format == "vhd" && len(b) >= 2048:
		if bytes.HasPrefix(b, []byte("conectix")) {
			Summed(b[:512], 64)
			Summed(b[512:1536], 36)
			copy(b[len(b)-512:], b[:512])
		}
		Summed(b[len(b)-512:], 64)
	case format == "vhdx":
		sum(64<<10, 4<<10)
		sum(128<<10, 4<<10)
		sum(192<<10, 64<<10)
		sum(256<<10, 64<<10)
		for at := VHDXLog; at < min(VHDXLog+8192*3, len(b)-8192); at += 8192 {
			if n := int(le.Uint32(b[at+8:])); n >= 4096 && n <= 1<<20 {
				sum(at, n)
			}
		}
	}
}

// clone returns a copy, the last one again.
func (b *base) clone() []byte {
	b.scratch = append(b.scratch[:0], b.data...)
	return b.scratch
}

// edited returns a copy of a base whose checksums are right.
func (b *base) edited(name string, edit func(p []byte)) CorpusFile {
	f := CorpusFile{Name: b.name + ", " + name, Format: b.format, Data: b.clone()}
	edit(f.Data)
	resum(b.format, f.Data)
	return f
}

// samples are the images that are hostile in a way of their own.
func samples() iter.Seq[CorpusFile] {
	return func(yield func(CorpusFile) bool) {
		for _, s := range Hostile() {
			if !yield(CorpusFile{Name: s.Name, Format: s.Format, Data: s.Data}) {
				return
			}
		}
	}
}

// flips are images with a few wrong bits, in their headers and tables for the most part.
func flips() iter.Seq[CorpusFile] {
	return func(yield func(CorpusFile) bool) {
		random := rand.New(rand.NewPCG(1, 1))
		for _, b := range bases() {
			places := append(append([]field(nil), b.fields...), b.tables...)
			for i := range 24 {
				flip := func(p []byte) {
					for range 1 + i%4 {
						at := random.IntN(min(len(p), 4096))
						if f := places[random.IntN(len(places))]; i%3 != 0 {
							at = min(f.at+random.IntN(max(f.size, 64)), len(p)-1)
						}
						p[at] ^= 1 << random.IntN(8)
					}
				}
				wrong := CorpusFile{Name: fmt.Sprintf("%s, flipped %d without the sums", b.name, i), Format: b.format, Data: b.clone()}
				flip(wrong.Data)
				if !yield(wrong) || !yield(b.edited(fmt.Sprint("flipped ", i), flip)) {
					return
				}
			}
		}
	}
}

// truncations are images that end too soon, or too late.
func truncations() iter.Seq[CorpusFile] {
	return func(yield func(CorpusFile) bool) {
		for _, b := range bases() {
			n := len(b.data)
			for _, at := range []int{1, 64, 511, 512, 1023, 1536, n / 8, n / 4, n / 2, n/2 + 1, n * 3 / 4, n - 4096, n - 1536, n - 1024, n - 512, n - 511, n - 1} {
				if at > 0 && !yield(CorpusFile{Name: fmt.Sprintf("%s, cut at %d", b.name, at), Format: b.format, Data: b.data[:min(at, n)]}) {
					return
				}
			}
			for _, more := range []int{1, 511, 512, 1 << 16} {
				if !yield(CorpusFile{Name: fmt.Sprintf("%s and %d bytes", b.name, more), Format: b.format, Data: append(b.clone(), make([]byte, more)...)}) {
					return
				}
			}
		}
	}
}

// extremes are images whose numbers are as small or as large as they can be, or about as large as the file.
func extremes() iter.Seq[CorpusFile] {
	return func(yield func(CorpusFile) bool) {
		for _, b := range bases() {
			n := uint64(len(b.data))
			for _, f := range b.fields {
				for _, value := range []uint64{0, 1, n / 512, n, 1 << 31, math.MaxUint32, 1 << 62, math.MaxUint64} {
					if f.size < 8 && value > math.MaxUint32 {
						continue
					}
					if !yield(b.edited(fmt.Sprintf("%#x at %d", value, f.at), func(p []byte) { f.put(p, value) })) {
						return
					}
				}
			}
		}
	}
}

// tables are images whose tables lead to themselves, to each other, behind the end, and all to one place; and huge ones.
func tables() iter.Seq[CorpusFile] {
	return func(yield func(CorpusFile) bool) {
		for _, b := range bases() {
			for _, f := range b.tables {
				old := bytes.Clone(b.data[f.at:][:f.size])
				targets := []uint64{0, 1, uint64(f.at), uint64(f.at / 512), uint64(f.at)>>20<<20 | 6, 1<<63 | uint64(f.at), 1<<62 | uint64(f.at), 1<<63 | 1,
					uint64(len(b.data)), uint64(len(b.data) / 512), 1<<63 | uint64(len(b.data)-512), 1<<62 - 1, math.MaxUint32 - 2, math.MaxUint64, math.MaxUint64 - 7, 6, 7}
				slices.Sort(targets)
				for _, target := range slices.Compact(targets) {
					all := func(p []byte) {
						for i := range 8 {
							field{f.at + i*f.size, f.size, f.big}.put(p, target)
						}
					}
					if !yield(b.edited(fmt.Sprintf("entry %#x at %d", target, f.at), func(p []byte) { f.put(p, target) })) ||
						!yield(b.edited(fmt.Sprintf("entries %#x at %d", target, f.at), all)) {
						return
					}
				}
				if !yield(b.edited(fmt.Sprintf("all entries one at %d", f.at), func(p []byte) { copy(p[f.at:], bytes.Repeat(old, 16)) })) {
					return
				}
			}
		}
		for _, f := range hugeTables() {
			if !yield(f) {
				return
			}
		}
	}
}

// hugeTables are images with tables of 32 MiB, or that say so.
func hugeTables() []CorpusFile {
	const size = 32 << 20
	l1, _ := QCOW2Disk(QCOW2Options{})
	at := len(l1)
	be.PutUint64(l1[40:], uint64(at))
	be.PutUint32(l1[36:], size/8)
	be.PutUint64(l1[24:], size/8*64*512) // of L2 tables of 64 clusters
	directory := SparseVMDK(Content(16, 4<<10, 0))
	directory = append(directory, make([]byte, -len(directory)&511)...)
	le.PutUint64(directory[56:], uint64(len(directory)/512))
	le.PutUint64(directory[12:], size/4*4096)
	vhd := BlocksVHD(Content(16, 4<<10, 0))
	be.PutUint64(vhd[512+16:], uint64(len(vhd)))
	be.PutUint32(vhd[512+28:], size/4)
	be.PutUint64(vhd[48:], size/4*4096)
	vhdTail := bytes.Repeat([]byte{0xff}, size+512)
	vdi := BlocksVDI(Content(16, 4<<10, 0))
	le.PutUint32(vdi[340:], uint32(len(vdi)))
	le.PutUint32(vdi[384:], size/4)
	le.PutUint64(vdi[368:], size/4*4096)
	vhdx := BlocksVHDX(Content(1, 1<<20, 0))
	vhdx = append(vhdx, make([]byte, -len(vhdx)&(1<<20-1))...)
	for _, table := range []int{192 << 10, 256 << 10} {
		le.PutUint64(vhdx[table+32:], uint64(len(vhdx)))
		le.PutUint32(vhdx[table+40:], size)
	}
	le.PutUint64(vhdx[VHDXItems+8:], (size/8-size/8>>12)<<20)
	var list []CorpusFile
	for _, f := range []struct {
		name, format string
		data, tail   []byte
	}{
		{"qcow2, huge L1", "qcow2", l1, make([]byte, size)},
		{"VMDK, huge directory", "vmdk", directory, make([]byte, size)},
		{"VHD, huge table", "vhd", vhd, vhdTail},
		{"VDI, huge table", "vdi", vdi, vhdTail},
		{"VDI, huge table of one block", "vdi", vdi, make([]byte, size)},
		{"VHDX, huge table", "vhdx", vhdx, make([]byte, size)},
	} {
		data := append(bytes.Clone(f.data), f.tail...)
		resum(f.format, data)
		resum(f.format, f.data)
		list = append(list, CorpusFile{Name: f.name, Format: f.format, Data: data}, CorpusFile{Name: f.name + " that is not there", Format: f.format, Data: f.data})
	}
	return list
}

// bombs are images with compressed data that would grow to gigabytes, or that ends too soon.
func bombs() iter.Seq[CorpusFile] {
	return func(yield func(CorpusFile) bool) {
		zeros := make([]byte, 64<<20)
		raw := pack(zeros, false)
		all := [][]byte{raw, Deflated(zeros), pack(zeros, true), raw[:100], {3, 0}, {0}, bytes.Repeat([]byte{0xff}, 4096), []byte("\x28\xb5\x2f\xfd")}
		for _, b := range bases() {
			marked := b.format == "vmdk" && le.Uint32(b.data[8:])&(1<<17) != 0
			for i, at := range b.packed {
				for j, bomb := range all {
					if marked {
						marker := le.AppendUint32(make([]byte, 8), uint32(len(bomb)))
						bomb = append(marker, bomb...)
					}
					p := b.clone()
					copy(p[at:], bomb)
					if !yield(CorpusFile{Name: fmt.Sprintf("%s, bomb %d in block %d", b.name, j, i), Format: b.format, Data: p}) ||
						!yield(CorpusFile{Name: fmt.Sprintf("%s, bomb %d from block %d on", b.name, j, i), Format: b.format, Data: append(bytes.Clone(b.data[:at]), bomb...)}) {
						return
					}
				}
			}
		}
	}
}

// paths are ways to spell a file that is not the image.
var paths = []string{
	"/etc/passwd", "//etc/passwd", "/../etc/passwd", "../../../../etc/passwd", "./base.img", "base.img", "base\nimg", "etc/passwd\x00.img", "~/.ssh/id_rsa",
	"/proc/self/environ", "/proc/self/fd/3", "/dev/fd/0", "/dev/stdin", "/dev/sda", "/dev/mapper/vg-root", "/sys/kernel/notes",
	"file:/etc/passwd", "file:///etc/passwd", "file:%2fetc%2fpasswd", "FILE:/etc/passwd", "raw:/etc/passwd", "qcow2:/etc/passwd", "host_device:/dev/sda", "host_cdrom:/dev/cdrom",
	`json:{"driver":"file","filename":"/etc/shadow"}`, `json:{"file":{"driver":"host_device","filename":"/dev/sda"}}`, ` json:{"driver":"file","filename":"/etc/shadow"}`,
	`json:{"driver":"quorum","children":[{"driver":"file","filename":"/etc/shadow"}]}`, `json: {"driver" : "blkverify"}`, "json:", "json:{}",
	"nbd://10.0.0.1:10809/disk", "nbd:unix:/run/nbd.sock", "nbd+unix:///disk?socket=/run/nbd.sock", "http://169.254.169.254/latest/meta-data/", "https://localhost/", "ftp://localhost/x",
	"ssh://root@localhost/etc/passwd", "iscsi://localhost/iqn/0", "rbd:images/secret", "gluster://localhost/v/x", "nfs://localhost/etc/passwd", "sheepdog:x",
	"fat:/etc", "fat:rw:/etc", "vvfat:/etc", "blkdebug::/etc/passwd", "blkdebug:/etc/passwd:x", "blkverify:/etc/passwd:/etc/shadow", "null-co://", "luks:/dev/sda", "vhost-user:/run/x",
	`C:\Windows\System32\config\SAM`, `\\server\share\disk`, "\uff0fetc\uff0fpasswd", "/etc/pass\u202ewd", strings.Repeat("a", 1023), strings.Repeat("../", 300) + "etc/passwd", "", " ", "\x00", "%s%n",
}

// references are images that name other files.
func references() iter.Seq[CorpusFile] {
	return func(yield func(CorpusFile) bool) {
		for i, path := range paths {
			for _, f := range References(path) {
				f.Name = fmt.Sprintf("%s, path %d", f.Name, i)
				if !yield(f) {
					return
				}
			}
		}
	}
}

// References returns images that name another file, in every way that a format has.
func References(path string) []CorpusFile {
	disk, _ := QCOW2Disk(QCOW2Options{})
	stream := PackedVMDK(Content(16, 4<<10, 0), true)
	quoted := strings.ReplaceAll(path, "\x00", "") // which ends a descriptor
	vhd := DynamicVHD(3, func(h []byte) { copy(h[64:576], path); h[40] = 1 })
	locator := VHDX(VHDXOptions{Size: 1 << 30, HasParent: true, Edit: func(b []byte) { copy(b[VHDXItems+64:], path) }})
	old := append(QCOW2v2(1<<30), path...)
	be.PutUint64(old[8:], 112)
	be.PutUint32(old[16:], uint32(max(1, len(path))))
	files := []CorpusFile{
		{Name: "qcow2, backing file", Format: "qcow2", Data: Put32(QCOW2Backing(path), 16, uint32(max(1, len(path))))},
		{Name: "qcow2 of version 2, backing file", Format: "qcow2", Data: old},
		{Name: "qcow2, data file", Format: "qcow2", Data: QCOW2DataFile(path)},
		{Name: "qcow2 with data, backing file behind it", Format: "qcow2",
			Data: append(Put32(Put64(disk, 8, uint64(len(disk))), 16, uint32(max(1, len(path)))), path...)},
		{Name: "qcow2 with data, data file as well", Format: "qcow2", Data: Put64(disk, 72, 1<<2)},
		{Name: "VMDK, flat extent", Format: "vmdk", Data: []byte(Descriptor("monolithicFlat", fmt.Sprintf("RW 2048 FLAT \"%s\" 0", quoted)))},
		{Name: "VMDK, flat extent, embedded", Format: "vmdk", Data: VMDK(short(Descriptor("monolithicFlat", fmt.Sprintf("RW 2048 FLAT \"%s\" 0", quoted))))},
		{Name: "VMDK, sparse extents", Format: "vmdk", Data: VMDK(short(Descriptor("monolithicSparse", fmt.Sprintf("RW 1024 SPARSE \"%s\"", quoted), `RW 1024 SPARSE "x"`)))},
		{Name: "VMDK, parent", Format: "vmdk", Data: VMDK(short("# Disk DescriptorFile\nparentFileNameHint=\"" + quoted + "\"\n" + Sparse))},
		{Name: "VMDK with data, parent", Format: "vmdk", Data: redescribed(stream, "# Disk DescriptorFile\nparentFileNameHint=\""+quoted+"\"\n"+Sparse)},
		{Name: "VMDK, change tracking", Format: "vmdk", Data: VMDK(short(Sparse + "changeTrackPath=\"" + quoted + "\"\n"))},
		{Name: "VHD, parent", Format: "vhd", Data: vhd},
		{Name: "VHD, differencing", Format: "vhd", Data: DynamicVHD(4, func(h []byte) { copy(h[64:576], path) })},
		{Name: "VHDX, parent", Format: "vhdx", Data: locator},
		{Name: "qed, backing file", Format: "qed", Data: append([]byte("QED\x00\x00\x00\x01\x00"), path...)},
	}
	for i := range files {
		files[i].Refers = true
	}
	return files
}

// short cuts a descriptor to what has place.
func short(descriptor string) string { return descriptor[:min(len(descriptor), 20*512)] }

// redescribed is a VMDK with another descriptor.
func redescribed(image []byte, descriptor string) []byte {
	image = bytes.Clone(image)
	clear(image[512:][:20*512])
	copy(image[512:][:20*512], descriptor)
	return image
}

// descriptors are VMDKs whose data is somewhere else, and some that cannot be made sense of.
func descriptors() iter.Seq[CorpusFile] {
	return func(yield func(CorpusFile) bool) {
		for _, createType := range []string{"monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat", "vmfs", "vmfsSparse", "vmfsThin", "vmfsRaw", "vmfsRDM",
			"vmfsPassthroughRawDeviceMap", "fullDevice", "partitionedDevice", "custom", "seSparse", "monolithicSparse", "streamOptimized", "MONOLITHICFLAT", "", "2GbMaxExtentSparse"} {
			for i, extents := range [][]string{
				{`RW 2048 FLAT "/etc/passwd" 0`}, {`RW 2048 VMFS "/etc/passwd"`}, {`RW 2048 VMFSSPARSE "../x"`}, {`RW 2048 SESPARSE "/dev/sda"`}, {`RW 2048 VMFSRDM "/dev/sda"`},
				{`RDONLY 2048 FLAT "/etc/passwd" 0`}, {`NOACCESS 2048 ZERO`}, {`RW 2048 FLAT "a" 0`, `RW 2048 FLAT "/etc/shadow" 18446744073709551615`}, {`RW 99999999999999999999 SPARSE "x"`},
				{`rw 2048 flat "/etc/passwd" 0`}, {"RW 2048\tFLAT\t\"/etc/passwd\" 0"}, {`RW -1 FLAT "x" 0`}, {},
			} {
				text := Descriptor(createType, extents...)
				for _, f := range []CorpusFile{{Name: "alone", Data: []byte(text)}, {Name: "embedded", Data: VMDK(text)}} {
					f.Name, f.Format, f.Refers = fmt.Sprintf("VMDK descriptor of %q, extents %d, %s", createType, i, f.Name), "vmdk", true
					if !yield(f) {
						return
					}
				}
			}
		}
	}
}

// disagreements are images that say one thing at the beginning and another one at the end.
func disagreements() iter.Seq[CorpusFile] {
	return func(yield func(CorpusFile) bool) {
		content := Content(16, 4<<10, 0)
		for _, b := range []base{{name: "dynamic VHD", format: "vhd", data: BlocksVHD(content)}, {name: "stream-optimized VMDK", format: "vmdk", data: PackedVMDK(content, true)}} {
			tail := len(b.data) - 512
			if b.format == "vmdk" {
				tail -= 512
			}
			for at := 0; at < 88; at += 4 {
				p := b.clone()
				for i := range 4 {
					p[tail+at+i]++
				}
				if b.format == "vhd" && at != 64 {
					Summed(p[tail:][:512], 64)
				}
				if !yield(CorpusFile{Name: fmt.Sprintf("%s whose end differs at %d", b.name, at), Format: b.format, Data: p}) {
					return
				}
			}
		}
	}
}

// logs are VHDX images with logs of random entries.
func logs() iter.Seq[CorpusFile] {
	return func(yield func(CorpusFile) bool) {
		random := rand.New(rand.NewPCG(2, 2))
		content := Content(2, 1<<20, 0)
		for i := range 60 {
			image := LoggedVHDX(content, random.IntN(256)*4096, func(entries []LogEntry) {
				for j := range entries {
					e := &entries[j]
					switch random.IntN(4) {
					case 0:
						e.Sequence = uint64(random.IntN(4))
					case 1:
						e.Tail = uint32(random.IntN(8)) * 4096
					case 2:
						e.Last += uint64(random.Int64N(1 << uint(random.IntN(62))))
					}
					for range random.IntN(200) {
						c := LogChange{Offset: uint64(random.IntN(2048)) * 4096, Zeros: 4096 << random.IntN(12)}
						if random.IntN(3) == 0 {
							c.Data = bytes.Repeat([]byte{byte(random.IntN(8))}, 4096)
						}
						e.Changes = append(e.Changes, c)
					}
				}
			})
			if !yield(CorpusFile{Name: fmt.Sprint("VHDX, log ", i), Format: "vhdx", Data: image}) {
				return
			}
		}
	}
}

// polyglots are images with the marks of two formats.
func polyglots() iter.Seq[CorpusFile] {
	return func(yield func(CorpusFile) bool) {
		marks := []struct {
			name string
			put  func(p []byte) []byte
		}{
			{"qcow2", func(p []byte) []byte { copy(p, QCOW2Backing("/etc/passwd")); return p }},
			{"VMDK", func(p []byte) []byte { copy(p, VMDK(Sparse)[:80]); return p }},
			{"descriptor", func(p []byte) []byte { copy(p, "# Disk DescriptorFile\n"); return p }},
			{"dynamic VHD", func(p []byte) []byte { copy(p, "conectix"); return p }},
			{"fixed VHD", func(p []byte) []byte { return append(p, VHDFooter(2, uint64(len(p)))...) }},
			{"VHDX", func(p []byte) []byte { copy(p, "vhdxfile"); return p }},
			{"VDI", func(p []byte) []byte { copy(p[64:], VDI()[64:512]); return p }},
			{"ISO", func(p []byte) []byte {
				p = append(p, make([]byte, max(0, 64*2048-len(p)))...)
				copy(p[16*2048:], ISO("CD001")[16*2048:][:2048])
				return p
			}},
			{"MBR", func(p []byte) []byte { copy(p[446:512], MBR(Protective)[446:512]); return p }},
			{"LUKS", func(p []byte) []byte { copy(p, LUKS(1)[:592]); return p }},
			{"Parallels", func(p []byte) []byte { copy(p, Parallels("WithoutFreeSpace")); return p }},
			{"qed", func(p []byte) []byte { copy(p, "QED\x00"); return p }},
			{"tar", func(p []byte) []byte { copy(p[257:], "ustar\x0000"); return p }},
			{"gzip", func(p []byte) []byte { copy(p, "\x1f\x8b\x08"); return p }},
		}
		for _, b := range bases() {
			for _, m := range marks {
				if !yield(CorpusFile{Name: b.name + " that poses as " + m.name, Format: b.format, Data: m.put(append(b.clone(), make([]byte, max(0, 1024-len(b.data)))...))}) {
					return
				}
			}
		}
	}
}
