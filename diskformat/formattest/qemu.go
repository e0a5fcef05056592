package formattest

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
)

// A Recipe is a way in which QEMU makes an image with data, zeros and holes in it.
type Recipe struct {
	QEMU    string // the format, as QEMU calls it
	Options string // of qemu-img's -o, "" for none
	Packed  bool   // it is compressed
	Written bool   // by a guest; otherwise it is converted from another disk
	Crashed bool   // nobody came to close it
}

// qemuOptions are those of each format that change what stands in the file.
var qemuOptions = map[string][]string{
	"raw": {"", "preallocation=full"},
	"qcow2": {"", "compat=0.10", "lazy_refcounts=on", "refcount_bits=1", "refcount_bits=64",
		"cluster_size=512", "cluster_size=1K", "cluster_size=4K", "cluster_size=16K", "cluster_size=256K", "cluster_size=2M", "compat=0.10,cluster_size=512",
		"compat=0.10,cluster_size=2M", "extended_l2=on", "extended_l2=on,cluster_size=16K", "extended_l2=on,cluster_size=128K", "extended_l2=on,cluster_size=2M",
		"preallocation=metadata", "preallocation=falloc", "preallocation=full", "preallocation=metadata,extended_l2=on",
		"preallocation=metadata,cluster_size=4K", "preallocation=falloc,cluster_size=2M", "compression_type=zlib", "compression_type=zstd"},
	"vmdk": {"", "subformat=monolithicSparse", "subformat=streamOptimized", "compat6=on", "hwversion=14", "zeroed_grain=on", "adapter_type=lsilogic,hwversion=14",
		"adapter_type=buslogic,compat6=on", "adapter_type=legacyESX"},
	"vpc":  {"", "force_size=on", "subformat=fixed", "subformat=fixed,force_size=on"},
	"vhdx": {"", "block_size=1M", "block_size=256M", "log_size=16M", "block_state_zero=off", "subformat=fixed", "subformat=fixed,block_size=2M"},
	"vdi":  {"", "static=on"},
}

// packings are those of a qcow2 that change how it is compressed.
var packings = []string{"compression_type=zlib", "compression_type=zstd", "compat=0.10", "compression_type=zlib,cluster_size=512",
	"compression_type=zstd,cluster_size=512", "compression_type=zlib,cluster_size=2M", "compression_type=zstd,cluster_size=2M",
	"compression_type=zlib,extended_l2=on", "compression_type=zstd,extended_l2=on,cluster_size=16K", "compat=0.10,cluster_size=4K"}

// QEMUFormats are the formats of disks that QEMU writes and we read, as it calls them.
func QEMUFormats() []string { return []string{"raw", "qcow2", "vmdk", "vpc", "vhdx", "vdi"} }

// QEMUOptions are the options of one of them, "" for none.
func QEMUOptions(format string) []string { return qemuOptions[format] }

// Recipes returns all ways in which QEMU makes the formats that can be read as a disk.
func Recipes() (list []Recipe) {
	for _, format := range QEMUFormats() {
		for _, options := range qemuOptions[format] {
			list = append(list, Recipe{QEMU: format, Options: options})
			if options != "subformat=streamOptimized" { // nobody can write to it
				list = append(list, Recipe{QEMU: format, Options: options, Written: true})
			}
		}
	}
	for _, options := range packings {
		r := Recipe{QEMU: "qcow2", Options: options, Packed: true}
		list = append(list, r)
		r.Written = true
		list = append(list, r)
	}
	return append(list, Recipe{QEMU: "qcow2", Options: "lazy_refcounts=on", Written: true, Crashed: true})
}

// String names the recipe.
func (r Recipe) String() string {
	words := []string{r.QEMU, r.Options}
	for _, w := range []struct {
		is   bool
		word string
	}{{r.Packed, "compressed"}, {r.Written, "written"}, {!r.Packed && !r.Written, "converted"}, {r.Crashed, "crashed"}} {
		if w.is {
			words = append(words, w.word)
		}
	}
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " ")
}

// Format is the format as the Image API calls it.
func (r Recipe) Format() string { return FromQEMU(r.QEMU) }

// FromQEMU returns the Image API's name of a format of QEMU's.
func FromQEMU(format string) string {
	switch format {
	case "vpc":
		return "vhd"
	case "parallels":
		return "ploop"
	case "qcow":
		return "qcow2"
	}
	return format
}

// FromFile reports whether QEMU asks the file system, too, where such an image has data.
func (r Recipe) FromFile() bool {
	switch r.QEMU {
	case "raw":
		return true
	case "qcow2":
		return strings.Contains(r.Options, "preallocation=metadata") && !strings.Contains(r.Options, "extended_l2")
	}
	return strings.Contains(r.Options, "fixed") || strings.Contains(r.Options, "static")
}

// MixedSize is the size of the disk from which images are converted, in bytes: a whole number of sectors, and of nothing else.
const MixedSize = 5000192

// writtenSize is that of a disk to which a guest writes.
const writtenSize = 20<<20 + 1536

