package policy

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/image"
)

// osloFile holds rules, random ones and some by hand, with what oslo.policy 4.0 says of them: a character for each of
// osloCallers, 1 for allowed, 0 for denied, e for an exception.
const osloFile = "testdata/oslo.json"

func osloCallers() []image.Caller {
	return []image.Caller{
		{UserID: "u1", UserDomainID: "default", ProjectID: "p1", ProjectDomainID: "default", Roles: []string{"Member", "reader"}},
		{UserID: "u2", UserDomainID: "d2", ProjectID: "p2", ProjectDomainID: "d2", Roles: []string{"admin"}, ServiceRoles: []string{"service"}},
		{UserID: "x", UserDomainID: "x", ProjectID: "x", ProjectDomainID: "x", DomainID: "dom"},
	}
}

func osloTarget() Target {
	name, size := "an image", int64(7)
	return ForImage(&image.Image{ID: "i1", Name: &name, Owner: "p1", Status: image.Active, Visibility: image.Shared, Protected: true,
		DiskFormat: "raw", ContainerFormat: "bare", MinDisk: 1, Size: &size,
		Properties: map[string]string{"os_distro": "debian", "who": "u2", "part": "an"}}, "p2")
}

// refused matches what oslo.policy takes for a check that is never true, or fails on when it gets there, and what is an
// error here: words without a colon, rules that do not exist, percent signs that mean nothing.
var refused = regexp.MustCompile(`^([^:]+|rule:(nowhere)?|.*%(s|\(a\)d|\(x)?)$`)

func hasRefused(rule string) bool {
	return slices.ContainsFunc(strings.FieldsFunc(rule, isSpace), func(word string) bool {
		word = strings.Trim(word, "()")
		return !strings.Contains(" and or not ", " "+strings.ToLower(word)+" ") && refused.MatchString(word)
	})
}

// TestAsOsloPolicy compares the language with oslo.policy's. Kinds of checks that nobody knows are denied here even where
// they are negated.
func TestAsOsloPolicy(t *testing.T) {
	data, err := os.ReadFile(osloFile)
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct{ Rule, Want string }
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) < 500 {
		t.Fatalf("%d cases, want more", len(cases))
	}
	target := osloTarget()
	read := 0
	for _, tt := range cases {
		rules, err := combine([]*rule{})
		if err != nil {
			t.Fatal(err)
		}
		root, err := parse(tt.Rule)
		if err == nil {
			rules["tested"] = &rule{name: "tested", root: root}
			rules["other"] = &rule{name: "other", root: &node{op: opRole, value: template{{text: "reader"}}}}
			err = rules.link()
		}
		if err != nil {
			if strings.Contains(tt.Want, "1") && !hasRefused(tt.Rule) {
				t.Errorf("%q is refused (%v), and allowed by oslo.policy", tt.Rule, err)
			}
			continue
		}
		read++
		unknown := false
		root.each(func(n *node) { unknown = unknown || n.op == opUnknown })
		for i, caller := range osloCallers() {
			got := root.allows(&question{ctx: t.Context(), caller: caller, target: target})
			want := tt.Want[i] == '1'
			if got != want && !unknown {
				t.Errorf("%q: caller %d: %t, oslo.policy says %c", tt.Rule, i, got, tt.Want[i])
			}
		}
	}
	if read < len(cases)/3 {
		t.Errorf("only %d of %d cases are rules", read, len(cases))
	}
}
