package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadef"
)

// ReadOnly are the members of documents of metadata definitions that only servers set. Requests have them in parts of a
// document, where they mean nothing: clients send back what they were shown.
var ReadOnly = []string{"self", "schema", "created_at", "updated_at"}

// A MetadefParser reads documents as encoding/json gives them with UseNumber. It refuses wrong types and members that it
// does not know with image.ErrInvalid; null counts as a member that is not there. What the values say is not checked:
// that is for package metadef.
type MetadefParser struct {
	Lenient bool // ignores members that it does not know, which a newer server may show
}

// Namespace reads the document of a namespace with all that belongs to it.
func (p MetadefParser) Namespace(value any) (d metadef.Document, err error) {
	m := p.membersOf("namespace", value)
	n := &d.Namespace
	n.Name, n.DisplayName, n.Description = m.name("namespace"), m.text("display_name"), m.text("description")
	n.Visibility = image.Private
	if v := m.text("visibility"); v != nil {
		n.Visibility = image.Visibility(*v)
	}
	n.Protected = m.flag("protected")
	if owner := m.text("owner"); owner != nil {
		n.Owner = *owner
	}
	d.Associations = parts(m, "resource_type_associations", p.Association)
	d.Properties = m.properties("properties")
	d.Objects = parts(m, "objects", p.Object)
	d.Tags = parts(m, "tags", p.Tag)
	n.CreatedAt, n.UpdatedAt = m.times()
	return d, m.end()
}

// Namespaces reads a page of namespaces. It says whether another one follows.
func (p MetadefParser) Namespaces(value any) (page []metadef.Document, more bool, err error) {
	m := p.membersOf("list of namespaces", value)
	page = parts(m, "namespaces", p.Namespace)
	more = m.text("next") != nil
	m.text("first")
	return page, more, m.end()
}

// Association reads the document of an association.
func (p MetadefParser) Association(value any) (a metadef.Association, err error) {
	m := p.membersOf("resource type association", value)
	a.ResourceType, a.PropertiesTarget = m.name("name"), m.text("properties_target")
	if prefix := m.text("prefix"); prefix != nil {
		a.Prefix = *prefix
	}
	a.CreatedAt, a.UpdatedAt = m.times()
	return a, m.end()
}

// Associations reads a list of associations.
func (p MetadefParser) Associations(value any) ([]metadef.Association, error) {
	return listOf(p, value, "resource_type_associations", p.Association)
}

// ResourceTypes reads a list of resource types.
func (p MetadefParser) ResourceTypes(value any) ([]metadef.ResourceType, error) {
	return listOf(p, value, "resource_types", func(value any) (t metadef.ResourceType, err error) {
		m := p.membersOf("resource type", value)
		t.Name = m.name("name")
		t.CreatedAt, t.UpdatedAt = m.times()
		return t, m.end()
	})
}

// Object reads the document of an object.
func (p MetadefParser) Object(value any) (o metadef.Object, err error) {
	m := p.membersOf("object", value)
	o.Name, o.Description, o.Required = m.name("name"), m.text("description"), m.texts("required")
	if list := m.properties("properties"); list != nil {
		o.Properties = propertiesOf(list)
	}
	o.CreatedAt, o.UpdatedAt = m.times()
	return o, m.end()
}

// Objects reads a list of objects.
func (p MetadefParser) Objects(value any) ([]metadef.Object, error) {
	return listOf(p, value, "objects", p.Object)
}

// Tag reads the document of a tag.
func (p MetadefParser) Tag(value any) (t metadef.Tag, err error) {
	m := p.membersOf("tag", value)
	t.Name = m.name("name")
	t.CreatedAt, t.UpdatedAt = m.times()
	return t, m.end()
}

// Tags reads a list of tags.
func (p MetadefParser) Tags(value any) ([]metadef.Tag, error) {
	return listOf(p, value, "tags", p.Tag)
}

// listOf reads a document that has but a list.
func listOf[T any](p MetadefParser, value any, name string, parse func(any) (T, error)) ([]T, error) {
	m := p.membersOf("list", value)
	if _, given := m.all[name].([]any); !given {
		m.fail("Invalid value for '%s': it must be an array", name)
	}
	list := parts(m, name, parse)
	return list, m.end()
}

