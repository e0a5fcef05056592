package policy

import (
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/image"
)

func TestSyntaxErrors(t *testing.T) {
	for rule, want := range map[string]string{
		"  ":                            "it ends where a check is expected",
		"role:a role:b":                 `and, or is missing before "role:b"`,
		"role:a or":                     "it ends where",
		"not":                           "it ends where",
		"and role:a":                    `a check is expected before "and"`,
		"role:a and or role:b":          `before "or"`,
		"(role:a":                       "no closing one",
		"role:a)":                       "no opening one",
		"()":                            `before ")"`,
		"admin":                         `"admin" is no check`,
		"'text'":                        "is a text where a check is expected",
		"'a':'b'":                       "is a text where a check is expected",
		"role:%s":                       "a percent sign",
		"role:%(x":                      "a percent sign",
		"role:%(x)d":                    "a percent sign",
		"role:%(a(b)c)s":                "a percent sign",
		"role:100%":                     "a percent sign",
		"http:x":                        "no URL of a server",
		"http://":                       "no URL of a server",
		"https:///path":                 "no URL of a server",
		"http://:80/":                   "no URL of a server",
		"http://h\\@x/":                 "no URL of a server",
		"http://%(name)s/":              "no URL of a server",
		"http://h%(name)s/":             "no field may be part",
		"http://user@h:80%(name)s":      "no field may be part",
		strings.Repeat("x", 1<<20):      "at most 65536",
		strings.Repeat("(", 60_000):     "more than 100 levels",
		strings.Repeat("not ", 16_000):  "more than 100 levels",
		strings.Repeat("( ", 100) + "@": "more than 100 levels",
	} {
		if _, err := parse(rule); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", shorten(rule), err, want)
		}
	}
	deep := strings.Repeat("(", 99) + "@" + strings.Repeat(")", 99)
	if _, err := parse(deep); err != nil {
		t.Errorf("99 parentheses: %v", err)
	}
	if _, err := parse(strings.Repeat("(@) and ", 8000) + "@"); err != nil {
		t.Errorf("parentheses beside each other: %v", err)
	}
}

// eval evaluates a rule that refers to no other.
func eval(t *testing.T, rule string, caller image.Caller, target Target) bool {
	t.Helper()
	root, err := parse(rule)
	if err != nil {
		t.Fatalf("%q: %v", rule, err)
	}
	return root.allows(&question{ctx: t.Context(), caller: caller, target: target})
}

// TestNothingEqualsNothing keeps a caller of no project from what nobody owns; oslo.policy compares None with None.
func TestNothingEqualsNothing(t *testing.T) {
	nobodys := ForImage(&image.Image{Properties: map[string]string{"project_id": "p", "owner": "p", "member_id": "p", "empty": ""}}, "")
	for _, caller := range []image.Caller{{}, {ProjectID: "None", UserID: "None"}, {ProjectID: "p"}} {
		for _, rule := range []string{
			"project_id:%(project_id)s", "project_id:%(owner)s", "project_id:%(member_id)s", "project_id:%(empty)s",
			"user_id:%(owner)s", "user_id:", "domain_id:", "role:%(owner)s", "role:",
		} {
			if eval(t, rule, caller, nobodys) {
				t.Errorf("%s allows %+v", rule, caller)
			}
		}
	}
	for _, rule := range []string{"None:%(owner)s", "None:%(member)s", "None:%(name)s", "False:%(protected)s", "'':%(empty)s"} {
		if !eval(t, rule, image.Caller{}, nobodys) {
			t.Errorf("%s does not hold", rule)
		}
	}
}

// TestUnknownIsDenied within any number of negations.
func TestUnknownIsDenied(t *testing.T) {
	for _, rule := range []string{"foo:bar", "not foo:bar", "not not foo:bar", "not (@ and not (foo:bar or !))", "not (foo:bar or role:x)", "'a:b", "a-b:c", ":x", "01:1", "'a\\x41':x"} {
		if eval(t, rule, image.Caller{}, Target{}) {
			t.Errorf("%s allows", rule)
		}
	}
	if !eval(t, "foo:bar or role:x", image.Caller{Roles: []string{"x"}}, Target{}) {
		t.Error("an unknown check takes away what another one gives")
	}
}

func FuzzParse(f *testing.F) {
	for _, d := range Definitions() {
		f.Add(d.Expression)
	}
	for _, rule := range []string{
		"not (role:a or not role:b) and @", "http://h/%(name)s", "https://h:1/?%%%(x)s", "'a b':c", "((", "))", "rule:x", "is_admin:True",
		"\"a\":%(name)s\u00a0and\x1c!", "1:%(min_disk)s or None:%(size)s", "project_id:%(%%)s",
	} {
		f.Add(rule)
	}
	target := ForImage(&image.Image{Properties: map[string]string{"x": "%(name)s"}}, "m")
	caller := image.Caller{ProjectID: "p", Roles: []string{"a"}}
	f.Fuzz(func(t *testing.T, text string) {
		root, err := parse(text)
		if err != nil {
			if len(err.Error()) > 600 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		rules, err := combine([]*rule{{name: "fuzz", root: root}})
		if err != nil {
			return
		}
		asks := false
		root.each(func(n *node) { asks = asks || n.op == opHTTP })
		if asks { // other tests have servers
			return
		}
		ask := func(n *node) bool {
			return n.allows(&question{ctx: t.Context(), caller: caller, target: target})
		}
		got := ask(rules["fuzz"].root)
		// What is within other parentheses means the same.
		again, err := parse("( " + text + " )")
		if text == "" || err != nil && strings.Contains(err.Error(), "it is ") { // the limits
			return
		}
		if err != nil {
			t.Fatalf("%q in parentheses: %v", text, err)
		}
		if _, err := combine([]*rule{{name: "fuzz", root: again}}); err == nil && ask(again) != got {
			t.Errorf("%q means something else in parentheses", text)
		}
	})
}
