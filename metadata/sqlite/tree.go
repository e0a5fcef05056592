package sqlite

import (
	"cmp"
	"database/sql/driver"
	"fmt"
	"slices"
	"strings"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadata"
)

// A place is where the tree is read for a directory or a scope: the union of some scopes, kept to what other conditions
// allow.
type place struct {
	scopes []int64
	allow  []string // SQL over tree t
	args   []any
}

// place finds the scopes to read. Of several conditions the first one (or the owner) gives the scopes, and the others are
// asked of every image found there.
func (t *tx) place(s metadata.Scope) (place, error) {
	p := place{scopes: []int64{scopeAll}}
	if s.Owner != "" {
		var err error
		if p.scopes, err = t.ownerScopes([]string{s.Owner}); err != nil {
			return p, err
		}
	}
	for i, c := range s.All {
		owners, err := t.ownerScopes(c.Owners)
		if err != nil {
			return p, err
		}
		if i == 0 && s.Owner == "" {
			if p.scopes = owners; c.Public {
				p.scopes = append(p.scopes, scopePublic)
			}
			continue
		}
		p.allow = append(p.allow, `(t.public AND ? OR t.owner IN (SELECT value FROM json_each(?)))`)
		p.args = append(p.args, flag(c.Public), encodeNumbers(owners))
	}
	return p, nil
}

func (t *tx) ownerScopes(owners []string) ([]int64, error) {
	var scopes []int64
	for _, o := range owners {
		number, ok, err := findLabel(t.ctx, t.conn, metadata.LabelProject, o)
		if err != nil {
			return nil, err
		}
		if ok && !slices.Contains(scopes, number) {
			scopes = append(scopes, number)
		}
	}
	return scopes, nil
}

// parts splits a place with many scopes, such as those of hundreds of trusted projects, so that each part fits a statement.
func (p place) parts() []place {
	var parts []place
	for scopes := range slices.Chunk(p.scopes, maxArms) {
		parts = append(parts, place{scopes, p.allow, p.args})
	}
	return parts
}

// each writes one SELECT for each scope, joined by the operator.
func (p place) each(operator, sql string, args ...any) *builder {
	b := &builder{}
	for i, scope := range p.scopes {
		if i > 0 {
			b.add(" " + operator + " ")
		}
		b.add(sql, scope)
		b.add("", args...)
		for _, a := range p.allow {
			b.add(" AND " + a)
		}
		b.add("", p.args...)
	}
	return b
}

func (t *tx) entries(b *builder) ([]metadata.Entry, error) {
	var entries []metadata.Entry
	err := t.query(b.sql.String(), b.args, func(row []driver.Value) error {
		entries = append(entries, metadata.Entry{Number: integer(row[0]), ID: unpackID(row[1]), CreatedAt: moment(row[2]), UpdatedAt: moment(row[3])})
		return nil
	})
	return entries, err
}

const entryColumns = `SELECT t.number AS number, t.id AS id, t.created_at AS created_at, t.updated_at AS updated_at FROM tree t `

// TreeImages implements metadata.TreeTx.
func (t *tx) TreeImages(dir metadata.Dir, after int64, limit int) ([]metadata.Entry, error) {
	p, err := t.place(dir.Scope)
	if err != nil {
		return nil, err
	}
	var found []metadata.Entry
	for _, part := range p.parts() {
		// UNION: an image can be in several scopes.
		b := part.each("UNION", entryColumns+`WHERE t.scope = ? AND t.kind = ? AND t.label = ? AND t.number > ?`, kindOf(dir), dir.Label, after)
		b.add(` ORDER BY number LIMIT ?`, max(limit, 0))
		more, err := t.entries(b)
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
	}
	slices.SortFunc(found, func(a, b metadata.Entry) int { return cmp.Compare(a.Number, b.Number) })
	found = slices.CompactFunc(found, func(a, b metadata.Entry) bool { return a.Number == b.Number })
	return found[:min(len(found), max(limit, 0))], nil
}

func kindOf(dir metadata.Dir) int64 {
	if dir.Label == 0 {
		return 0
	}
	return int64(dir.Kind)
}

// TreeImage implements metadata.TreeTx.
func (t *tx) TreeImage(dir metadata.Dir, id image.ID) (metadata.Entry, error) {
	number, ok, err := t.conn.queryInt(t.ctx, `SELECT number FROM images WHERE id = ?`, packID(id))
	if err != nil {
		return metadata.Entry{}, err
	}
	p, err := t.place(dir.Scope)
	if err != nil {
		return metadata.Entry{}, err
	}
	if !ok {
		p.scopes = nil
	}
	return t.oneEntry(fmt.Sprint("image ", id), p, func(part place) *builder {
		return part.each("UNION", entryColumns+`WHERE t.scope = ? AND t.kind = ? AND t.label = ? AND t.number = ?`, kindOf(dir), dir.Label, number)
	})
}

