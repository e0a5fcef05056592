package image

import "time"

// A Change is one entry of the feed that every transaction on an image appends to. Caches follow it.
type Change struct {
	Sequence int64 // grows by commit
	Number   int64 // of the image
	ID       ID
	Time     time.Time
	Before   *Listed // nil when the image was created
	After    *Listed // nil when it was deleted
}

// Listed is what decides where an image appears in directories and lists.
type Listed struct {
	Name       *string    `json:"name,omitempty"`
	Tags       []string   `json:"tags,omitempty"`
	Owner      string     `json:"owner,omitempty"`
	Visibility Visibility `json:"visibility"`
	Status     Status     `json:"status"`
	Hidden     bool       `json:"hidden,omitempty"`
	DiskFormat string     `json:"disk_format,omitempty"`
}

// Listed returns the part of the image that the change feed records.
func (img *Image) Listed() *Listed {
	c := img.Clone()
	return &Listed{Name: c.Name, Tags: c.Tags, Owner: c.Owner, Visibility: c.Visibility, Status: c.Status,
		Hidden: c.Hidden, DiskFormat: c.DiskFormat}
}
