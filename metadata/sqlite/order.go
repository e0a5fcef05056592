package sqlite

import (
	"slices"

	"github.com/vitrine-image/vitrine/image"
)

// A term is one column of listings in an order.
type term struct {
	column string
	desc   bool
}

// newestFirst breaks ties in every order; all indices of listings end with it.
var newestFirst = []term{{"created_at", true}, {"id", true}}

// completeOrder adds what breaks ties, and drops what cannot matter any more.
func completeOrder(keys []image.SortKey) ([]term, error) {
	var order []term
	add := func(t term) {
		if !slices.ContainsFunc(order, func(o term) bool { return o.column == t.column || o.column == "id" }) {
			order = append(order, t)
		}
	}
	for _, k := range keys {
		if !slices.Contains(image.SortFields(), k.Field) {
			return nil, image.Errorf(image.ErrInvalid, "Images cannot be sorted by %q", k.Field)
		}
		add(term{string(k.Field), k.Desc})
	}
	for _, t := range newestFirst {
		add(t)
	}
	return order, nil
}

func isNewestFirst(order []term) bool { return slices.Equal(order, newestFirst) }

// segmentsAfter splits what comes after the marker into selections that follow each other: first the images that differ from
// it in the last term alone, at the end those that are beyond it in the first term.
func segmentsAfter(sel *selection, order []term, marker *image.Image) []*selection {
	var segments []*selection
	last := len(order) - 1
	pair := len(order) >= 2 && isNewestFirst(order[len(order)-2:])
	if pair {
		last-- // created_at and id are compared at once
	}
	for i := last; i >= 0; i-- {
		s := sel.clone()
		for _, t := range order[:i] {
			s.oneOf(t.column, []any{columnValue(marker, t.column)})
		}
		v := columnValue(marker, order[i].column)
		switch {
		case pair && i == last:
			s.olderThan(position{marker.CreatedAt.UnixMicro(), packID(marker.ID)})
		case order[i].desc:
			s.atMost(order[i].column, v, true)
		default:
			s.atLeast(order[i].column, v, true)
		}
		segments = append(segments, s)
	}
	return segments
}

// columnValue returns what listings hold of an image.
func columnValue(img *image.Image, column string) any {
	switch image.Field(column) {
	case image.FieldID:
		return packID(img.ID)
	case image.FieldCreatedAt:
		return img.CreatedAt.UnixMicro()
	case image.FieldUpdatedAt:
		return img.UpdatedAt.UnixMicro()
	case image.FieldName:
		return orZero(img.Name)
	case image.FieldStatus:
		return string(img.Status)
	case image.FieldContainerFormat:
		return img.ContainerFormat
	case image.FieldDiskFormat:
		return img.DiskFormat
	case image.FieldSize:
		return orZero(img.Size)
	}
	panic("no column of listings: " + column)
}
