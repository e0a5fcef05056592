package metadef_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadef"
)

func schema(t *testing.T, text string) (s metadef.Schema) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&s); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSchema(t *testing.T) {
	for _, tt := range []struct {
		schema string
		wrong  string // part of the message, "" for a good one
	}{
		{`{"title":"T","type":"string"}`, ""},
		{`{"title":"T","type":"array","items":{"type":"string","enum":["a"]},"uniqueItems":true,"minItems":0,"maxItems":9,"additionalItems":false}`, ""},
		{`{"title":"","type":"integer","description":"d","operators":["<in>"],"default":1,"readonly":true,"minimum":-1.5,"maximum":1e3,
			"minLength":0,"maxLength":5,"pattern":"^a$","enum":["1"],"confidential":false}`, ""},
		{`{"type":"string"}`, "no 'title'"},
		{`{"title":"T"}`, "no 'type'"},
		{`{"title":"T","type":"text"}`, "one of array"},
		{`{"title":1,"type":"string"}`, "'title'"},
		{`{"title":"T","type":"integer","enum":[1,2]}`, "an array of strings"},
		{`{"title":"T","type":"integer","enum":"1"}`, "an array of strings"},
		{`{"title":"T","type":"integer","minimum":"1"}`, "a number"},
		{`{"title":"T","type":"string","minLength":-1}`, "0 or more"},
		{`{"title":"T","type":"string","maxLength":1.5}`, "a whole number"},
		{`{"title":"T","type":"string","readonly":"yes"}`, "true or false"},
		{`{"title":"T","type":"array","items":{"kind":"string"}}`, "an object with 'type'"},
		{`{"title":"T","type":"array","items":{"type":"text"}}`, "an object with 'type'"},
		{`{"title":"T","type":"string","colour":"red"}`, "'colour', which is not known"},
	} {
		err := schema(t, tt.schema).Check("p")
		switch {
		case tt.wrong == "" && err != nil:
			t.Errorf("%s: %v", tt.schema, err)
		case tt.wrong != "" && (!errors.Is(err, image.ErrInvalid) || !strings.Contains(err.Error(), tt.wrong) || !strings.Contains(err.Error(), "'p'")):
			t.Errorf("%s: %v, want an error about %q that names the property", tt.schema, err, tt.wrong)
		}
	}
}