// Latest implements metadata.TreeTx.
func (t *tx) Latest(dir metadata.Dir) (metadata.Entry, error) {
	p, err := t.place(dir.Scope)
	if err != nil {
		return metadata.Entry{}, err
	}
	// The partial index on names needs the kind as a literal.
	where := fmt.Sprintf(`WHERE t.scope = ? AND t.kind = %d AND t.label = ? AND t.hidden = 0`, kindOf(dir))
	return t.oneEntry("newest image", p, func(part place) *builder {
		b := part.each("UNION", entryColumns+where, dir.Label)
		b.add(` ORDER BY created_at DESC, id DESC LIMIT 1`)
		return b
	})
}

// oneEntry returns the newest of the entries that the statements for the parts of a place give.
func (t *tx) oneEntry(what string, p place, statement func(part place) *builder) (metadata.Entry, error) {
	var found []metadata.Entry
	for _, part := range p.parts() {
		more, err := t.entries(statement(part))
		if err != nil {
			return metadata.Entry{}, err
		}
		found = append(found, more...)
	}
	if len(found) == 0 {
		return metadata.Entry{}, fmt.Errorf("%s: %w", what, image.ErrNotFound)
	}
	return slices.MaxFunc(found, func(a, b metadata.Entry) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	}), nil
}

// TreeLabels implements metadata.TreeTx.
func (t *tx) TreeLabels(kind metadata.LabelKind, scope metadata.Scope, after int64, limit int) ([]metadata.Label, error) {
	p, err := t.place(scope)
	if err != nil {
		return nil, err
	}
	var labels []metadata.Label
	for _, s := range p.scopes {
		more, err := t.labelsOf(p, s, kind, after, limit)
		if err != nil {
			return nil, err
		}
		labels = append(labels, more...)
	}
	slices.SortFunc(labels, func(a, b metadata.Label) int { return cmp.Compare(a.Number, b.Number) })
	labels = slices.CompactFunc(labels, func(a, b metadata.Label) bool { return a.Number == b.Number })
	return labels[:min(len(labels), max(limit, 0))], nil
}

// labelsOf jumps from label to label, however many images each has.
func (t *tx) labelsOf(p place, scope int64, kind metadata.LabelKind, after int64, limit int) ([]metadata.Label, error) {
	b := &builder{}
	b.add(`WITH RECURSIVE used(label) AS (
			SELECT min(label) FROM tree WHERE scope = ?1 AND kind = ?2 AND label > ?3
			UNION ALL
			SELECT (SELECT min(label) FROM tree WHERE scope = ?1 AND kind = ?2 AND label > used.label) FROM used WHERE used.label IS NOT NULL
		)
		SELECT labels.number, labels.entry, CASE WHEN labels.value <> labels.entry THEN labels.value END
		FROM used CROSS JOIN labels ON labels.number = used.label`, scope, int64(kind), after)
	if len(p.allow) > 0 {
		b.add(` WHERE 1 = (SELECT 1 FROM tree t WHERE t.scope = ?1 AND t.kind = ?2 AND t.label = used.label AND `+strings.Join(p.allow, " AND ")+` LIMIT 1)`, p.args...)
	}
	b.add(` LIMIT ?`, max(limit, 0))
	var labels []metadata.Label
	err := t.query(b.sql.String(), b.args, func(row []driver.Value) error {
		l := metadata.Label{Number: integer(row[0]), Entry: text(row[1]), Value: text(row[1])}
		if row[2] != nil {
			l.Value = text(row[2])
		}
		labels = append(labels, l)
		return nil
	})
	return labels, err
}

// TreeLabel implements metadata.TreeTx.
func (t *tx) TreeLabel(kind metadata.LabelKind, scope metadata.Scope, entry string) (metadata.Label, error) {
	label, err := t.oneLabel(`entry = ?2`, kind, entry)
	if err != nil {
		return metadata.Label{}, err
	}
	p, err := t.place(scope)
	if err != nil {
		return metadata.Label{}, err
	}
	for _, part := range p.parts() {
		b := part.each("UNION ALL", `SELECT 1 FROM tree t WHERE t.scope = ? AND t.kind = ? AND t.label = ?`, int64(kind), label.Number)
		b.add(` LIMIT 1`)
		if used, err := t.exists(b.sql.String(), b.args...); used || err != nil {
			return label, err
		}
	}
	return metadata.Label{}, fmt.Errorf("images under %q: %w", entry, image.ErrNotFound)
}
