package ova

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/internal/ova/ovatest"
)

var content = bytes.Repeat([]byte("the disk\n"), 1000)

func read(ova []byte) (*Disk, error) { return Read(bytes.NewReader(ova), int64(len(ova))) }

func TestRead(t *testing.T) {
	for _, tt := range []struct {
		name       string
		ova        []byte
		gzip       bool
		memory     int64
		properties map[string]string
	}{
		{"VMware", ovatest.VMware(content), false, 2048, map[string]string{"hw_disk_bus": "scsi", "hw_scsi_model": "vmpvscsi", "hw_vif_model": "e1000e",
			"hw_firmware_type": "uefi", "os_type": "linux", "vmware_ostype": "ubuntu64Guest", "ovf_product": "Appliance", "ovf_vendor": "Example", "ovf_version": "1.2"}},
		{"VirtualBox", ovatest.VirtualBox(content, "box-disk001.vmdk", `ovf:compression="gzip"`), true, 1024, map[string]string{"hw_disk_bus": "ide", "os_type": "windows",
			"cim_pasd_ProcessorArchitecture": "x86", "cim_pasd_InstructionSet": "AMD64"}},
		{"a long name", ovatest.VirtualBox(content, strings.Repeat("n", 200)+".vmdk", ""), false, 1024, map[string]string{"hw_disk_bus": "ide", "os_type": "windows",
			"cim_pasd_ProcessorArchitecture": "x86", "cim_pasd_InstructionSet": "AMD64"}},
		{"an escaped name", changed(`href="disk.vmdk"`, `href="./%64isk.vmdk"`), false, 1024, map[string]string{"hw_disk_bus": "ide", "os_type": "windows",
			"cim_pasd_ProcessorArchitecture": "x86", "cim_pasd_InstructionSet": "AMD64"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, err := read(tt.ova)
			if err != nil {
				t.Fatal(err)
			}
			if got := tt.ova[d.Offset : d.Offset+d.Length]; !bytes.Equal(got, content) {
				t.Errorf("the disk is %.100q", got)
			}
			if d.Gzip != tt.gzip || d.MemoryMiB != tt.memory || !maps.Equal(d.Properties, tt.properties) {
				t.Errorf("%+v", d)
			}
			d.Watch(io.Discard).Write(content)
			if err := d.Verify(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSums(t *testing.T) {
	good := ovatest.VMware(content)
	disk := bytes.Index(good, content)
	damaged := bytes.Clone(good)
	damaged[disk] ^= 1
	d, err := read(damaged)
	if err != nil {
		t.Fatal(err)
	}
	d.Watch(io.Discard).Write(damaged[disk : disk+len(content)])
	if err := d.Verify(); !errors.Is(err, ErrRefused) {
		t.Errorf("a damaged disk = %v", err)
	}
}

// header returns an archive with a header before a good OVA.
func header(h tar.Header) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&h); err != nil {
		panic(err)
	}
	w.Write(make([]byte, h.Size))
	w.Flush()
	return append(b.Bytes(), ovatest.VMware(content)...)
}

// changed returns an OVA without sums whose description is another one.
func changed(old, now string) []byte {
	box := ovatest.VirtualBox(content, "disk.vmdk", "")
	d, err := list(bytes.NewReader(box), int64(len(box)))
	if err != nil {
		panic(err)
	}
	text := string(box[d[0].offset : d[0].offset+d[0].length])
	if !strings.Contains(text, old) {
		panic(old)
	}
	return ovatest.Tar(ovatest.File{Name: "box.ovf", Data: []byte(strings.ReplaceAll(text, old, now))}, ovatest.File{Name: "disk.vmdk", Data: content})
}

// retyped makes the first member of an archive be of another type.
func retyped(ova []byte, kind byte) []byte {
	ova[156] = kind
	copy(ova[148:156], "        ")
	sum := 0
	for _, c := range ova[:512] {
		sum += int(c)
	}
	copy(ova[148:], fmt.Sprintf("%06o\x00 ", sum))
	return ova
}

func hostile() map[string][]byte {
	good := ovatest.VMware(content)
	ovf := bytes.Index(good, []byte("<Envelope"))
	damaged := bytes.Clone(good)
	copy(damaged[bytes.Index(good, []byte(">Appliance<")):], ">appliance<")
	var many []ovatest.File
	for i := range maxMembers + 1 {
		many = append(many, ovatest.File{Name: fmt.Sprint(i)})
	}
	end := []byte("</ovf:Envelope>")
	return map[string][]byte{
		"not a plain file name: above":      header(tar.Header{Name: "../escape.vmdk", Mode: 0o644}),
		"not a plain file name: absolute":   header(tar.Header{Name: "/etc/passwd", Mode: 0o644}),
		"not a plain file name: deep":       header(tar.Header{Name: "a/b", Mode: 0o644}),
		"not a plain file name: parent":     header(tar.Header{Name: "..", Mode: 0o644}),
		"not a plain file name: DOS":        header(tar.Header{Name: `..\escape`, Mode: 0o644}),
		"not a plain file: link":            header(tar.Header{Name: "disk", Linkname: "/etc/shadow", Typeflag: tar.TypeSymlink}),
		"not a plain file: hard link":       header(tar.Header{Name: "disk", Linkname: "/etc/shadow", Typeflag: tar.TypeLink}),
		"not a plain file: device":          header(tar.Header{Name: "disk", Typeflag: tar.TypeBlock, Devmajor: 8}),
		"not a plain file: directory":       header(tar.Header{Name: "dir", Typeflag: tar.TypeDir}),
		"not a plain file: sparse":          retyped(header(tar.Header{Name: "sparse.vmdk", Mode: 0o644, Format: tar.FormatGNU}), tar.TypeGNUSparse),
		"is sparse":                         retyped(ovatest.Tar(ovatest.File{Name: "pax", Data: []byte("22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n")}, ovatest.File{Name: "disk", Data: append([]byte("1\n0\n5\n"), make([]byte, 1000)...)}), tar.TypeXHeader),
		"a header in there is too long":     retyped(header(tar.Header{Name: "long", Size: 2 << 20, Mode: 0o644}), tar.TypeXHeader),
		"two files named":                   header(tar.Header{Name: "vm.ovf", Mode: 0o644}),
		"more than 256 files":               ovatest.Tar(many...),
		"two descriptions":                  header(tar.Header{Name: "other.OVF", Mode: 0o644}),
		"two lists of sums":                 header(tar.Header{Name: "other.mf", Mode: 0o644}),
		"larger than":                       ovatest.Tar(ovatest.File{Name: "a.ovf", Data: make([]byte, maxDescription+1)}),
		"no description":                    ovatest.Tar(ovatest.File{Name: "disk.vmdk", Data: content}),
		"no tar":                            content,
		"cut short":                         good[:len(good)-4096],
		"description \"vm.ovf\" is damaged": damaged,
		"its sums are of a kind":            bytes.Replace(good, []byte("SHA256(vm.ovf)"), []byte("CRC999(vm.ovf)"), 1),
		"two sums of":                       ovatest.Tar(ovatest.File{Name: "b.ovf", Data: good[ovf : ovf+bytes.Index(good[ovf:], []byte("\x00"))]}, ovatest.File{Name: "vm-disk1.vmdk"}, ovatest.File{Name: "a.mf", Data: []byte("SHA1(a)= 00\nSHA1(a)= 00")}),
		"a line of its sums":                ovatest.Tar(ovatest.File{Name: "b.ovf", Data: good[ovf : ovf+bytes.Index(good[ovf:], []byte("\x00"))]}, ovatest.File{Name: "vm-disk1.vmdk"}, ovatest.File{Name: "a.mf", Data: []byte("nothing")}),
		"declares types or entities":        changed("<ovf:Envelope ", `<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;"><!ENTITY c SYSTEM "file:///etc/passwd">]><ovf:Envelope `),
		"cannot be read: entity":            changed("WindowsXP", "&c;"),
		"cannot be read: encoding":          changed(`version="1.0"`, `version="1.0" encoding="utf-16"`),
		"nested too deeply":                 changed("<ovf:References>", strings.Repeat("<x>", 100_000)+strings.Repeat("</x>", 100_000)+"<ovf:References>"),
		"more than 20000 elements":          changed("<rasd:ResourceType>5<", strings.Repeat("<rasd:Address/>", maxElements)+"<rasd:ResourceType>5<"),
		"cannot be read: cut":               changed("</ovf:Envelope>", ""),
		"goes on behind its end":            changed("</ovf:Envelope>", string(end)+"<ovf:Envelope/>"),
		"several machines":                  changed("</ovf:Envelope>", `<ovf:VirtualSystem ovf:id="b"/>`+string(end)),
		"several machines: collection":      changed("</ovf:Envelope>", `<ovf:VirtualSystemCollection/>`+string(end)),
		"2 disks":                           changed("</ovf:DiskSection>", `<ovf:Disk ovf:diskId="b" ovf:fileRef="file2"/></ovf:DiskSection>`),
		"describes no disk":                 changed(`ovf:fileRef="file1"`, ""),
		"needs another one":                 changed(`ovf:fileRef="file1"`, `ovf:fileRef="file1" ovf:parentRef="vmdisk0"`),
		"tells no file of the disk":         changed(`ovf:fileRef="file1"`, `ovf:fileRef="file2"`),
		"have the id":                       changed("</ovf:References>", `<ovf:File ovf:id="file1" ovf:href="other"/></ovf:References>`),
		"split into several":                changed(`ovf:href="disk.vmdk"`, `ovf:href="disk.vmdk" ovf:chunkSize="100"`),
		"packed with":                       changed(`ovf:href="disk.vmdk"`, `ovf:href="disk.vmdk" ovf:compression="bzip2"`),
		"is not in there: URL":              changed(`ovf:href="disk.vmdk"`, `ovf:href="http://169.254.169.254/disk.vmdk"`),
		"is not in there: path":             changed(`ovf:href="disk.vmdk"`, `ovf:href="/etc/passwd"`),
	}
}

// TestEndWithTheLastBytes reads an archive without the zeros behind it from a reader that tells of its end with the last bytes.
func TestEndWithTheLastBytes(t *testing.T) {
	ova := ovatest.Tar(ovatest.File{Name: "disk.vmdk", Data: content}, ovatest.File{Name: "box.ovf", Data: boxOVF(512)})
	ova = ova[:len(ova)-1024]
	if d, err := Read(eager{bytes.NewReader(ova)}, int64(len(ova))); err != nil {
		t.Errorf("%+v, %v", d, err)
	}
}

// boxOVF returns a description with spaces behind it up to a multiple of size bytes.
func boxOVF(size int) []byte {
	box := ovatest.VirtualBox(content, "disk.vmdk", "")
	text := box[bytes.Index(box, []byte("<?xml")):]
	text = text[:bytes.IndexByte(text, 0)]
	return append(bytes.Clone(text), bytes.Repeat([]byte(" "), size-len(text)%size)...)
}

// An eager reader does what io.ReaderAt allows.
type eager struct{ *bytes.Reader }

func (e eager) ReadAt(p []byte, off int64) (int, error) {
	n, err := e.Reader.ReadAt(p, off)
	if off+int64(n) == e.Size() {
		err = io.EOF
	}
	return n, err
}

func TestHostile(t *testing.T) {
	for message, ova := range hostile() {
		message, _, _ = strings.Cut(message, ": ")
		if d, err := read(ova); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), message) {
			t.Errorf("%+v, %v, want %q", d, err, message)
		}
	}
}

// TestValues that are no use as properties are left out.
func TestValues(t *testing.T) {
	for _, text := range []string{strings.Repeat("x", 256), "a&#10;b", "  "} {
		d, err := read(changed("AMD64", text))
		if _, have := d.Properties["cim_pasd_InstructionSet"]; err != nil || have {
			t.Errorf("%q: %v, %v", text, d.Properties, err)
		}
	}
	for units, want := range map[string]int64{"byte * 2^30": 1024, "byte * 2^10": 0, "MegaBytes": 1, "furlongs": 0} {
		if d, err := read(changed("GigaBytes", units)); err != nil || d.MemoryMiB != want {
			t.Errorf("%q: %d MiB, %v, want %d", units, d.MemoryMiB, err, want)
		}
	}
	if d, err := read(changed("<rasd:VirtualQuantity>1<", "<rasd:VirtualQuantity>1000000000000<")); err != nil || d.MemoryMiB != 0 {
		t.Errorf("%+v, %v", d, err)
	}
}

func FuzzRead(f *testing.F) {
	for _, ova := range hostile() {
		if len(ova) < 100_000 {
			f.Add(ova)
		}
	}
	f.Add(ovatest.VMware([]byte("disk")))
	f.Fuzz(func(t *testing.T, ova []byte) {
		d, err := read(ova)
		if err == nil && (d.Offset < 0 || d.Length < 0 || d.Offset+d.Length > int64(len(ova))) {
			t.Errorf("the disk lies at %d, %d bytes", d.Offset, d.Length)
		}
	})
}
