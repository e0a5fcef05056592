package image

import (
	"slices"
	"strings"
)

// CanSee reports whether the caller may know of the image. memberOf tells whether the caller's project is a member of
// it (with whatever member status); it is asked only for shared images.
func (c Caller) CanSee(img *Image, memberOf func() bool) bool {
	if !img.Status.Visible() {
		return false
	}
	if img.Visibility == Public {
		return true
	}
	if c.Anonymous {
		return false
	}
	switch {
	case c.IsAdmin(), img.Owner == "", img.Owner == c.ProjectID, img.Visibility == Community:
		return true
	case img.Visibility == Shared:
		return memberOf()
	}
	return false
}

// AnonymousCanRead reports whether somebody without credentials could read the bytes, were anonymous access allowed:
// only then may a cache in between keep them.
func (img *Image) AnonymousCanRead() bool {
	return img.Visibility == Public && img.Status == Active
}

// InFile tells whether the data, by its locations, lies in a file of the machine that has the store.
func (img *Image) InFile() bool {
	return slices.ContainsFunc(img.Locations, func(l Location) bool { return strings.HasPrefix(l.URL, "file:") })
}

// IsDisk reports whether the image holds a disk of a guest, as opposed to a kernel, a ramdisk or an archive.
func (img *Image) IsDisk() bool {
	return slices.Contains([]string{"raw", "qcow2", "vmdk", "vhd", "vhdx", "vdi", "ploop", "ami", "gpt"}, img.DiskFormat) &&
		(img.ContainerFormat == "bare" || img.ContainerFormat == "ami")
}

// IsRawDisk reports whether the bytes are the disk that a guest sees. An operator may allow gpt for raw disks with a
// partition table.
func (img *Image) IsRawDisk() bool {
	return img.IsDisk() && (img.DiskFormat == "raw" || img.DiskFormat == "gpt")
}

// HasRawView reports whether the bytes, unless something is wrong with them, can be read as the disk that a guest sees.
func (img *Image) HasRawView() bool {
	return img.IsRawDisk() || img.IsDisk() && slices.Contains([]string{"qcow2", "vmdk", "vhd", "vhdx", "vdi"}, img.DiskFormat)
}

// IsIn reports whether the data, as it was uploaded, is a disk or a medium of the format.
func (img *Image) IsIn(format string) bool {
	return img.IsRawDisk() && format == "raw" || img.DiskFormat == format && (img.ContainerFormat == "bare" || img.IsDisk())
}
