package wire

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadef"
)

func parseNamespace(t *testing.T, p MetadefParser, text string) (metadef.Document, error) {
	t.Helper()
	value, err := ReadMetadef([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p.Namespace(value)
}

// TestMetadefParser reads what clients of other servers send, and what newer servers may show.
func TestMetadefParser(t *testing.T) {
	for _, tt := range []struct {
		text            string
		strict, lenient error
	}{
		{`{"namespace":"n"}`, nil, nil},
		{`{"namespace":"n","owner":null,"protected":null,"tags":null,"objects":null,"properties":null,"visibility":null}`, nil, nil},
		{`{"namespace":"n","self":"/n","schema":"s","created_at":"yesterday","updated_at":1}`, nil, nil},
		{`{"namespace":"n","objects":[{"name":"o","self":"/o","schema":"s","created_at":"x"}],"tags":[{"name":"t","created_at":"x"}]}`, nil, nil},
		{`{"namespace":"n","properties":{"p":{"name":"p","title":"t","type":"string","default":null}}}`, nil, nil},
		{`{"namespace":"n","new":1}`, image.ErrInvalid, nil},
		{`{"namespace":"n","objects":[{"name":"o","new":1}]}`, image.ErrInvalid, nil},
		{`{"namespace":"n","protected":1}`, image.ErrInvalid, image.ErrInvalid},
		{`{"namespace":"n","tags":[{}]}`, image.ErrInvalid, image.ErrInvalid},
		{`{"Namespace":"n"}`, image.ErrInvalid, image.ErrInvalid},
		{`{}`, image.ErrInvalid, image.ErrInvalid},
		{`[]`, image.ErrInvalid, image.ErrInvalid},
		{`null`, image.ErrInvalid, image.ErrInvalid},
	} {
		if _, err := parseNamespace(t, MetadefParser{}, tt.text); !errors.Is(err, tt.strict) {
			t.Errorf("%s: %v, want %v", tt.text, err, tt.strict)
		}
		if _, err := parseNamespace(t, MetadefParser{Lenient: true}, tt.text); !errors.Is(err, tt.lenient) {
			t.Errorf("%s leniently: %v, want %v", tt.text, err, tt.lenient)
		}
	}
	d, err := parseNamespace(t, MetadefParser{}, `{"namespace":"n","properties":{"p":{"name":"x","title":"t","type":"string","default":null}}}`)
	if want := (metadef.Schema{"title": "t", "type": "string"}); err != nil || !reflect.DeepEqual(d.Properties[0].Schema, want) {
		t.Errorf("the property is %v, %v, want %v", d.Properties, err, want)
	}
	for _, text := range []string{``, `{`, `{} {}`, `{"namespace":"n"} x`} {
		if v, err := ReadMetadef([]byte(text)); err == nil {
			t.Errorf("%q is read as %v", text, v)
		}
	}
}

// FuzzNamespace checks that what is accepted is written as something that reads the same.
func FuzzNamespace(f *testing.F) {
	for _, text := range []string{`{"namespace":"n"}`, `[]`, `{"namespace":"n","visibility":"public","protected":true,"owner":"o","display_name":"d",
		"description":"e","resource_type_associations":[{"name":"r","prefix":"p","properties_target":"t"}],"properties":{"p":{"title":"t",
		"type":"array","items":{"type":"string","enum":["a"]},"default":[null,1e400],"minimum":-1.50}},"objects":[{"name":"o","description":"",
		"required":["q"],"properties":{"q":{"title":"t","type":"string"}}}],"tags":[{"name":"t","created_at":"2026-01-02T03:04:05Z"}]}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		value, err := ReadMetadef(data)
		if err != nil {
			return
		}
		d, err := MetadefParser{}.Namespace(value)
		if err != nil {
			if !errors.Is(err, image.ErrInvalid) {
				t.Errorf("%s: %v is no refusal", data, err)
			}
			return
		}
		if d.Check() != nil {
			return
		}
		text := Append(nil, NamespaceOf(d))
		again, err := parseNamespace(t, MetadefParser{}, string(text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if second := Append(nil, NamespaceOf(again)); string(second) != string(text) {
			t.Errorf("%s became\n%s", text, second)
		}
		for _, e := range d.Entries() {
			if !json.Valid(e.Body) {
				t.Errorf("entry %q is kept as %s", e.Name, e.Body)
			}
		}
	})
}
