package glance

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadata"
	"github.com/vitrine-image/vitrine/metadef"
)

// metadefs takes over the metadata definitions, one namespace in each transaction.
func (a *adopter) metadefs(ctx context.Context) error {
	documents, err := a.Source.documents(ctx)
	if err != nil {
		return fmt.Errorf("read the metadata definitions of Glance: %w", err)
	}
	for _, d := range documents {
		var done Report
		err := a.DB.Update(ctx, func(tx metadata.WriteTx) error {
			done = Report{}
			return a.namespace(tx, &done, *d)
		})
		if err != nil {
			return fmt.Errorf("namespace %s of Glance: %w", d.Namespace.Name, err)
		}
		a.report.add(&done)
	}
	return nil
}

func (a *adopter) namespace(tx metadata.WriteTx, report *Report, d metadef.Document) error {
	leave := func(text string) {
		report.Metadefs.Left++
		report.Problems = append(report.Problems, Problem{Kind: "metadef", ID: d.Namespace.Name, Text: text})
	}
	if err := d.Check(); err != nil {
		leave(err.Error())
		return nil
	}
	have, err := tx.Namespace(d.Namespace.Name)
	if errors.Is(err, image.ErrNotFound) {
		report.Metadefs.Added++
		if err := tx.CreateNamespace(&d.Namespace); err != nil {
			return err
		}
		return addParts(tx, &d)
	}
	if err != nil {
		return err
	}
	is, err := partsEqual(tx, have, d)
	switch {
	case err != nil:
		return err
	case is:
		report.Metadefs.Unchanged++
		return nil
	case have.UpdatedAt.After(newest(&d)):
		leave("it is not the same here and was changed here later: it is left as it is")
		return nil
	}
	report.Metadefs.Changed++
	d.Namespace.Number = have.Number
	return replace(tx, &d)
}

// newest returns when the namespace or anything in it was changed last, as far as that is known.
func newest(d *metadef.Document) time.Time {
	at := d.Namespace.UpdatedAt
	for _, e := range d.Entries() {
		if e.UpdatedAt.After(at) {
			at = e.UpdatedAt
		}
	}
	return at
}

func addParts(tx metadata.WriteTx, d *metadef.Document) error {
	for _, as := range d.Associations {
		if err := tx.AddAssociation(d.Namespace.Number, as); err != nil {
			return err
		}
	}
	for _, e := range d.Entries() {
		if err := tx.AddEntry(d.Namespace.Number, e); err != nil {
			return err
		}
	}
	return nil
}

var kinds = []metadef.Kind{metadef.KindProperty, metadef.KindObject, metadef.KindTag}

func replace(tx metadata.WriteTx, d *metadef.Document) error {
	if err := tx.SaveNamespace(&d.Namespace); err != nil {
		return err
	}
	old, err := tx.Associations(d.Namespace.Number)
	for _, as := range old {
		if err == nil {
			err = tx.RemoveAssociation(d.Namespace.Number, as.ResourceType)
		}
	}
	for _, kind := range kinds {
		if err == nil {
			err = tx.RemoveEntries(d.Namespace.Number, kind)
		}
	}
	if err != nil {
		return err
	}
	return addParts(tx, d)
}

// partsEqual tells whether what is here says the same as the document.
func partsEqual(tx metadata.Tx, have metadef.Namespace, d metadef.Document) (bool, error) {
	of := func(n metadef.Namespace) []any {
		return []any{n.Name, n.DisplayName, n.Description, n.Visibility, n.Protected, n.Owner}
	}
	if !reflect.DeepEqual(of(have), of(d.Namespace)) {
		return false, nil
	}
	associations, err := tx.Associations(have.Number)
	if err != nil {
		return false, err
	}
	said := func(all []metadef.Association) []string {
		var texts []string
		for _, as := range all {
			target, _ := json.Marshal(as.PropertiesTarget)
			texts = append(texts, strings.Join([]string{as.ResourceType, as.Prefix, string(target)}, "\x00"))
		}
		return slices.Sorted(slices.Values(texts))
	}
	if !slices.Equal(said(associations), said(d.Associations)) {
		return false, nil
	}
	var entries []metadef.Entry
	for _, kind := range kinds {
		more, err := tx.Entries(have.Number, kind)
		if err != nil {
			return false, err
		}
		entries = append(entries, more...)
	}
	named := func(all []metadef.Entry) map[string]any {
		bodies := make(map[string]any)
		for _, e := range all {
			var body any
			json.Unmarshal(e.Body, &body) // it is what metadef has written
			bodies[e.Kind.String()+" "+e.Name] = body
		}
		return bodies
	}
	return reflect.DeepEqual(named(entries), named(d.Entries())), nil
}

