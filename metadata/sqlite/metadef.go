package sqlite

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadef"
)

const namespaceColumns = `SELECT n.number, n.name, n.display_name, n.description, n.visibility, n.protected, n.owner, n.created_at,
	n.updated_at FROM metadef_namespaces n`

func (t *tx) namespaces(rest string, args ...any) ([]metadef.Namespace, error) {
	var all []metadef.Namespace
	err := t.query(namespaceColumns+rest, args, func(row []driver.Value) error {
		all = append(all, metadef.Namespace{Number: integer(row[0]), Name: text(row[1]), DisplayName: textPointer(row[2]),
			Description: textPointer(row[3]), Visibility: image.Visibility(text(row[4])), Protected: integer(row[5]) != 0,
			Owner: text(row[6]), CreatedAt: moment(row[7]), UpdatedAt: moment(row[8])})
		return nil
	})
	return all, err
}

// Namespaces implements metadata.MetadefTx.
func (t *tx) Namespaces(resourceTypes ...string) ([]metadef.Namespace, error) {
	if len(resourceTypes) == 0 {
		return t.namespaces(` ORDER BY n.number`)
	}
	return t.namespaces(` WHERE EXISTS (SELECT 1 FROM metadef_associations a WHERE a.namespace = n.number
		AND a.resource_type IN (SELECT value FROM json_each(?))) ORDER BY n.number`, encodeStrings(resourceTypes))
}

// Namespace implements metadata.MetadefTx.
func (t *tx) Namespace(name string) (metadef.Namespace, error) {
	found, err := t.namespaces(` WHERE n.name = ?`, name)
	if err == nil && len(found) == 0 {
		err = image.Errorf(image.ErrNotFound, "There is no namespace %q", name)
	}
	if err != nil {
		return metadef.Namespace{}, err
	}
	return found[0], nil
}

// ResourceTypes implements metadata.MetadefTx.
func (t *tx) ResourceTypes() ([]metadef.ResourceType, error) {
	var all []metadef.ResourceType
	err := t.query(`SELECT name, protected, created_at, updated_at FROM metadef_resource_types ORDER BY name`, nil, func(row []driver.Value) error {
		all = append(all, metadef.ResourceType{Name: text(row[0]), Protected: integer(row[1]) != 0, CreatedAt: moment(row[2]), UpdatedAt: moment(row[3])})
		return nil
	})
	return all, err
}

// Associations implements metadata.MetadefTx.
func (t *tx) Associations(namespace int64) ([]metadef.Association, error) {
	var all []metadef.Association
	err := t.query(`SELECT resource_type, prefix, properties_target, created_at, updated_at FROM metadef_associations
		WHERE namespace = ? ORDER BY resource_type`, []any{namespace}, func(row []driver.Value) error {
		all = append(all, metadef.Association{ResourceType: text(row[0]), Prefix: text(row[1]), PropertiesTarget: textPointer(row[2]),
			CreatedAt: moment(row[3]), UpdatedAt: moment(row[4])})
		return nil
	})
	return all, err
}

func (t *tx) definitions(rest string, args ...any) ([]metadef.Entry, error) {
	var all []metadef.Entry
	err := t.query(`SELECT kind, name, body, created_at, updated_at FROM metadef_entries`+rest, args, func(row []driver.Value) error {
		all = append(all, metadef.Entry{Kind: metadef.Kind(integer(row[0])), Name: text(row[1]), Body: json.RawMessage(text(row[2])),
			CreatedAt: moment(row[3]), UpdatedAt: moment(row[4])})
		return nil
	})
	return all, err
}

// Entries implements metadata.MetadefTx.
func (t *tx) Entries(namespace int64, kind metadef.Kind) ([]metadef.Entry, error) {
	return t.definitions(` WHERE namespace = ? AND kind = ? ORDER BY name`, namespace, int64(kind))
}

// Entry implements metadata.MetadefTx.
func (t *tx) Entry(namespace int64, kind metadef.Kind, name string) (metadef.Entry, error) {
	found, err := t.definitions(` WHERE namespace = ? AND kind = ? AND name = ?`, namespace, int64(kind), name)
	if err == nil && len(found) == 0 {
		err = noEntry(kind, name)
	}
	if err != nil {
		return metadef.Entry{}, err
	}
	return found[0], nil
}

func noEntry(kind metadef.Kind, name string) error {
	return image.Errorf(image.ErrNotFound, "There is no %s %q in the namespace", kind, name)
}

