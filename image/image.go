package image

import (
	"maps"
	"net/url"
	"slices"
	"time"
)

// An Image is a record and, once active, its bytes. Pointers are nil where the API shows null.
type Image struct {
	Number int64 // given by the database, kept for ever, never used twice; the mount computes its node ids from it
	ID     ID

	Name       *string // at most 255 characters
	Owner      string  // project id; "" means nobody, and then everybody sees it
	Status     Status
	Visibility Visibility
	Protected  bool // refuses deletion
	Hidden     bool // left out of lists unless asked for

	DiskFormat      string // one of DiskFormats, or "" for null
	ContainerFormat string // one of ContainerFormats, or "" for null
	MinDisk         int64  // GiB
	MinRAM          int64  // MiB

	Size        *int64 // bytes stored
	VirtualSize *int64 // bytes a guest sees
	Checksum    string // MD5 in hex, or "" for null
	HashAlgo    string // such as "sha512", or "" for null
	HashValue   string // hex, or "" for null

	Tags       []string          // unique, sorted
	Properties map[string]string // every key that is no base field

	CreatedAt time.Time // UTC, microseconds; the API shows seconds
	UpdatedAt time.Time

	Locations []Location // where the bytes are; several copies are equal
}

// A Location names data in a store. URL may carry credentials, which String leaves out.
type Location struct {
	Store    string            // id of the store
	URL      string            // such as file:///var/lib/vitrine/images/1b/1b4e28ba-...
	Metadata map[string]string // what the store or an operator noted, nil for nothing
}

// MetadataVersion is what a location's metadata holds by which a store tells later data from this. Clients neither see nor set it.
const MetadataVersion = "os_glance_version"

// MetadataAdopted is what it holds if others put the data there, whatever they said of it. Clients neither see nor set it.
const MetadataAdopted = "os_glance_adopted"

// String returns the location for logs and messages, without credentials.
func (l Location) String() string {
	u, err := url.Parse(l.URL)
	if err != nil {
		return l.Store + ": a location that is no URL"
	}
	if u.User != nil {
		u.User = url.User("redacted")
	}
	if u.RawQuery != "" { // it may be signed
		u.RawQuery = "redacted"
	}
	return l.Store + ": " + u.String()
}

// DefaultHashAlgo fills os_hash_algo unless an operator chose another one.
const DefaultHashAlgo = "sha512"

// Clone returns a copy that shares nothing with img.
func (img *Image) Clone() *Image {
	c := *img
	c.Name = clonePointer(img.Name)
	c.Size = clonePointer(img.Size)
	c.VirtualSize = clonePointer(img.VirtualSize)
	c.Tags = slices.Clone(img.Tags)
	c.Properties = maps.Clone(img.Properties)
	c.Locations = slices.Clone(img.Locations)
	for i := range c.Locations {
		c.Locations[i].Metadata = maps.Clone(c.Locations[i].Metadata)
	}
	return &c
}

func clonePointer[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}
