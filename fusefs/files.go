package fusefs

import (
	"regexp"
	"strings"

	"github.com/vitrine-image/vitrine/image"
)

// Names in the tree.
const (
	dirIDs       = "by-id"
	dirNames     = "by-name"
	dirTags      = "by-tag"
	dirProjects  = "by-project"
	latestName   = "latest"
	documentName = "metadata.json"
	diskName     = "disk.raw"
)

// A named node is what an image's directory holds.
type namedNode struct {
	name string
	node node
}

// files returns what the directory of an image holds.
func (m *Mount) files(img *image.Image) []namedNode {
	data := m.dataNode(kindData, img, (*image.Image).InFile)
	list := []namedNode{{dataName(img), data}}
	switch {
	case img.IsRawDisk():
		list = append(list, namedNode{diskName, data}) // the same bytes: a hard link
	case img.HasRawView() && img.VirtualSize != nil: // stat must know how large it is, without reading the data
		list = append(list, namedNode{diskName, m.dataNode(kindRawView, img, m.source.DiskInFile)})
	}
	list = append(list, namedNode{documentName, imageNode(kindDocument, img.Number)})
	if name := sumName(img); name != "" {
		list = append(list, namedNode{name, imageNode(kindSum, img.Number)})
	}
	return list
}

// dataNode returns the node of an image's bytes: the one that the kernel reads by itself if it can, and if they lie in a file. What the
// source returns when they are opened decides how they are read.
func (m *Mount) dataNode(k kind, img *image.Image, inFile func(*image.Image) bool) node {
	if m.passes && inFile(img) {
		k |= passed
	}
	return imageNode(k, img.Number)
}

// plain matches what may become a part of a file's name; it keeps odd formats and algorithms from escaping.
var plain = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,31}$`)

// dataName returns the name of the bytes as uploaded: image.qcow2, image.iso, image.tar.
func dataName(img *image.Image) string {
	return "image." + extension(img.DiskFormat, img.ContainerFormat)
}

func extension(disk, container string) string {
	ext := disk
	switch container {
	case "ova", "docker":
		ext = "tar"
	case "ovf", "compressed":
		ext = container
	}
	if !plain.MatchString(ext) {
		return "data"
	}
	return ext
}

// extensions returns every extension that an image of the disk format may have had.
func extensions(disk string) []string {
	all := []string{}
	for _, container := range image.ContainerFormats {
		all = append(all, extension(disk, container))
	}
	return all
}

// sumName returns the name of the file with the image's hash, such as sha512sum; "" if it has none.
func sumName(img *image.Image) string {
	if img.HashValue == "" || !plain.MatchString(img.HashAlgo) {
		return ""
	}
	return img.HashAlgo + "sum"
}

// sum is what `sha512sum -c` accepts.
func sum(img *image.Image) []byte {
	return []byte(img.HashValue + "  " + dataName(img) + "\n")
}

// linkTarget returns where a link of the kind points: to the image's directory at the top.
func linkTarget(k kind, id image.ID) string {
	depth := int(k-kindLink2) + 2
	return strings.Repeat("../", depth) + dirIDs + "/" + string(id)
}