func TestDocument(t *testing.T) {
	good := func() metadef.Document {
		return metadef.Document{
			Namespace:    metadef.Namespace{Name: "OS::Things", Visibility: image.Public},
			Associations: []metadef.Association{{ResourceType: "OS::Glance::Image", Prefix: "hw_"}},
			Properties:   []metadef.Property{{Name: "p", Schema: schema(t, `{"title":"T","type":"string"}`)}},
			Objects: []metadef.Object{{Name: "o", Required: []string{"q"},
				Properties: map[string]metadef.Schema{"q": schema(t, `{"title":"T","type":"string"}`)}}},
			Tags: []metadef.Tag{{Name: "t"}},
		}
	}
	for _, tt := range []struct {
		name   string
		change func(d *metadef.Document)
		want   error
	}{
		{"nothing", func(d *metadef.Document) {}, nil},
		{"no name", func(d *metadef.Document) { d.Namespace.Name = "" }, image.ErrInvalid},
		{"a long name", func(d *metadef.Document) { d.Namespace.Name = strings.Repeat("ä", 81) }, image.ErrInvalid},
		{"a name just short enough", func(d *metadef.Document) { d.Namespace.Name = strings.Repeat("ä", 80) }, nil},
		{"bad text", func(d *metadef.Document) { d.Namespace.Name = "\xff" }, image.ErrInvalid},
		{"four bytes", func(d *metadef.Document) { d.Tags[0].Name = "\U0001F600" }, image.ErrInvalid},
		{"a long description", func(d *metadef.Document) { s := strings.Repeat("d", 501); d.Namespace.Description = &s }, image.ErrInvalid},
		{"shared", func(d *metadef.Document) { d.Namespace.Visibility = image.Shared }, image.ErrInvalid},
		{"a long prefix", func(d *metadef.Document) { d.Associations[0].Prefix = strings.Repeat("p", 81) }, image.ErrInvalid},
		{"a property without a type", func(d *metadef.Document) { delete(d.Properties[0].Schema, "type") }, image.ErrInvalid},
		{"a bad property of an object", func(d *metadef.Document) { delete(d.Objects[0].Properties["q"], "type") }, image.ErrInvalid},
		{"a tag twice", func(d *metadef.Document) { d.Tags = append(d.Tags, metadef.Tag{Name: "T"}) }, image.ErrConflict},
		{"an object twice", func(d *metadef.Document) { d.Objects = append(d.Objects, d.Objects[0]) }, image.ErrConflict},
	} {
		d := good()
		tt.change(&d)
		if err := d.Check(); !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestEntriesKeepEverything(t *testing.T) {
	now := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	description := "d"
	p := metadef.Property{Name: "p", Schema: schema(t, `{"title":"T","type":"integer","maximum":12345678901234567890,"default":1}`)}
	o := metadef.Object{Name: "o", Description: &description, Required: []string{"p"}, Properties: map[string]metadef.Schema{"p": p.Schema}, CreatedAt: now, UpdatedAt: now}
	pe, oe := p.Entry(now), o.Entry()
	p2, err := pe.Property()
	if err != nil || text(p2) != text(p) {
		t.Errorf("a property came back as %s, %v", text(p2), err)
	}
	o2, err := oe.Object()
	if err != nil || text(o2) != text(o) {
		t.Errorf("an object came back as %s, %v", text(o2), err)
	}
	if tag := (&metadef.Tag{Name: "t", CreatedAt: now, UpdatedAt: now}).Entry(); text(tag.Tag()) != text(metadef.Tag{Name: "t", CreatedAt: now, UpdatedAt: now}) {
		t.Errorf("a tag came back as %s", text(tag.Tag()))
	}
	broken := metadef.Entry{Kind: metadef.KindProperty, Name: "p", Body: json.RawMessage(`{`)}
	if _, err := broken.Property(); err == nil || !strings.Contains(err.Error(), `property "p"`) {
		t.Errorf("a broken entry: %v", err)
	}
}

func text(v any) string {
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(v); err != nil {
		return err.Error()
	}
	return b.String()
}

func TestPages(t *testing.T) {
	at := func(s int) time.Time { return time.Date(2026, 11, 20, 0, 0, s, 0, time.UTC) }
	all := []metadef.Namespace{
		{Name: "b", Visibility: image.Public, CreatedAt: at(1), Owner: "p1"},
		{Name: "A", Visibility: image.Private, CreatedAt: at(2), Owner: "p1", Protected: true},
		{Name: "c", Visibility: image.Private, CreatedAt: at(3), Owner: "p2"},
		{Name: "d", Visibility: image.Public, CreatedAt: at(3), Owner: "p2"},
	}
	p1, admin := image.Caller{ProjectID: "p1"}, image.Caller{ProjectID: "p1", Roles: []string{"admin"}}
	for _, tt := range []struct {
		name string
		q    metadef.Query
		want []string
		err  error
	}{
		{"newest first", metadef.Query{Caller: admin, Limit: 9}, []string{"d", "c", "A", "b"}, nil},
		{"a project's", metadef.Query{Caller: p1, Limit: 9}, []string{"d", "A", "b"}, nil},
		{"anonymous", metadef.Query{Caller: image.Caller{Anonymous: true}, Limit: 9}, []string{"d", "b"}, nil},
		{"private ones", metadef.Query{Caller: p1, Visibility: image.Private, Limit: 9}, []string{"A"}, nil},
		{"by name", metadef.Query{Caller: admin, Sort: "namespace", Asc: true, Limit: 2}, []string{"A", "b"}, nil},
		{"the next page", metadef.Query{Caller: admin, Sort: "namespace", Asc: true, Limit: 2, Marker: "B"}, []string{"c", "d"}, nil},
		{"protected last", metadef.Query{Caller: admin, Sort: "protected", Asc: true, Limit: 9}, []string{"b", "c", "d", "A"}, nil},
		{"none", metadef.Query{Caller: admin}, nil, nil},
		{"an unknown key", metadef.Query{Caller: admin, Sort: "size"}, nil, image.ErrInvalid},
		{"an unknown marker", metadef.Query{Caller: admin, Marker: "x"}, nil, image.ErrNotFound},
		{"an invisible marker", metadef.Query{Caller: p1, Marker: "c"}, nil, image.ErrNotFound},
	} {
		page, err := tt.q.Page(all)
		var got []string
		for _, n := range page {
			got = append(got, n.Name)
		}
		if !errors.Is(err, tt.err) || !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, %v, want %q, %v", tt.name, got, err, tt.want, tt.err)
		}
	}
	tags, err := metadef.TagQuery{Sort: "name", Limit: 2, Marker: "c"}.Page([]metadef.Tag{{Name: "a"}, {Name: "c"}, {Name: "B"}})
	if err != nil || len(tags) != 2 || tags[0].Name != "B" || tags[1].Name != "a" {
		t.Errorf("tags after c, descending: %+v, %v", tags, err)
	}
	if _, err := (metadef.TagQuery{Sort: "size"}).Page(nil); !errors.Is(err, image.ErrInvalid) {
		t.Errorf("tags by size: %v", err)
	}
	for _, field := range metadef.SortFields {
		if _, err := (metadef.Query{Caller: admin, Sort: field, Limit: 9}).Page(all); err != nil {
			t.Error(err)
		}
	}
}
