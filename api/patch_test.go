package api

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/image"
)

func TestParsePatch(t *testing.T) {
	number := json.Number("5")
	for _, tt := range []struct {
		name, body string
		old        bool
		want       []image.Edit
	}{
		{"all operations", `[{"op":"add","path":"/a","value":"x"},{"op":"replace","path":"/min_ram","value":5},{"op":"remove","path":"/b","more":1}]`, false,
			[]image.Edit{{Op: "add", Name: "a", Value: "x"}, {Op: "replace", Name: "min_ram", Value: number}, {Op: "remove", Name: "b"}}},
		{"null", `[{"op":"replace","path":"/name","value":null}]`, false, []image.Edit{{Op: "replace", Name: "name"}}},
		{"escapes", `[{"op":"add","path":"/~01~1~0","value":"x"}]`, false, []image.Edit{{Op: "add", Name: "~1/~", Value: "x"}}},
		{"spaces", `[{"op":"add","path":"/ a ","value":"x"}]`, false, []image.Edit{{Op: "add", Name: " a ", Value: "x"}}},
		{"a location", `[{"op":"remove","path":"/locations/0"}]`, false, []image.Edit{{Op: "remove", Name: "locations", Item: "0"}}},
		{"all locations", `[{"op":"replace","path":"/locations","value":[]}]`, false, []image.Edit{{Op: "replace", Name: "locations", Value: []any{}}}},
		{"old", `[{"add":"/a","value":"x"},{"remove":"/b"}]`, true,
			[]image.Edit{{Op: "add", Name: "a", Value: "x", Strict: true}, {Op: "remove", Name: "b", Strict: true}}},
		{"nothing", `[]`, false, []image.Edit{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			value, err := parseJSON([]byte(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := parsePatch(value, tt.old); err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("parsePatch = %+v, %v, want %+v", got, err, tt.want)
			}
		})
	}
}

func FuzzPatch(f *testing.F) {
	for _, s := range []string{`[]`, `[{"op":"add","path":"/a~1","value":[{"b":1e5}]}]`, `[{"replace":"/name","value":null}]`, `{"a":1`,
		"\xef\xbb\xbf[]", `["\ud800"]`, strings.Repeat("[", 40), `[{"op":"remove","path":"/locations/-"}]`} {
		f.Add([]byte(s), true)
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, body []byte, old bool) {
		value, err := parseJSON(body)
		if (err == nil) && !json.Valid(body) {
			t.Fatalf("%q is no JSON", body)
		}
		var edits []image.Edit
		if err == nil {
			edits, err = parsePatch(value, old)
		}
		if err != nil && statusOf(err) != http.StatusBadRequest {
			t.Errorf("%q: %v", body, err)
		}
		for _, e := range edits {
			if err == nil && (e.Name == "" || e.Strict != old) {
				t.Errorf("%q gives %+v", body, e)
			}
		}
		(&image.Image{Status: image.Queued}).Apply(edits) // must not panic
	})
}

// FuzzCreation checks that what parseJSON lets through is what encoding/json reads.
func FuzzCreation(f *testing.F) {
	for _, s := range []string{`{}`, `{"id":"` + anID + `","name":"x"}`, `{"a":{"b":[null,true,1.5]}}`, `{"a":1,"a":2}`, `{"\u0061":1,"a":2}`, "{\"\xc3\x28\":1}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		value, err := parseJSON(body)
		if err != nil {
			return
		}
		var want any
		dec := json.NewDecoder(strings.NewReader(string(body)))
		dec.UseNumber()
		if err := dec.Decode(&want); err != nil || !reflect.DeepEqual(value, want) {
			t.Fatalf("%q = %v, want %v, %v", body, value, want, err)
		}
		members, ok := value.(map[string]any)
		if !ok {
			return
		}
		if id, edits, err := image.Creation(members); err == nil {
			if _, chosen := members["id"]; chosen != (len(id) == 36) || chosen && len(edits) != len(members)-1 || !chosen && len(edits) != len(members) {
				t.Errorf("%q creates %q with %+v", body, id, edits)
			}
		}
	})
}
