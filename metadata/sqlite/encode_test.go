package sqlite

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/vitrine-image/vitrine/image"
)

// FuzzEncode stores text of all kinds, and has encoding/json read what was stored.
func FuzzEncode(f *testing.F) {
	f.Add("", "a")
	f.Add(`"\`, "\x00\n\x7f\u2028")
	f.Add("{", "},{")
	f.Fuzz(func(t *testing.T, a, b string) {
		if !utf8.ValidString(a) || !utf8.ValidString(b) {
			return
		}
		list, m := []string{a, b}, map[string]string{a: b, b: a, "k": a}
		locations := []image.Location{{Store: a, URL: b, Metadata: m}, {Store: b, URL: a}}
		var strings []string
		if err := json.Unmarshal([]byte(encodeStrings(list)), &strings); err != nil || !slices.Equal(strings, list) {
			t.Errorf("%q is stored as %s: %v", list, encodeStrings(list), err)
		}
		if got, err := decodeStrings(encodeStrings(list)); err != nil || !slices.Equal(got, list) {
			t.Errorf("%q comes back as %q, %v", list, got, err)
		}
		if got, err := decodeMap(encodeMap(m)); err != nil || !maps.Equal(got, m) {
			t.Errorf("%q comes back as %q, %v", m, got, err)
		}
		for _, want := range [][]image.Location{locations, locations[:1], locations[1:]} {
			if got, err := decodeLocations(encodeLocations(want)); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%q comes back as %q, %v", want, got, err)
			}
		}
	})
}

// FuzzDecode reads JSON that others have written into the database, such as an operator.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{`{"a":"b"}`, `{"a":"b","a":"c"}`, `["a","b"]`, ` [ "a" ] `, `["\u0041"]`, `[1]`, `{"a":1}`, `[]`, `{}`, `{"a","b"}`, `["a":"b"]`,
		`[{"store":"a","url":"b"}]`, `[{"url":"b","store":"a"}]`, `null`, `[null]`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) || !json.Valid([]byte(s)) {
			decodeStrings(s) // must not panic
			decodeMap(s)
			decodeLocations(s)
			return
		}
		var strings []string
		want := json.Unmarshal([]byte(s), &strings)
		if got, err := decodeStrings(s); (err == nil) != (want == nil) || err == nil && !slices.Equal(got, strings) {
			t.Errorf("decodeStrings(%s) = %q, %v, want %q, %v", s, got, err, strings, want)
		}
		var m map[string]string
		want = json.Unmarshal([]byte(s), &m)
		if got, err := decodeMap(s); (err == nil) != (want == nil) || err == nil && !maps.Equal(got, m) {
			t.Errorf("decodeMap(%s) = %q, %v, want %q, %v", s, got, err, m, want)
		}
		var stored []storedLocation
		want = json.Unmarshal([]byte(s), &stored)
		if got, err := decodeLocations(s); (err == nil) != (want == nil) || err == nil && len(got) != len(stored) {
			t.Errorf("decodeLocations(%s) = %q, %v, want %q, %v", s, got, err, stored, want)
		}
	})
}
