package metadef

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// A Kind says what an entry of a namespace is.
type Kind int

// The kinds of entries. The numbers are stored.
const (
	KindProperty Kind = 1
	KindObject   Kind = 2
	KindTag      Kind = 3
)

// String returns the kind as messages name it.
func (k Kind) String() string {
	return map[Kind]string{KindProperty: "property", KindObject: "object", KindTag: "tag"}[k]
}

// An Entry is a property, an object or a tag as databases keep it.
type Entry struct {
	Kind      Kind
	Name      string
	Body      json.RawMessage // what there is beside the name: an object
	CreatedAt time.Time
	UpdatedAt time.Time
}

type objectBody struct {
	Description *string           `json:"description,omitempty"`
	Required    []string          `json:"required,omitempty"`
	Properties  map[string]Schema `json:"properties,omitempty"`
}

// Entry returns the property for the database, as written now.
func (p *Property) Entry(now time.Time) Entry {
	return Entry{KindProperty, p.Name, marshal(p.Schema), now, now}
}

// Entry returns the object for the database.
func (o *Object) Entry() Entry {
	return Entry{KindObject, o.Name, marshal(objectBody{o.Description, o.Required, o.Properties}), o.CreatedAt, o.UpdatedAt}
}

// Entry returns the tag for the database.
func (t *Tag) Entry() Entry {
	return Entry{KindTag, t.Name, json.RawMessage("{}"), t.CreatedAt, t.UpdatedAt}
}

// Property returns what an entry of that kind says.
func (e *Entry) Property() (Property, error) {
	p := Property{Name: e.Name}
	return p, e.decode(&p.Schema)
}

// Object returns what an entry of that kind says.
func (e *Entry) Object() (Object, error) {
	var body objectBody
	err := e.decode(&body)
	return Object{e.Name, body.Description, body.Required, body.Properties, e.CreatedAt, e.UpdatedAt}, err
}

// Tag returns what an entry of that kind says.
func (e *Entry) Tag() Tag { return Tag{e.Name, e.CreatedAt, e.UpdatedAt} }

func (e *Entry) decode(body any) error {
	decoder := json.NewDecoder(bytes.NewReader(e.Body))
	decoder.UseNumber()
	if err := decoder.Decode(body); err != nil {
		return fmt.Errorf("read the %s %q: %w", e.Kind, e.Name, err)
	}
	return nil
}

// marshal encodes what came out of JSON, or is as simple.
func marshal(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
