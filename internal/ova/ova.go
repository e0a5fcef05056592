// Package ova finds the one disk in an OVA, a virtual machine as VMware, VirtualBox and others export it: a tar with a description of
// the machine (OVF), its disks, and perhaps sums of them. All of it is hostile: nothing is written, no name in there is opened, and
// what is kept in memory is bounded. Start reading at Read.
package ova

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"path"
	"strings"
)

// ErrRefused is why an archive is not taken; a reason for people comes with it. Other errors are those of reading.
var ErrRefused = errors.New("the OVA is refused")

func refuse(text string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrRefused, fmt.Sprintf(text, args...))
}

// A Disk is the only disk of a machine, with what is known of the machine.
type Disk struct {
	Offset, Length int64 // of its file in the archive
	Gzip           bool  // it is packed
	MemoryMiB      int64 // of the machine, 0 if unknown
	// Properties are what the description tells in words of the Image API.
	Properties map[string]string

	sum  hash.Hash // of its file, nil if there is none to compare
	want string    // in hex
}

// Limits of what is read into memory.
const (
	maxDescription = 2 << 20
	maxManifest    = 1 << 20
)

// Read looks through an archive of so many bytes. Of its sums that of the description is compared.
func Read(r io.ReaderAt, size int64) (*Disk, error) {
	members, err := list(r, size)
	if err != nil {
		return nil, err
	}
	var description, manifest *member
	for i := range members {
		m := &members[i]
		switch strings.ToLower(path.Ext(m.name)) {
		case ".ovf":
			if description != nil {
				return nil, refuse("it holds two descriptions, %q and %q", description.name, m.name)
			}
			description = m
		case ".mf":
			if manifest != nil {
				return nil, refuse("it holds two lists of sums, %q and %q", manifest.name, m.name)
			}
			manifest = m
		}
	}
	if description == nil {
		return nil, refuse("it holds no description: no name ends in .ovf")
	}
	text, err := description.read(r, maxDescription)
	if err != nil {
		return nil, err
	}
	machine, err := parse(text)
	if err != nil {
		return nil, err
	}
	d, file, err := machine.disk(members)
	if err != nil || manifest == nil {
		return d, err
	}
	lines, err := manifest.read(r, maxManifest)
	if err != nil {
		return nil, err
	}
	sums, err := parseManifest(string(lines))
	if err != nil {
		return nil, err
	}
	if sum, ok := sums[description.name]; ok {
		h := sum.algo()
		h.Write(text)
		if hex.EncodeToString(h.Sum(nil)) != sum.hex {
			return nil, refuse("the description %q is damaged: it does not have the sum in %q", description.name, manifest.name)
		}
	}
	if sum, ok := sums[file]; ok {
		d.sum, d.want = sum.algo(), sum.hex
	}
	return d, nil
}

// Watch returns w, which is to be given all of the disk's file, with what computes its sum.
func (d *Disk) Watch(w io.Writer) io.Writer {
	if d.sum == nil {
		return w
	}
	return io.MultiWriter(w, d.sum)
}

// Verify compares the sum of what Watch was given with that in the archive, if there is one.
func (d *Disk) Verify() error {
	if d.sum != nil && hex.EncodeToString(d.sum.Sum(nil)) != d.want {
		return refuse("the disk is damaged: it does not have the sum that stands beside it")
	}
	return nil
}

// A sum is that of a file in the archive.
type sum struct {
	algo func() hash.Hash
	hex  string
}

var algorithms = map[string]func() hash.Hash{"SHA1": sha1.New, "SHA256": sha256.New, "SHA512": sha512.New}

// parseManifest returns the sums by the names of their files. A line is "SHA256(disk.vmdk)= 1f2e...".
func parseManifest(text string) (map[string]sum, error) {
	sums := make(map[string]sum)
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		kind, rest, ok := strings.Cut(line, "(")
		end := strings.LastIndex(rest, ")")
		if !ok || end < 0 {
			return nil, refuse("a line of its sums cannot be read")
		}
		value, ok := strings.CutPrefix(strings.TrimSpace(rest[end+1:]), "=")
		algo := algorithms[strings.ToUpper(strings.TrimSpace(kind))]
		name := rest[:end]
		if !ok || algo == nil {
			return nil, refuse("its sums are of a kind that is not known: SHA1, SHA256 and SHA512 are")
		}
		if _, twice := sums[name]; twice {
			return nil, refuse("it has two sums of %q", name)
		}
		sums[name] = sum{algo, strings.ToLower(strings.TrimSpace(value))}
	}
	return sums, nil
}