// Mixed returns a disk of zeros, text and noise in pieces from 512 bytes to 256 KiB.
func Mixed(size int) []byte {
	random := rand.New(rand.NewPCG(3, 4))
	data := make([]byte, size)
	for at := 0; at < size; {
		p := data[at:min(size, at+512<<random.IntN(10))]
		switch random.IntN(3) {
		case 0:
			for i := 0; i+8 <= len(p); i += 8 {
				binary.LittleEndian.PutUint64(p[i:], random.Uint64())
			}
		case 1:
			line := fmt.Sprintf("line %d at %d\n", random.Int(), at)
			for n := 0; n < len(p); {
				n += copy(p[n:], line)
			}
		}
		at += len(p)
	}
	return data
}

// GuestWrites are what a guest does to a disk of 5 MB, as commands of qemu-io: pieces that are no clusters, zeros over data and over
// nothing, discards.
var GuestWrites = []string{
	"write -P 1 0 100k", "write -P 2 777k 3k", "write -P 3 1M 512", "write -P 4 2000k 500k",
	"write -z 20k 30k", "write -z 2100k 64k", "write -z -u 2200k 128k", "write -z 3M 256k",
	"write -P 5 25k 1k", "discard 64k 16k", "discard 2304k 128k", "write -P 6 4801k 64k",
}

// Make makes the image at path, by conversion of the disk in a file or from nothing.
func (r Recipe) Make(path, disk string) error {
	options := []string{}
	if r.Options != "" {
		options = []string{"-o", r.Options}
	}
	if r.Packed || !r.Written {
		args := slices.Concat([]string{"qemu-img", "convert", "-f", "raw", "-O", r.QEMU}, options, []string{disk, path})
		if r.Packed {
			args = slices.Insert(args, 2, "-c")
		}
		if _, err := Run(args...); err != nil || !r.Written {
			return err
		}
		return WriteTo(path, r.QEMU, GuestWrites...) // next to clusters that are compressed
	}
	if _, err := Run(slices.Concat([]string{"qemu-img", "create", "-q", "-f", r.QEMU}, options, []string{path, fmt.Sprint(writtenSize)})...); err != nil {
		return err
	}
	if r.Crashed {
		_, err := Run("qemu-io", "-f", r.QEMU, "-c", "write -P 1 100k 300k", "-c", "flush", "-c", "abort", path)
		if err == nil {
			return fmt.Errorf("qemu-io did not crash over %s", path)
		}
		return nil
	}
	if err := r.addBitmap(path); err != nil {
		return err
	}
	if err := WriteTo(path, r.QEMU, append(GuestWrites, "write -P 8 18M 1M", "write -P 9 20480k 1536", "write -P 10 9M 1M")...); err != nil {
		return err
	}
	if r.QEMU != "qcow2" || strings.Contains(r.Options, "refcount_bits=1") { // a snapshot needs a second reference
		return nil
	}
	if _, err := Run("qemu-img", "snapshot", "-c", "before", path); err != nil {
		return err
	}
	return WriteTo(path, r.QEMU, "write -P 7 2010k 70k", "discard 0 64k")
}

// addBitmap adds one of what will be written, where there is place for one.
func (r Recipe) addBitmap(path string) error {
	if r.QEMU != "qcow2" || strings.Contains(r.Options, "compat=0.10") {
		return nil
	}
	_, err := Run("qemu-img", "bitmap", "--add", "-f", r.QEMU, path, "changes")
	return err
}

// WriteTo writes to an image as a guest does, by commands of qemu-io.
func WriteTo(path, format string, commands ...string) error {
	args := []string{"qemu-io", "-f", format, "-d", "unmap", "-t", "unsafe"} // nobody cuts the power
	for _, c := range commands {
		args = append(args, "-c", c)
	}
	out, err := Run(append(args, path)...)
	if err == nil && bytes.Contains(out, []byte("rror")) {
		err = fmt.Errorf("%q: %s", args, out)
	}
	return err
}

// Run runs a program, which may read from a mount, and returns what it writes.
func Run(args ...string) ([]byte, error) {
	out, err := exec.Command("timeout", append([]string{"-s", "KILL", "120"}, args...)...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%q: %w: %s", args, err, out)
	}
	return out, err
}

// A Range is one of a disk, in bytes.
type Range struct{ Offset, Length int64 }

// Map returns the ranges of data that QEMU finds in an image, in order, none touching.
func Map(path, format string) (list []Range, err error) {
	out, err := Run("qemu-img", "map", "--output=json", "-f", format, path)
	if err != nil {
		return nil, err
	}
	var mapped []struct {
		Start, Length int64
		Zero          bool
	}
	if err := json.Unmarshal(out, &mapped); err != nil {
		return nil, err
	}
	for _, m := range mapped {
		if last := len(list) - 1; m.Zero {
		} else if last >= 0 && list[last].Offset+list[last].Length == m.Start {
			list[last].Length += m.Length
		} else {
			list = append(list, Range{m.Start, m.Length})
		}
	}
	return list, nil
}
