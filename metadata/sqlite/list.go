package sqlite

import (
	"database/sql/driver"
	"fmt"
	"slices"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadata"
)

// A lister finds one page of images:
//
//  1. views.go: the caller's view becomes a few lists that share no image,
//  2. filter.go: filters become facets, spans of listing columns, and conditions that no index helps with,
//  3. order.go: the marker becomes segments, which follow each other in the wanted order,
//  4. plan.go: for each segment an index is chosen to read from,
//  5. arms.go: each list is read in order from that index, and SQLite merges them.
type lister struct {
	*tx
	weights map[string]weight // of sources weighed already
	images  int64             // how many there are, roughly
}

// maxFilters bounds the statements that a query makes.
const maxFilters = 64

// Images implements metadata.Tx.
func (t *tx) Images(q image.Query) ([]*image.Image, error) {
	if len(q.Filters)+len(q.Tags) > maxFilters {
		return nil, image.Errorf(image.ErrInvalid, "A list takes at most %d filters", maxFilters)
	}
	order, err := completeOrder(q.Sort)
	if err != nil {
		return nil, err
	}
	l := &lister{tx: t, weights: map[string]weight{}}
	sel, err := l.selection(q)
	if err != nil {
		return nil, err
	}
	segments := []*selection{sel}
	if q.Marker != "" {
		marker, err := l.marker(q)
		if err != nil {
			return nil, err
		}
		segments = segmentsAfter(sel, order, marker)
	}
	if q.Limit <= 0 {
		return nil, nil
	}
	if l.images, _, err = t.conn.queryInt(t.ctx, `SELECT seq FROM sqlite_sequence WHERE name = 'images'`); err != nil {
		return nil, err
	}
	numbers, err := l.follow(segments, order, q.Limit)
	if err != nil {
		return nil, err
	}
	return t.imagesByNumber(numbers)
}

// selection returns what the query shows, whatever the order.
func (l *lister) selection(q image.Query) (*selection, error) {
	views, err := viewsOf(q)
	if err != nil {
		return nil, err
	}
	sel := &selection{spans: map[string]span{}}
	if views, err = sel.filterOwner(views, q.Filters); err != nil {
		return nil, err
	}
	for _, tag := range q.Tags {
		sel.addFacets(tagFacet(tag))
	}
	for _, f := range q.Filters {
		if err := sel.filter(f); err != nil {
			return nil, err
		}
	}
	for _, v := range views {
		var viewer int64
		if v.project != "" {
			number, ok, err := findLabel(l.ctx, l.conn, metadata.LabelProject, v.project)
			if err != nil {
				return nil, err
			}
			if !ok {
				continue
			}
			viewer = number
		}
		sel.lists = append(sel.lists, listNumber(viewer, v.kind, q.Hidden))
	}
	slices.Sort(sel.lists)
	return sel, nil
}

// marker returns the image that the page starts after.
func (l *lister) marker(q image.Query) (*image.Image, error) {
	var found *image.Image
	err := l.query(`SELECT `+imageColumns+` FROM images i WHERE i.id = ?`, []any{packID(q.Marker)}, func(row []driver.Value) (err error) {
		found, err = scanImage(row)
		return err
	})
	if err != nil {
		return nil, err
	}
	var failed error
	member := func() bool {
		var is bool
		is, failed = l.IsMember(found.Number, q.Caller.ProjectID)
		return is
	}
	if found == nil || !q.Caller.CanSee(found, member) {
		if failed != nil {
			return nil, failed
		}
		return nil, image.Errorf(image.ErrInvalid, "Marker %s could not be found", q.Marker)
	}
	return found, nil
}

// follow reads segment after segment until the page is full.
func (l *lister) follow(segments []*selection, order []term, limit int) ([]int64, error) {
	var numbers []int64
	for _, s := range segments {
		if len(numbers) >= limit {
			break
		}
		more, err := l.read(s, order, limit-len(numbers))
		if err != nil {
			return nil, fmt.Errorf("list images: %w", err)
		}
		numbers = append(numbers, more...)
	}
	return numbers, nil
}
