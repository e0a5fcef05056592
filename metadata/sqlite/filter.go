package sqlite

import (
	"slices"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

// A selection is a set of images: those on one of the lists that pass everything else.
type selection struct {
	lists      []int64
	facets     [][]facet       // of each group, one must be the image's
	spans      map[string]span // of columns of listings
	before     *position       // images older than this
	conditions []condition
	empty      bool // nothing can pass
}

// A position is a place in the order of creation, newest first.
type position struct {
	created int64
	id      []byte
}

// A condition is SQL that no index helps with. It reads columns of listings l or of images i.
type condition struct {
	table table
	sql   string
	args  []any
}

type table int

const (
	onListing table = iota
	onImage
)

func (sel *selection) addFacets(alternatives ...facet) {
	if len(alternatives) == 0 {
		sel.empty = true
		return
	}
	alternatives = slices.Clone(alternatives)
	slices.SortFunc(alternatives, func(a, b facet) int { return slices.Compare(a[:], b[:]) })
	sel.facets = append(sel.facets, slices.Compact(alternatives))
}

func (sel *selection) addCondition(t table, sql string, args ...any) {
	sel.conditions = append(sel.conditions, condition{t, sql, args})
}

// filter adds one filter. Null passes none, although listings hold it as "" or 0.
func (sel *selection) filter(f image.Filter) error {
	switch {
	case f.Property != "":
		return sel.filterProperty(f)
	case f.Field == image.FieldProtected && f.Op == image.OpEqual:
		if f.Bool {
			sel.addFacets(protectedFacet())
		} else {
			sel.addCondition(onImage, `i.protected = 0`)
		}
		return nil
	}
	switch f.Field {
	case image.FieldOwner: // filterOwner saw to it
		return nil
	case image.FieldID, image.FieldName, image.FieldStatus, image.FieldDiskFormat, image.FieldContainerFormat, image.FieldChecksum,
		image.FieldHashAlgo, image.FieldHashValue:
		return sel.filterText(f)
	case image.FieldMinDisk, image.FieldMinRAM, image.FieldSize, image.FieldVirtualSize:
		return sel.filterInteger(f)
	case image.FieldCreatedAt, image.FieldUpdatedAt:
		return sel.filterTime(f)
	}
	return unknownFilter(f)
}

func unknownFilter(f image.Filter) error {
	return image.Errorf(image.ErrInvalid, "The filter %s%s does not know the operator %q", f.Field, f.Property, f.Op)
}

func stringsOf(f image.Filter) ([]string, error) {
	if f.Op != image.OpIn && (f.Op != image.OpEqual || len(f.Strings) != 1) {
		return nil, unknownFilter(f)
	}
	values := slices.Clone(f.Strings)
	slices.Sort(values)
	return slices.Compact(values), nil
}

func (sel *selection) filterProperty(f image.Filter) error {
	values, err := stringsOf(f)
	if err != nil {
		return err
	}
	facets := make([]facet, len(values))
	for i, v := range values {
		facets[i] = propertyFacet(f.Property, v)
	}
	sel.addFacets(facets...)
	return nil
}

func (sel *selection) filterText(f image.Filter) error {
	values, err := stringsOf(f)
	if err != nil {
		return err
	}
	switch f.Field {
	case image.FieldChecksum, image.FieldHashValue:
		facets := make([]facet, len(values))
		for i, v := range values {
			facets[i] = fieldFacet(f.Field, v)
		}
		sel.addFacets(facets...)
	case image.FieldHashAlgo:
		sel.addCondition(onImage, `i.hash_algo IN (SELECT value FROM json_each(?))`, encodeStrings(values))
	case image.FieldID:
		ids := []any{}
		for _, v := range values {
			if id, ok := image.ParseID(v); ok {
				ids = append(ids, packID(id))
			}
		}
		sel.oneOf("id", ids)
	default:
		if f.Field != image.FieldName { // these are null when empty
			values = slices.DeleteFunc(values, func(v string) bool { return v == "" })
		} else if slices.Contains(values, "") {
			sel.addCondition(onImage, `i.name IS NOT NULL`)
		}
		any := make([]any, len(values))
		for i, v := range values {
			any[i] = v
		}
		sel.oneOf(string(f.Field), any)
	}
	return nil
}

func (sel *selection) filterInteger(f image.Filter) error {
	operator, ok := map[image.Op]string{image.OpEqual: "=", image.OpAtLeast: ">=", image.OpAtMost: "<="}[f.Op]
	if !ok {
		return unknownFilter(f)
	}
	if f.Field != image.FieldSize {
		sel.addCondition(onImage, `i.`+string(f.Field)+` `+operator+` ?`, f.Int)
		return nil
	}
	switch f.Op {
	case image.OpEqual:
		sel.oneOf("size", []any{f.Int})
	case image.OpAtLeast:
		sel.atLeast("size", f.Int, false)
	case image.OpAtMost:
		sel.atMost("size", f.Int, false)
	}
	if f.Op == image.OpEqual && f.Int == 0 || f.Op == image.OpAtLeast && f.Int <= 0 || f.Op == image.OpAtMost && f.Int >= 0 {
		// 0 passes, and null is there as 0.
		sel.addCondition(onImage, `i.size IS NOT NULL`)
	}
	return nil
}

// filterTime compares whole seconds.
func (sel *selection) filterTime(f image.Filter) error {
	column := string(f.Field)
	start := time.Unix(f.Time.Unix(), 0).UnixMicro()
	end := start + time.Second.Microseconds() - 1
	switch f.Op {
	case image.OpEqual:
		sel.atLeast(column, start, false)
		sel.atMost(column, end, false)
	case image.OpNotEqual:
		sel.addCondition(onListing, `l.`+column+` NOT BETWEEN ? AND ?`, start, end)
	case image.OpGreater:
		sel.atLeast(column, end, true)
	case image.OpAtLeast:
		sel.atLeast(column, start, false)
	case image.OpLess:
		sel.atMost(column, start, true)
	case image.OpAtMost:
		sel.atMost(column, end, false)
	default:
		return unknownFilter(f)
	}
	return nil
}
