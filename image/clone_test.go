package image

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestParseClone(t *testing.T) {
	for text, want := range map[string]NewClone{
		`{"pool":"vms","name":"web-1"}`:                                 {Pool: "vms", Name: "web-1"},
		`{"pool":"v.m_s","name":"1","store":"ceph","size":21474836480}`: {Pool: "v.m_s", Name: "1", Store: "ceph", Size: 20 << 30},
		`{"pool":"vms"}`:                                           {},
		`{"name":"web"}`:                                           {},
		`{"pool":"vms","name":""}`:                                 {},
		`{"pool":"vms","name":"a/b"}`:                              {},
		`{"pool":"vms","name":"a@b"}`:                              {},
		`{"pool":"vms","name":"a:b"}`:                              {},
		`{"pool":"vms","name":"a~b"}`:                              {},
		`{"pool":"vms","name":"-a"}`:                               {},
		`{"pool":"vms","name":"a\u0000"}`:                          {},
		`{"pool":"v/ms","name":"web"}`:                             {},
		`{"pool":"vms","name":1}`:                                  {},
		`{"pool":"vms","name":"a","size":0}`:                       {},
		`{"pool":"vms","name":"a","size":-1}`:                      {},
		`{"pool":"vms","name":"a","size":1.5}`:                     {},
		`{"pool":"vms","name":"a","size":1e99}`:                    {},
		`{"pool":"vms","name":"a","size":"1"}`:                     {},
		`{"pool":"vms","name":"a","force":true}`:                   {},
		`["vms"]`:                                                  {},
		`{"pool":"vms","name":"` + strings.Repeat("a", 129) + `"}`: {},
	} {
		dec := json.NewDecoder(strings.NewReader(text))
		dec.UseNumber()
		var value any
		if err := dec.Decode(&value); err != nil {
			t.Fatal(err)
		}
		got, err := ParseClone(value)
		if want == (NewClone{}) {
			if !errors.Is(err, ErrInvalid) {
				t.Errorf("ParseClone(%s) = %+v, %v, want %v", text, got, err, ErrInvalid)
			}
		} else if err != nil || got != want {
			t.Errorf("ParseClone(%s) = %+v, %v", text, got, err)
		}
	}
}
