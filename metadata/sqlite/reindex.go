package sqlite

import (
	"slices"
	"strings"

	"github.com/vitrine-image/vitrine/image"
)

// reindex brings the derived tables from what the record was (nil when it is new) to what it is.
func (t *writeTx) reindex(old, r *record) error {
	was, err := old.index(t.label)
	if err != nil {
		return err
	}
	is, err := r.index(t.label)
	if err != nil {
		return err
	}
	if old != nil && old.CreatedAt.UnixMicro() != r.CreatedAt.UnixMicro() { // it is part of every key
		if err := t.moveIndex(old, was, &index{}); err != nil {
			return err
		}
		was = &index{}
	}
	if err := t.moveIndex(r, was, is); err != nil {
		return err
	}
	if err := t.moveUsage(old, r); err != nil {
		return err
	}
	return t.reindexLocations(old, r)
}

// moveIndex writes the difference between two indices of one image.
func (t *writeTx) moveIndex(r *record, was, is *index) error {
	created, id := r.CreatedAt.UnixMicro(), packID(r.ID)
	for _, list := range was.lists {
		stays := slices.Contains(is.lists, list)
		if !stays {
			if _, err := t.exec(`DELETE FROM listings WHERE list = ? AND created_at = ? AND id = ?`, list, created, id); err != nil {
				return err
			}
		}
		for f := range was.facets {
			if stays && is.facets[f] {
				continue
			}
			if _, err := t.exec(`DELETE FROM facets WHERE list = ? AND facet = ? AND created_at = ? AND id = ?`,
				list, f[:], created, id); err != nil {
				return err
			}
		}
	}
	for _, list := range is.lists {
		stayed := slices.Contains(was.lists, list)
		if err := t.writeListing(r, list, stayed, was, is); err != nil {
			return err
		}
		for f := range is.facets {
			if stayed && was.facets[f] {
				continue
			}
			if _, err := t.exec(`INSERT INTO facets (list, facet, created_at, id, number) VALUES (?, ?, ?, ?, ?)`,
				is.facet(r, list, f)...); err != nil {
				return err
			}
		}
	}
	return t.moveBranches(r, was, is)
}

func (t *writeTx) writeListing(r *record, list int64, stayed bool, was, is *index) error {
	created, id := r.CreatedAt.UnixMicro(), packID(r.ID)
	if !stayed {
		_, err := t.exec(`INSERT INTO listings (list, created_at, id, number, updated_at, name, status, container_format, disk_format, size)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, is.listing(r, list)...)
		return err
	}
	// Only the columns that changed are set: SQLite rewrites the entries of every index that a set column is part of.
	var set []string
	var args []any
	for i, column := range listingKeys {
		if is.keys[i] != was.keys[i] {
			set = append(set, column+" = ?")
			args = append(args, is.keys[i])
		}
	}
	if len(set) == 0 {
		return nil
	}
	_, err := t.exec(`UPDATE listings SET `+strings.Join(set, ", ")+` WHERE list = ? AND created_at = ? AND id = ?`,
		append(args, list, created, id)...)
	return err
}

func (t *writeTx) moveBranches(r *record, was, is *index) error {
	for b := range was.branches {
		if is.branches[b] {
			continue
		}
		if _, err := t.exec(`DELETE FROM tree WHERE scope = ? AND kind = ? AND label = ? AND number = ?`,
			b.scope, int64(b.kind), b.label, r.Number); err != nil {
			return err
		}
	}
	for b := range is.branches {
		var err error
		switch {
		case !was.branches[b]:
			_, err = t.exec(`INSERT INTO tree (scope, kind, label, number, id, created_at, updated_at, owner, public, hidden)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, is.twig(r, b)...)
		case !sameLeaf(was.leaf, is.leaf):
			_, err = t.exec(`UPDATE tree SET id = ?5, created_at = ?6, updated_at = ?7, owner = ?8, public = ?9, hidden = ?10
				WHERE scope = ?1 AND kind = ?2 AND label = ?3 AND number = ?4`, is.twig(r, b)...)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// sameLeaf compares all but the id, which never changes.
func sameLeaf(a, b []any) bool { return slices.Equal(a[1:], b[1:]) }

// reindexLocations writes where the locations of a record are looked up. What an image names is no garbage any more.
func (t *writeTx) reindexLocations(old, r *record) error {
	var was []address
	if old != nil {
		was = old.addresses()
	}
	is := r.addresses()
	for _, a := range was {
		if slices.Contains(is, a) {
			continue
		}
		if _, err := t.exec(`DELETE FROM locations WHERE store = ? AND url = ? AND number = ?`, a.store, a.url, r.Number); err != nil {
			return err
		}
	}
	for _, a := range is {
		if slices.Contains(was, a) {
			continue
		}
		if _, err := t.exec(`INSERT INTO locations (store, url, number) VALUES (?, ?, ?)`, a.store, a.url, r.Number); err != nil {
			return err
		}
		if err := t.KeepData(image.Location{Store: a.store, URL: a.url}); err != nil {
			return err
		}
	}
	return nil
}