// documents reads all namespaces with what belongs to them.
func (s *Source) documents(ctx context.Context) ([]*metadef.Document, error) {
	byID := make(map[int64]*metadef.Document)
	all, err := rows(ctx, s, func(row *sql.Rows) (*metadef.Document, error) {
		d := &metadef.Document{}
		n := &d.Namespace
		var id int64
		var display, description, visibility sql.NullString
		var protected sql.NullBool
		var created, updated sql.NullTime
		err := row.Scan(&id, &n.Name, &display, &description, &visibility, &protected, &n.Owner, &created, &updated)
		n.DisplayName, n.Description = pointer(display.String, display.Valid), pointer(description.String, description.Valid)
		n.Visibility, n.Protected = image.Visibility(cmp.Or(visibility.String, string(image.Private))), protected.Bool // as Glance shows it
		n.CreatedAt, n.UpdatedAt = times(created, updated)
		byID[id] = d
		return d, err
	}, `SELECT id, namespace, display_name, description, visibility, protected, owner, created_at, updated_at FROM metadef_namespaces ORDER BY id`)
	if err != nil {
		return nil, err
	}
	for _, part := range []struct {
		query string
		read  func(*sql.Rows, map[int64]*metadef.Document) error
	}{
		{`SELECT a.namespace_id, t.name, a.prefix, a.properties_target, a.created_at, a.updated_at FROM metadef_namespace_resource_types a
			JOIN metadef_resource_types t ON t.id = a.resource_type_id`, readAssociation},
		{`SELECT namespace_id, name, json_schema FROM metadef_properties`, readDefinition},
		{`SELECT namespace_id, name, description, required, json_schema, created_at, updated_at FROM metadef_objects`, readObject},
		{`SELECT namespace_id, name, created_at, updated_at FROM metadef_tags`, readMetadefTag},
	} {
		if _, err := rows(ctx, s, func(row *sql.Rows) (struct{}, error) { return struct{}{}, part.read(row, byID) }, part.query); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func readAssociation(row *sql.Rows, documents map[int64]*metadef.Document) error {
	var id int64
	var as metadef.Association
	var prefix, target sql.NullString
	var created, updated sql.NullTime
	if err := row.Scan(&id, &as.ResourceType, &prefix, &target, &created, &updated); err != nil {
		return err
	}
	as.Prefix, as.PropertiesTarget = prefix.String, pointer(target.String, target.Valid)
	as.CreatedAt, as.UpdatedAt = times(created, updated)
	d := documents[id]
	d.Associations = append(d.Associations, as)
	return nil
}

func readDefinition(row *sql.Rows, documents map[int64]*metadef.Document) error {
	var id int64
	var p metadef.Property
	var schema string
	if err := row.Scan(&id, &p.Name, &schema); err != nil {
		return err
	}
	d := documents[id]
	err := decode(schema, &p.Schema)
	d.Properties = append(d.Properties, p)
	return err
}

func readObject(row *sql.Rows, documents map[int64]*metadef.Document) error {
	var id int64
	var o metadef.Object
	var description, required sql.NullString
	var schema string
	var created, updated sql.NullTime
	if err := row.Scan(&id, &o.Name, &description, &required, &schema, &created, &updated); err != nil {
		return err
	}
	o.Description = pointer(description.String, description.Valid)
	if required.String != "" {
		o.Required = strings.Split(required.String, ",")
	}
	o.CreatedAt, o.UpdatedAt = times(created, updated)
	d := documents[id]
	err := decode(schema, &o.Properties)
	d.Objects = append(d.Objects, o)
	return err
}

func readMetadefTag(row *sql.Rows, documents map[int64]*metadef.Document) error {
	var id int64
	var t metadef.Tag
	var created, updated sql.NullTime
	if err := row.Scan(&id, &t.Name, &created, &updated); err != nil {
		return err
	}
	t.CreatedAt, t.UpdatedAt = times(created, updated)
	d := documents[id]
	d.Tags = append(d.Tags, t)
	return nil
}

// decode reads JSON with its numbers as they are written.
func decode(text string, v any) error {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	return decoder.Decode(v)
}
