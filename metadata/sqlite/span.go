package sqlite

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
)

// A span is the part of a column's order in which images are looked for. Bounds are kept as tight as they can be: SQLite
// seeks to one of them only.
type span struct {
	oneOf     []any // if not nil, the values
	low, high *bound
}

type bound struct {
	value any
	open  bool // the value itself is not in the span
}

// operator returns the comparison that keeps what lies inside of the bound; strict is that without the value itself.
func (b *bound) operator(strict string) string {
	if b.open {
		return " " + strict + " "
	}
	return " " + strict + "= "
}

// fixed reports whether the span is one value.
func (s span) fixed() bool { return len(s.oneOf) == 1 }

func (s span) holds(v any) bool {
	if s.low != nil {
		if c := compare(v, s.low.value); c < 0 || c == 0 && s.low.open {
			return false
		}
	}
	if s.high != nil {
		if c := compare(v, s.high.value); c > 0 || c == 0 && s.high.open {
			return false
		}
	}
	return true
}

func compare(a, b any) int {
	switch a := a.(type) {
	case int64:
		return cmp.Compare(a, b.(int64))
	case string:
		return cmp.Compare(a, b.(string))
	default:
		return bytes.Compare(a.([]byte), b.([]byte))
	}
}

// oneOf narrows a column to some values.
func (sel *selection) oneOf(column string, values []any) {
	s := sel.spans[column]
	values = slices.DeleteFunc(slices.Clone(values), func(v any) bool {
		return !s.holds(v) || s.oneOf != nil && !slices.ContainsFunc(s.oneOf, func(o any) bool { return compare(o, v) == 0 })
	})
	if len(values) == 0 {
		sel.empty = true
	}
	sel.spans[column] = span{oneOf: values} // the bounds have done their work
}

// atLeast and atMost narrow a column from one side; open leaves the value itself out.
func (sel *selection) atLeast(column string, value any, open bool) {
	sel.narrow(column, span{low: &bound{value, open}})
}

func (sel *selection) atMost(column string, value any, open bool) {
	sel.narrow(column, span{high: &bound{value, open}})
}

func (sel *selection) narrow(column string, to span) {
	s := sel.spans[column]
	if s.oneOf != nil {
		s.low, s.high = to.low, to.high
		kept := slices.DeleteFunc(slices.Clone(s.oneOf), func(v any) bool { return !s.holds(v) })
		sel.spans[column] = span{oneOf: kept}
		sel.empty = sel.empty || len(kept) == 0
		return
	}
	if l := to.low; l != nil && (s.low == nil || compare(l.value, s.low.value) > 0 || compare(l.value, s.low.value) == 0 && l.open) {
		s.low = l
	}
	if h := to.high; h != nil && (s.high == nil || compare(h.value, s.high.value) < 0 || compare(h.value, s.high.value) == 0 && h.open) {
		s.high = h
	}
	sel.spans[column] = s
}

// olderThan narrows the selection to what comes after p, newest first.
func (sel *selection) olderThan(p position) {
	s := sel.spans["created_at"]
	switch {
	case s.oneOf != nil: // an order that fixes created_at goes on by id
		sel.before = &p
	case s.high != nil && !(span{high: s.high}).holds(p.created):
		// The span ends before p anyway.
	default:
		s.high = nil
		sel.spans["created_at"] = s
		sel.before = &p
	}
}

func (sel *selection) clone() *selection {
	c := *sel
	c.spans = maps.Clone(sel.spans)
	return &c
}
