package diskformat

import (
	"bytes"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A descriptor is what a VMDK says of itself in text.
type descriptor struct {
	createType string // in lower case
	extents    []extent
}

// An extent is a part of the disk.
type extent struct {
	sectors int64
	kind    string // in lower case
	file    string
}

// isDescriptor tells whether the first bytes of a file, 512 unless there are fewer, are those of a descriptor that stands
// alone. QEMU takes any text for one that has a version behind comments and blank lines.
func isDescriptor(p []byte) bool {
	if hasPrefix(bytes.ToLower(p[:min(len(p), 64)]), "# disk descriptorfile") {
		return true
	}
	for len(p) > 0 {
		line, rest, _ := bytes.Cut(p, []byte("\n"))
		line = bytes.TrimRight(bytes.TrimLeft(line, " "), "\r")
		switch {
		case len(line) > 0 && line[0] != '#':
			version, ok := bytes.CutPrefix(bytes.ToLower(line), []byte("version="))
			return ok && len(version) == 1 && version[0] >= '1' && version[0] <= '3'
		case bytes.IndexByte(line, 0) >= 0:
			return false
		}
		p = rest
	}
	return false
}

// vmdkKeys are the words that may stand in a descriptor, in lower case. Others are refused, since nobody knows what a
// hypervisor makes of them, and so are the names of parents and of lists of changed blocks, which are files.
var vmdkKeys = []string{"version", "encoding", "cid", "parentcid", "isnativesnapshot", "createtype"}

var extentLine = regexp.MustCompile(`^(rw|rdonly|noaccess)\s+(\d{1,18})\s+([a-z]+)(?:\s+"([^"]*)"(?:\s+\d{1,18})?)?$`)

// descriptor reads and checks text that ends at the first NUL. It is judged in lower case, which it does not depend on.
func (v *vmdk) descriptor(p []byte) (d descriptor) {
	p, _, _ = bytes.Cut(p, []byte{0})
	if bytes.ContainsFunc(p, func(r rune) bool { return r >= 0x7f || r < ' ' && r != '\t' && r != '\r' && r != '\n' }) {
		v.fail("descriptor", "the descriptor is no plain text")
		return d
	}
	text := strings.ToLower(string(p))
	// QEMU takes these wherever they stand, even from a comment.
	if strings.Contains(text, "parentfilenamehint") {
		v.fail("parent", "it names a parent disk, which a hypervisor would open on its own")
	}
	if strings.Count(text, "createtype") > 1 {
		v.fail("descriptor", "the descriptor tells its type more than once")
	}
	values := make(map[string]string)
	for line := range strings.SplitSeq(text, "\n") {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' && !strings.HasPrefix(line, "ddb.") {
			v.line(&d, values, line)
		}
	}
	d.createType = values["createtype"]
	v.checkDescriptor(d, values["parentcid"])
	return d
}

func (v *vmdk) line(d *descriptor, values map[string]string, line string) {
	if m := extentLine.FindStringSubmatch(line); m != nil {
		sectors, _ := strconv.ParseInt(m[2], 10, 64) // 18 digits fit
		if d.extents = append(d.extents, extent{sectors, m[3], m[4]}); strings.ContainsAny(m[4], `/\`) {
			v.fail("extents", "an extent lies in the file %.100q of another directory, which a hypervisor would open and show to the guest", m[4])
		}
		return
	}
	key, value, ok := strings.Cut(line, "=")
	key = strings.TrimSpace(key)
	if _, again := values[key]; again || !ok || !slices.Contains(vmdkKeys, key) {
		v.fail("descriptor", "nobody knows what a hypervisor makes of the line %.100q of the descriptor", line)
		return
	}
	values[key] = strings.Trim(strings.TrimSpace(value), `"`)
}

func (v *vmdk) checkDescriptor(d descriptor, parent string) {
	if !slices.ContainsFunc(v.types, func(t string) bool { return strings.EqualFold(t, d.createType) }) {
		v.fail("create_type", "its create type is %.50q, and only %s are allowed: other types keep data in further files",
			d.createType, strings.Join(v.types, ", "))
	}
	if parent != "" && parent != "ffffffff" {
		v.fail("parent", "it is the difference to a parent disk; merge it with its parent")
	}
	if len(d.extents) == 0 {
		v.fail("extents", "the descriptor names no extents")
	}
}