// CreateNamespace implements metadata.MetadefWriteTx.
func (t *writeTx) CreateNamespace(n *metadef.Namespace) error {
	number, _, err := t.insert(`INSERT INTO metadef_namespaces (name, display_name, description, visibility, protected, owner, created_at,
		updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, namespaceValues(n)...)
	if err != nil {
		return taken(err, "namespace", n.Name)
	}
	n.Number = number
	return nil
}

// SaveNamespace implements metadata.MetadefWriteTx.
func (t *writeTx) SaveNamespace(n *metadef.Namespace) error {
	changed, err := t.exec(`UPDATE metadef_namespaces SET name = ?, display_name = ?, description = ?, visibility = ?, protected = ?,
		owner = ?, created_at = ?, updated_at = ? WHERE number = ?`, append(namespaceValues(n), n.Number)...)
	if err == nil && changed == 0 {
		return image.Errorf(image.ErrNotFound, "There is no namespace %q any more", n.Name)
	}
	return taken(err, "namespace", n.Name)
}

func namespaceValues(n *metadef.Namespace) []any {
	return []any{n.Name, n.DisplayName, n.Description, string(n.Visibility), flag(n.Protected), nullable(n.Owner),
		n.CreatedAt.UnixMicro(), n.UpdatedAt.UnixMicro()}
}

// taken says which name it was that somebody has already, or that there is nothing any more to which it could belong.
func taken(err error, what, name string) error {
	switch {
	case isTaken(err):
		return image.Errorf(image.ErrConflict, "There is a %s %q already", what, name)
	case isOrphan(err):
		return image.Errorf(image.ErrNotFound, "There is no namespace any more for the %s %q", what, name)
	}
	return err
}

// DeleteNamespace implements metadata.MetadefWriteTx.
func (t *writeTx) DeleteNamespace(number int64) error {
	changed, err := t.exec(`DELETE FROM metadef_namespaces WHERE number = ?`, number)
	if err == nil && changed == 0 {
		err = fmt.Errorf("delete namespace number %d: %w", number, image.ErrNotFound)
	}
	return err
}

// AddAssociation implements metadata.MetadefWriteTx.
func (t *writeTx) AddAssociation(namespace int64, a metadef.Association) error {
	if _, err := t.exec(`INSERT INTO metadef_resource_types (name, protected, created_at, updated_at) VALUES (?1, 0, ?2, ?3)
		ON CONFLICT (name) DO NOTHING`, a.ResourceType, a.CreatedAt.UnixMicro(), a.UpdatedAt.UnixMicro()); err != nil {
		return err
	}
	_, err := t.exec(`INSERT INTO metadef_associations (namespace, resource_type, prefix, properties_target, created_at, updated_at)
		VALUES (?, ?, ?, ?, ?, ?)`, namespace, a.ResourceType, a.Prefix, a.PropertiesTarget, a.CreatedAt.UnixMicro(), a.UpdatedAt.UnixMicro())
	return taken(err, "association with", a.ResourceType)
}

// RemoveAssociation implements metadata.MetadefWriteTx.
func (t *writeTx) RemoveAssociation(namespace int64, resourceType string) error {
	changed, err := t.exec(`DELETE FROM metadef_associations WHERE namespace = ? AND resource_type = ?`, namespace, resourceType)
	if err == nil && changed == 0 {
		return image.Errorf(image.ErrNotFound, "The namespace is not associated with %q", resourceType)
	}
	return err
}

// AddEntry implements metadata.MetadefWriteTx.
func (t *writeTx) AddEntry(namespace int64, e metadef.Entry) error {
	_, err := t.exec(`INSERT INTO metadef_entries (namespace, kind, name, body, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?)`,
		namespace, int64(e.Kind), e.Name, string(e.Body), e.CreatedAt.UnixMicro(), e.UpdatedAt.UnixMicro())
	return taken(err, e.Kind.String(), e.Name)
}

// SaveEntry implements metadata.MetadefWriteTx.
func (t *writeTx) SaveEntry(namespace int64, name string, e metadef.Entry) error {
	changed, err := t.exec(`UPDATE metadef_entries SET name = ?, body = ?, updated_at = ? WHERE namespace = ? AND kind = ? AND name = ?`,
		e.Name, string(e.Body), e.UpdatedAt.UnixMicro(), namespace, int64(e.Kind), name)
	if err == nil && changed == 0 {
		return noEntry(e.Kind, name)
	}
	return taken(err, e.Kind.String(), e.Name)
}

// RemoveEntry implements metadata.MetadefWriteTx.
func (t *writeTx) RemoveEntry(namespace int64, kind metadef.Kind, name string) error {
	changed, err := t.exec(`DELETE FROM metadef_entries WHERE namespace = ? AND kind = ? AND name = ?`, namespace, int64(kind), name)
	if err == nil && changed == 0 {
		return noEntry(kind, name)
	}
	return err
}

// RemoveEntries implements metadata.MetadefWriteTx.
func (t *writeTx) RemoveEntries(namespace int64, kind metadef.Kind) error {
	_, err := t.exec(`DELETE FROM metadef_entries WHERE namespace = ? AND kind = ?`, namespace, int64(kind))
	return err
}
