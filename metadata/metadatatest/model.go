package metadatatest

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

// A modelImage is an image and its members with their status.
type modelImage struct {
	*image.Image
	members map[string]string
}

// A model is what a database should hold.
type model map[image.ID]*modelImage

// images answers a query, all pages at once.
func (m model) images(q image.Query) []*image.Image {
	var found []*image.Image
	for _, img := range m {
		if listed(img, q) && !slices.ContainsFunc(q.Tags, func(tag string) bool { return !slices.Contains(img.Tags, tag) }) &&
			!slices.ContainsFunc(q.Filters, func(f image.Filter) bool { return !passes(img.Image, f) }) {
			found = append(found, img.Image)
		}
	}
	order := append(slices.Clone(q.Sort), image.SortKey{Field: image.FieldCreatedAt, Desc: true}, image.SortKey{Field: image.FieldID, Desc: true})
	inOrder := func(a, b *image.Image) int {
		for _, key := range order {
			c := compare(a, b, key.Field)
			if key.Desc {
				c = -c
			}
			if c != 0 {
				return c
			}
		}
		return 0
	}
	slices.SortFunc(found, inOrder)
	if q.Marker != "" {
		marker := m[q.Marker].Image
		found = slices.DeleteFunc(found, func(img *image.Image) bool { return inOrder(img, marker) <= 0 })
	}
	return found
}

// listed tells whether a list shows the image at all.
func listed(img *modelImage, q image.Query) bool {
	if !img.Status.Visible() || img.Hidden != q.Hidden {
		return false
	}
	own := q.Caller.ProjectID != "" && img.Owner == q.Caller.ProjectID
	status, shared := img.members[q.Caller.ProjectID]
	shared = shared && img.Visibility == image.Shared && (q.MemberStatus == "all" || status == cmp.Or(q.MemberStatus, "accepted"))
	switch {
	case q.Caller.Anonymous:
		own = false
		if img.Visibility != image.Public {
			return false
		}
	case q.Caller.IsAdmin():
	case !own && !shared && img.Visibility != image.Public && img.Visibility != image.Community:
		return false
	}
	switch q.Visibility {
	case "":
		return img.Visibility != image.Community || own
	case image.AnyVisibility:
		return true
	}
	return img.Visibility == q.Visibility
}

func passes(img *image.Image, f image.Filter) bool {
	text := func(s string, ok bool) bool { return ok && slices.Contains(f.Strings, s) }
	number := func(n *int64) bool {
		switch {
		case n == nil:
			return false
		case f.Op == image.OpAtLeast:
			return *n >= f.Int
		case f.Op == image.OpAtMost:
			return *n <= f.Int
		}
		return *n == f.Int
	}
	if f.Property != "" {
		value, ok := img.Properties[f.Property]
		return text(value, ok)
	}
	switch f.Field {
	case image.FieldID:
		return slices.ContainsFunc(f.Strings, func(s string) bool { return strings.ToLower(s) == string(img.ID) })
	case image.FieldName:
		return img.Name != nil && text(*img.Name, true)
	case image.FieldStatus:
		return text(string(img.Status), true)
	case image.FieldOwner:
		return text(img.Owner, img.Owner != "")
	case image.FieldDiskFormat:
		return text(img.DiskFormat, img.DiskFormat != "")
	case image.FieldContainerFormat:
		return text(img.ContainerFormat, img.ContainerFormat != "")
	case image.FieldChecksum:
		return text(img.Checksum, img.Checksum != "")
	case image.FieldHashAlgo:
		return text(img.HashAlgo, img.HashAlgo != "")
	case image.FieldHashValue:
		return text(img.HashValue, img.HashValue != "")
	case image.FieldProtected:
		return img.Protected == f.Bool
	case image.FieldMinDisk:
		return number(&img.MinDisk)
	case image.FieldMinRAM:
		return number(&img.MinRAM)
	case image.FieldSize:
		return number(img.Size)
	case image.FieldVirtualSize:
		return number(img.VirtualSize)
	case image.FieldCreatedAt:
		return passesTime(img.CreatedAt, f)
	case image.FieldUpdatedAt:
		return passesTime(img.UpdatedAt, f)
	}
	panic("no such field: " + f.Field)
}

func passesTime(at time.Time, f image.Filter) bool {
	a, b := at.Unix(), f.Time.Unix()
	switch f.Op {
	case image.OpEqual:
		return a == b
	case image.OpNotEqual:
		return a != b
	case image.OpGreater:
		return a > b
	case image.OpAtLeast:
		return a >= b
	case image.OpLess:
		return a < b
	}
	return a <= b
}

func compare(a, b *image.Image, f image.Field) int {
	switch f {
	case image.FieldID:
		return strings.Compare(string(a.ID), string(b.ID))
	case image.FieldName:
		return strings.Compare(orZero(a.Name), orZero(b.Name))
	case image.FieldStatus:
		return strings.Compare(string(a.Status), string(b.Status))
	case image.FieldContainerFormat:
		return strings.Compare(a.ContainerFormat, b.ContainerFormat)
	case image.FieldDiskFormat:
		return strings.Compare(a.DiskFormat, b.DiskFormat)
	case image.FieldSize:
		return cmp.Compare(orZero(a.Size), orZero(b.Size))
	case image.FieldCreatedAt:
		return a.CreatedAt.Compare(b.CreatedAt)
	case image.FieldUpdatedAt:
		return a.UpdatedAt.Compare(b.UpdatedAt)
	}
	panic("no such sort key: " + f)
}

func orZero[T any](p *T) T {
	if p == nil {
		return *new(T)
	}
	return *p
}