// Properties reads a list of properties.
func (p MetadefParser) Properties(value any) ([]metadef.Property, error) {
	m := p.membersOf("list of properties", value)
	list := m.properties("properties")
	return list, m.end()
}

// Property reads the document of a property, which is its schema with its name.
func (p MetadefParser) Property(value any) (property metadef.Property, err error) {
	m := p.membersOf("property", value)
	property.Name = m.name("name")
	property.Schema = schemaOf(m.all)
	m.all = nil
	return property, m.end()
}

// schemaOf leaves out what is no part of a schema: the name, which some clients repeat there, and null.
func schemaOf(members map[string]any) metadef.Schema {
	schema := make(metadef.Schema, len(members))
	for word, value := range members {
		if word != "name" && value != nil {
			schema[word] = value
		}
	}
	return schema
}

// members are those of an object that were not read yet. The first mistake is kept.
type members struct {
	what    string
	all     map[string]any
	lenient bool
	err     error
}

func (p MetadefParser) membersOf(what string, value any) *members {
	all, ok := value.(map[string]any)
	m := &members{what: what, all: maps.Clone(all), lenient: p.Lenient}
	if !ok {
		m.fail("A %s must be a JSON object", what)
	}
	return m
}

func (m *members) fail(format string, args ...any) {
	if m.err == nil {
		m.err = image.Errorf(image.ErrInvalid, format, args...)
	}
}

// end returns the first mistake; one is a member that nobody has read.
func (m *members) end() error {
	for _, name := range slices.Sorted(maps.Keys(m.all)) {
		if !m.lenient && !slices.Contains(ReadOnly, name) {
			m.fail("Additional properties are not allowed: a %s has no '%s'", m.what, name)
		}
	}
	return m.err
}

// take returns a member, nil if it is not there.
func (m *members) take(name string) any {
	value := m.all[name]
	delete(m.all, name)
	return value
}

// read is take for a member of a type, whose name completes the message.
func read[T any](m *members, name, kind string) (value T, given bool) {
	member := m.take(name)
	if member == nil {
		return value, false
	}
	value, given = member.(T)
	if !given {
		m.fail("Invalid value for '%s': it must be %s", name, kind)
	}
	return value, given
}

func (m *members) text(name string) *string {
	if value, given := read[string](m, name, "a string"); given {
		return &value
	}
	return nil
}

// name is a text that must be there.
func (m *members) name(name string) string {
	value := m.text(name)
	if value == nil {
		m.fail("'%s' is a required property of a %s", name, m.what)
		return ""
	}
	return *value
}

func (m *members) flag(name string) bool {
	value, _ := read[bool](m, name, "true or false")
	return value
}

func (m *members) texts(name string) []string {
	list, _ := read[[]any](m, name, "an array")
	var texts []string
	for _, element := range list {
		text, ok := element.(string)
		if !ok {
			m.fail("Invalid value for '%s': it must be an array of strings", name)
		}
		texts = append(texts, text)
	}
	return texts
}

// properties returns them by their names; nil if the member is not there.
func (m *members) properties(name string) []metadef.Property {
	all, given := read[map[string]any](m, name, "an object")
	if !given {
		return nil
	}
	list := make([]metadef.Property, 0, len(all))
	for _, property := range slices.Sorted(maps.Keys(all)) {
		words, ok := all[property].(map[string]any)
		if !ok {
			m.fail("Invalid value for the property '%s': it must be an object", property)
		}
		list = append(list, metadef.Property{Name: property, Schema: schemaOf(words)})
	}
	return list
}

// times returns when it was made and changed. What is no time is none: clients may send what they like.
func (m *members) times() (created, updated time.Time) {
	at := func(name string) time.Time {
		text, _ := m.take(name).(string)
		t, _ := parseTime(text)
		return t
	}
	return at("created_at"), at("updated_at")
}

// parts reads the elements of a list.
func parts[T any](m *members, name string, parse func(any) (T, error)) []T {
	list, _ := read[[]any](m, name, "an array")
	if list == nil {
		return nil
	}
	all := make([]T, len(list))
	for i, element := range list {
		var err error
		if all[i], err = parse(element); err != nil && m.err == nil {
			m.err = err
		}
	}
	return all
}

// ReadMetadef reads JSON as the parsers want it.
func ReadMetadef(data []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, fmt.Errorf("parse definitions: %w", err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, fmt.Errorf("parse definitions: there is more after the document")
	}
	return value, nil
}
