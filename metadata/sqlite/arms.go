package sqlite

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A builder writes a statement along with its arguments.
type builder struct {
	sql  strings.Builder
	args []any
}

func (b *builder) add(sql string, args ...any) {
	b.sql.WriteString(sql)
	b.args = append(b.args, args...)
}

// arms writes a SELECT for each list (and each alternative of a source that is spread), joined by UNION ALL. It gives the
// number and the columns of the order. Each arm can be read in the order of its index, and SQLite merges them lazily; tables
// are joined with CROSS JOIN, which keeps their order, and indices are named, so that no statistics can mislead it.
func (b *builder) arms(sel *selection, src source, order []term) {
	alternatives := []any{nil}
	if src.spread {
		alternatives = nil
		for _, f := range src.facets {
			alternatives = append(alternatives, f)
		}
		if len(src.facets) == 0 {
			alternatives = sel.spans[src.column].oneOf
		}
	}
	first := true
	for _, list := range sel.lists {
		for _, alternative := range alternatives {
			if !first {
				b.add(" UNION ALL ")
			}
			first = false
			b.arm(sel, src, list, alternative, order)
		}
	}
}

// An arm reads from one of: listings l; facets l, when it needs no column that facets lack; facets f and listings l.
func (b *builder) arm(sel *selection, src source, list int64, alternative any, order []term) {
	driver := "l"        // where list, created_at, id and number are read
	from := "listings l" // its own order is that of creation
	switch {
	case len(src.facets) > 0 && !needsListing(sel, order):
		from = "facets l"
	case len(src.facets) > 0:
		driver = "f"
		from = "facets f CROSS JOIN listings l ON l.list = f.list AND l.created_at = f.created_at AND l.id = f.id"
	case src.column != "created_at":
		from = "listings l INDEXED BY listings_" + src.column
	}
	column := func(name string) string {
		if name == "created_at" || name == "id" {
			return driver + "." + name
		}
		return "l." + name
	}
	b.add("SELECT " + driver + ".number AS n")
	for i, t := range order {
		b.add(", " + column(t.column) + " AS k" + strconv.Itoa(i))
	}
	b.add(" FROM " + from)
	if slices.ContainsFunc(sel.conditions, func(c condition) bool { return c.table == onImage }) {
		b.add(" CROSS JOIN images i ON i.number = " + driver + ".number")
	}
	b.add(" WHERE "+driver+".list = ?", list)
	if len(src.facets) > 0 {
		b.facet(driver, src, alternative)
	}
	for _, group := range sel.facets {
		if !slices.Equal(group, src.facets) {
			b.hasFacet(driver, group)
		}
	}
	for _, name := range spanColumns {
		if s, ok := sel.spans[name]; ok {
			switch {
			case name == src.column && src.spread:
				s = span{oneOf: []any{alternative}}
			case name != src.column && name != "created_at" && name != "id":
				b.inSpan("+"+column(name), s) // + keeps SQLite from preferring the index of that column
				continue
			}
			b.inSpan(column(name), s)
		}
	}
	if sel.before != nil {
		b.add(fmt.Sprintf(" AND (%s.created_at, %s.id) < (?, ?)", driver, driver), sel.before.created, sel.before.id)
	}
	for _, c := range sel.conditions {
		b.add(" AND "+c.sql, c.args...)
	}
}

// spanColumns fixes the order in which statements name them.
var spanColumns = append([]string{"created_at", "id"}, listingKeys...)

func needsListing(sel *selection, order []term) bool {
	inFacets := func(column string) bool { return column == "created_at" || column == "id" }
	for column, s := range sel.spans {
		if !inFacets(column) && (s.oneOf != nil || s.low != nil || s.high != nil) {
			return true
		}
	}
	return slices.ContainsFunc(order, func(t term) bool { return !inFacets(t.column) }) ||
		slices.ContainsFunc(sel.conditions, func(c condition) bool { return c.table == onListing })
}

func (b *builder) facet(driver string, src source, alternative any) {
	if f, ok := alternative.(facet); ok {
		b.add(" AND "+driver+".facet = ?", f[:])
		return
	}
	b.add(" AND "+driver+".facet IN (SELECT unhex(value) FROM json_each(?))", encodeBlobs(src.facets))
}

// hasFacet asks for a facet that the source does not give. A scalar subquery is not turned into a join, as EXISTS may be.
func (b *builder) hasFacet(driver string, group []facet) {
	b.add(fmt.Sprintf(" AND 1 = (SELECT 1 FROM facets x WHERE x.list = %[1]s.list AND x.created_at = %[1]s.created_at AND x.id = %[1]s.id", driver))
	if len(group) == 1 {
		b.add(" AND x.facet = ?)", group[0][:])
		return
	}
	b.add(" AND x.facet IN (SELECT unhex(value) FROM json_each(?)))", encodeBlobs(group))
}

func (b *builder) inSpan(column string, s span) {
	switch {
	case s.fixed():
		b.add(" AND "+column+" = ?", s.oneOf[0])
	case s.oneOf != nil:
		b.oneOf(column, s.oneOf)
	}
	if s.low != nil {
		b.add(" AND "+column+s.low.operator(">")+"?", s.low.value)
	}
	if s.high != nil {
		b.add(" AND "+column+s.high.operator("<")+"?", s.high.value)
	}
}

func (b *builder) oneOf(column string, values []any) {
	switch values[0].(type) {
	case []byte:
		ids := make([]facet, len(values))
		for i, v := range values {
			ids[i] = facet(v.([]byte))
		}
		b.add(" AND "+column+" IN (SELECT unhex(value) FROM json_each(?))", encodeBlobs(ids))
	case string:
		texts := make([]string, len(values))
		for i, v := range values {
			texts[i] = v.(string)
		}
		b.add(" AND "+column+" IN (SELECT value FROM json_each(?))", encodeStrings(texts))
	default:
		numbers := make([]int64, len(values))
		for i, v := range values {
			numbers[i] = v.(int64)
		}
		b.add(" AND "+column+" IN (SELECT value FROM json_each(?))", encodeNumbers(numbers))
	}
}

func (b *builder) orderBy(order []term) {
	separator := " ORDER BY "
	for i, t := range order {
		b.add(separator + "k" + strconv.Itoa(i))
		if t.desc {
			b.add(" DESC")
		}
		separator = ", "
	}
}

func encodeBlobs[T ~[16]byte](list []T) string {
	texts := make([]string, len(list))
	for i, v := range list {
		b := [16]byte(v)
		texts[i] = hex.EncodeToString(b[:])
	}
	return encodeStrings(texts)
}

func encodeNumbers(list []int64) string {
	b := []byte{'['}
	for i, n := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, n, 10)
	}
	return string(append(b, ']'))
}
