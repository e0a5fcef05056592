package sqlite

import (
	"database/sql/driver"
	"fmt"
	"math"
	"slices"
	"strings"
)

// A source is the index that a segment is read from: of facets if there are any, else that of a column of listings.
type source struct {
	facets []facet // alternatives
	column string
	spread bool // each alternative is read for itself, so that the order of creation holds within it
}

// maxArms bounds the parts that SQLite merges, and thereby the length of a statement.
const maxArms = 40

// read returns up to limit images of the selection in order, as numbers.
func (l *lister) read(sel *selection, order []term, limit int) ([]int64, error) {
	if sel.empty || len(sel.lists) == 0 || limit <= 0 {
		return nil, nil
	}
	order = slices.DeleteFunc(slices.Clone(order), func(t term) bool { return t.column != "id" && sel.spans[t.column].fixed() })
	src, gather, err := l.choose(sel, order, limit)
	switch {
	case err != nil:
		return nil, err
	case gather || len(src.facets) > 0 || src.column != order[0].column:
		return l.page(sel, src, order, limit)
	case hasFewValues(order[0].column) && !isNewestFirst(order[1:]):
		return l.readByValue(sel, order, limit)
	case order[0].desc && !storedDescending(order[0].column) && isNewestFirst(order[1:]):
		return l.readDescending(sel, src, order, limit)
	}
	return l.page(sel, src, order, limit)
}

// choose finds the index to read from. gather says that it is best to read all that it gives, since that is little, and to
// sort it; otherwise the index gives the order, and reading stops when the page is full.
func (l *lister) choose(sel *selection, order []term, limit int) (src source, gather bool, err error) {
	base := source{column: order[0].column}
	sources := l.sources(sel, order[0].column)
	ordered := func(s source) bool { return isNewestFirst(order) && s.spread }
	switch {
	case len(sources) == 0:
		return base, false, nil
	case len(sources) == 1 && ordered(sources[0]):
		return sources[0], false, nil
	}
	bound := l.gatherBound(limit)
	if slices.ContainsFunc(sources, ordered) {
		bound = min(bound, 1000) // a worse choice reads on until the page is full; to count further would cost as much
	}
	var best source
	var least weight
	for i, s := range sources {
		w, err := l.weigh(sel, s, bound)
		if err != nil {
			return base, false, err
		}
		if i == 0 || w.lessThan(least) {
			best, least = s, w
		}
	}
	switch {
	case ordered(best):
		return best, false, nil
	case least.count <= bound:
		return best, true, nil
	}
	for _, s := range sources {
		if ordered(s) {
			return s, false, nil
		}
	}
	return base, false, nil
}

// sources returns the indices that a filter narrows, besides the one that gives the order.
func (l *lister) sources(sel *selection, orderColumn string) []source {
	var sources []source
	for _, alternatives := range sel.facets {
		sources = append(sources, source{facets: alternatives, spread: len(alternatives)*len(sel.lists) <= maxArms})
	}
	for column, s := range sel.spans {
		if column == orderColumn || s.oneOf == nil && s.low == nil && s.high == nil {
			continue
		}
		sources = append(sources, source{column: column, spread: s.oneOf != nil && len(s.oneOf)*len(sel.lists) <= maxArms})
	}
	// Maps have no order, and statements should be the same every time.
	slices.SortStableFunc(sources, func(a, b source) int { return strings.Compare(a.column, b.column) })
	return sources
}

// maxGather bounds how many images are read to be sorted. A variable, so that tests can have everything read in order.
var maxGather int64 = 20_000

// gatherBound is the number of images up to which reading them all and sorting is cheaper than reading in order until
// limit of them have passed the filter, were they spread evenly.
func (l *lister) gatherBound(limit int) int64 {
	return min(max(int64(math.Sqrt(float64(l.images)*float64(limit))), 100), maxGather)
}

// A weight says how many images a source gives. Of two that give more than was counted, the one that came further back in time
// meanwhile is the thinner one.
type weight struct {
	count  int64 // or one more than the bound when there are more
	oldest int64 // creation of the oldest image counted, Unix microseconds
}

