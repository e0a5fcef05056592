package image

import (
	"slices"
	"time"
)

// A Change is one entry of the feed that every transaction on an image appends to. Caches follow it.
type Change struct {
	Sequence int64 // grows by commit
	Number   int64 // of the image
	ID       ID
	Time     time.Time
	Before   *Listed // nil when the image was created
	After    *Listed // nil when it was deleted
}

// Listed is what decides where an image appears in directories and lists, and which file it is there.
type Listed struct {
	Name       *string    `json:"name,omitempty"`
	Tags       []string   `json:"tags,omitempty"`
	Owner      string     `json:"owner,omitempty"`
	Visibility Visibility `json:"visibility"`
	Status     Status     `json:"status"`
	Hidden     bool       `json:"hidden,omitempty"`
	DiskFormat string     `json:"disk_format,omitempty"`
	InFile     bool       `json:"in_file,omitempty"`
}

// Listed returns the part of the image that the change feed records; it shares nothing with img.
func (img *Image) Listed() *Listed {
	return &Listed{Name: clonePointer(img.Name), Tags: slices.Clone(img.Tags), Owner: img.Owner, Visibility: img.Visibility,
		Status: img.Status, Hidden: img.Hidden, DiskFormat: img.DiskFormat, InFile: img.InFile()}
}