func (w weight) lessThan(o weight) bool {
	return w.count < o.count || w.count == o.count && w.oldest < o.oldest
}

func (l *lister) weigh(sel *selection, src source, bound int64) (w weight, err error) {
	only := &selection{lists: sel.lists, spans: map[string]span{}}
	if src.column != "" {
		only.spans[src.column] = sel.spans[src.column]
	}
	b := &builder{}
	b.arms(only, src, newestFirst[:1])
	key := fmt.Sprint(b.sql.String(), b.args, bound)
	if w, ok := l.weights[key]; ok {
		return w, nil
	}
	b.add(" LIMIT ?)", bound+1)
	err = l.query(`SELECT count(*), min(k0) FROM (`+b.sql.String(), b.args, func(row []driver.Value) error {
		w = weight{integer(row[0]), integer(row[1])}
		return nil
	})
	l.weights[key] = w
	return w, err
}

// hasFewValues tells columns with a handful of values, each of which many images have.
func hasFewValues(column string) bool {
	return column == "status" || column == "container_format" || column == "disk_format"
}

// storedDescending tells the columns whose index runs from high to low.
func storedDescending(column string) bool {
	return column == "created_at" || column == "updated_at" || column == "id" // which needs nothing to break ties
}

// readByValue reads the images of one value of the first column after the other, so that each is in the order of the next
// column's index.
func (l *lister) readByValue(sel *selection, order []term, limit int) ([]int64, error) {
	first := order[0]
	rest := &selection{lists: sel.lists, spans: map[string]span{first.column: sel.spans[first.column]}}
	var numbers []int64
	for len(numbers) < limit && !rest.empty {
		v, ok, err := l.nthValue(rest, source{column: first.column}, first, 0)
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		one := sel.clone()
		one.oneOf(first.column, []any{v})
		more, err := l.read(one, order, limit-len(numbers))
		if err != nil {
			return nil, err
		}
		numbers = append(numbers, more...)
		if first.desc {
			rest.atMost(first.column, v, true)
		} else {
			rest.atLeast(first.column, v, true)
		}
	}
	return numbers, nil
}

// readDescending reads an index from high to low whose ties are stored newest first, which is not the reverse: it finds the
// value at which the page ends, sorts the few images above it, and reads those of that value in the order of the index.
func (l *lister) readDescending(sel *selection, src source, order []term, limit int) ([]int64, error) {
	first := order[0]
	last, ok, err := l.nthValue(sel, src, first, limit-1)
	if err != nil || !ok {
		if err != nil {
			return nil, err
		}
		return l.page(sel, src, order, limit) // all that is left fits
	}
	above := sel.clone()
	above.atLeast(first.column, last, true)
	numbers, err := l.page(above, src, order, limit)
	if err != nil {
		return nil, err
	}
	same := sel.clone()
	same.oneOf(first.column, []any{last})
	more, err := l.read(same, order, limit-len(numbers))
	return append(numbers, more...), err
}

// nthValue returns the value of a column in the nth image (from 0) of the selection in the term's order.
func (l *lister) nthValue(sel *selection, src source, t term, n int) (value any, ok bool, err error) {
	b := &builder{}
	b.arms(sel, src, []term{t})
	b.orderBy([]term{t})
	b.add(` LIMIT 1 OFFSET ?`, int64(n))
	err = l.query(b.sql.String(), b.args, func(row []driver.Value) error {
		value, ok = row[1], true
		return nil
	})
	return value, ok, err
}

// page runs one statement.
func (l *lister) page(sel *selection, src source, order []term, limit int) ([]int64, error) {
	if sel.empty {
		return nil, nil
	}
	b := &builder{}
	b.arms(sel, src, order)
	b.orderBy(order)
	b.add(` LIMIT ?`, int64(limit))
	var numbers []int64
	err := l.query(b.sql.String(), b.args, func(row []driver.Value) error {
		numbers = append(numbers, integer(row[0]))
		return nil
	})
	return numbers, err
}
