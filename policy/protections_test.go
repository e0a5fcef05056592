package policy_test

import (
	"bytes"
	"errors"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/watchfile"
	"github.com/vitrine-image/vitrine/policy"
)

func protect(t *testing.T, cfg policy.ProtectionsConfig) *policy.Protections {
	t.Helper()
	p, err := policy.OpenProtections(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// rights returns what the caller may do with a property, such as "cr-d".
func rights(t *testing.T, p *policy.Protections, c image.Caller, property string) string {
	t.Helper()
	r := p.For(c)
	text := ""
	for _, action := range []policy.Action{policy.Create, policy.Read, policy.Update, policy.Delete} {
		err := r.Check(t.Context(), action, property)
		if again := r.May(t.Context(), action, property); again != (err == nil) || err != nil && !errors.Is(err, image.ErrForbidden) {
			t.Errorf("May = %t, Check = %v", again, err)
		}
		if err == nil {
			text += string(action)[:1]
		} else {
			text += "-"
		}
	}
	return text
}

const rolesFile = "\ufeff; ours\r\n" + `
[DEFAULT]
delete = admin

[^x_none_.*]
create = !
read = !
update = !
delete = !

# first match wins
[^x_billing_[a-z]+$]   ; the last bracket ends it
Create = Admin, billing
read : admin,
       member,
  # in between

       billing
update = admin,billing,
delete=billing
[^x_]
create = @
read = @
update =
`

func TestProtectionsByRole(t *testing.T) {
	var log bytes.Buffer
	p := protect(t, policy.ProtectionsConfig{File: write(t, rolesFile), Logger: slog.New(slog.NewTextHandler(&log, nil))})
	admin := image.Caller{ProjectID: "p", Roles: []string{"ADMIN"}}
	member := image.Caller{ProjectID: "p", Roles: []string{"member"}}
	billing := image.Caller{ProjectID: "p", Roles: []string{"member"}, ServiceRoles: []string{"Billing"}}
	for _, tt := range []struct {
		property               string
		admin, member, billing string
	}{
		{"x_none_a", "----", "----", "----"},
		{"x_billing_code", "cru-", "-r--", "crud"},
		{"x_billing_code2", "cr-d", "cr--", "cr--"},
		{"x_other", "cr-d", "cr--", "cr--"},
		{"ax_other", "----", "----", "----"},
		{"os_glance_importing_to_stores", "crud", "crud", "crud"},
		{"x_os_glance", "cr-d", "cr--", "cr--"},
		{"my_os_glance", "----", "----", "----"},
	} {
		got := [3]string{rights(t, p, admin, tt.property), rights(t, p, member, tt.property), rights(t, p, billing, tt.property)}
		if want := [3]string{tt.admin, tt.member, tt.billing}; got != want {
			t.Errorf("%s: admin, member, billing = %v, want %v", tt.property, got, want)
		}
	}
	if text := log.String(); strings.Count(text, "names nobody") != 1 || !strings.Contains(text, "section=^x_ line=25 action=update") {
		t.Errorf("the log says %s", text)
	}

	properties := map[string]string{"x_none_1": "a", "x_billing_code": "b", "x_1": "c", "none": "d"}
	if got := p.For(member).Readable(t.Context(), properties); !maps.Equal(got, map[string]string{"x_billing_code": "b", "x_1": "c"}) {
		t.Errorf("readable: %v", got)
	}
	if len(properties) != 4 {
		t.Error("the properties themselves were changed")
	}
}

func TestProtectionsByPolicy(t *testing.T) {
	e := open(t, policy.Config{File: write(t, "billers: role:billing and user_id:u\n")})
	p := protect(t, policy.ProtectionsConfig{Format: policy.Policies, Enforcer: e, File: write(t,
		"[^x_]\ncreate = billers\nread = @\nupdate = context_is_admin\ndelete = !\n")})
	for _, tt := range []struct {
		caller image.Caller
		want   string
	}{
		{image.Caller{UserID: "u", ProjectID: "p", Roles: []string{"billing"}}, "cr--"},
		{image.Caller{UserID: "v", ProjectID: "p", Roles: []string{"billing", "admin"}}, "-ru-"},
		{image.Caller{Anonymous: true}, "-r--"},
	} {
		if got := rights(t, p, tt.caller, "x_y"); got != tt.want {
			t.Errorf("%+v: %s, want %s", tt.caller, got, tt.want)
		}
	}
}

func TestWithoutAFileNothingIsProtected(t *testing.T) {
	for _, format := range []policy.Format{"", policy.Roles, policy.Policies} {
		p := protect(t, policy.ProtectionsConfig{Format: format})
		if got := rights(t, p, image.Caller{}, "anything"); got != "crud" {
			t.Errorf("%q: %s", format, got)
		}
	}
}

func TestBadProtections(t *testing.T) {
	const rest = "\nread=@\nupdate=@\ndelete=@\n"
	for name, tt := range map[string]struct {
		text, want string
		format     policy.Format
	}{
		"empty":                 {"", "there is no section", ""},
		"only defaults":         {"[DEFAULT]\ncreate=@" + rest, "there is no section", ""},
		"a missing action":      {"[x]\ncreate=@\nread=@\nupdate=@\n", "line 1: section [x] says nothing of delete", ""},
		"an unknown action":     {"[x]\ncreate=@" + rest + "udpate=@\n", "line 6: udpate is none of", ""},
		"no key":                {"[x]\ncreate\n", "line 2: a section in brackets", ""},
		"an empty key":          {"[x]\n=@\n", "line 2: a value without a key", ""},
		"no section":            {"create=@\n", "line 1: a value is there before", ""},
		"an empty heading":      {"[]\n", "line 1: the heading", ""},
		"an open heading":       {"[x\n", "line 1: the heading", ""},
		"after the heading":     {"[x] y\n", "line 1: something follows", ""},
		"a section twice":       {"[x]\ncreate=@" + rest + "[x]\n", "line 6: section [x] is in line 1 already", ""},
		"an action twice":       {"[x]\ncreate=@\nCREATE=!\n", "line 3: create is in line 2 already", ""},
		"everybody and a role":  {"[x]\ncreate=@, admin" + rest, "line 2: @ and ! stand alone", ""},
		"nobody and a role":     {"[x]\ncreate=admin,!" + rest, "stand alone", ""},
		"everybody and nobody":  {"[x]\ncreate=@,!" + rest, "stand alone", ""},
		"a missing comma":       {"[x]\ncreate=admin\n  member" + rest, "line 2: a comma is missing", ""},
		"an indented section":   {"[x]\ncreate=admin\n  [y]" + rest, "line 2: a comma is missing", ""},
		"an indented key":       {"[x]\ncreate=admin,\n  read=@" + rest, "line 2: a line is indented by mistake", ""},
		"lookahead":             {"[^(?!x)]\ncreate=@" + rest, "without lookaround", ""},
		"a reference back":      {"[(a)\\1]\ncreate=@" + rest, "invalid escape sequence", ""},
		"a broken pattern":      {"[(a]\ncreate=@" + rest, "line 1: section [(a]: error parsing regexp", ""},
		"Python's {,n}":         {"[a{,3}]\ncreate=@" + rest, "write {0,n}", ""},
		"a class":               {"[[[:alpha:]]]\ncreate=@" + rest, "write out the characters", ""},
		"a class among others":  {"[^[^a[:^digit:]]]\ncreate=@" + rest, "write out the characters", ""},
		"a long pattern":        {"[" + strings.Repeat("a", 1001) + "]\ncreate=@" + rest, "at most 1000", ""},
		"a large file":          {strings.Repeat("#", 1<<20) + "\n", "at most 1048576", ""},
		"several rules":         {"[x]\ncreate=default,context_is_admin" + rest, "line 2: one rule is expected", policy.Policies},
		"a comma behind a rule": {"[x]\ncreate=default," + rest, "one rule is expected", policy.Policies},
		"no such rule":          {"[x]\ncreate=nobody_knows" + rest, "line 2: create = nobody_knows: there is no rule", policy.Policies},
		"a rule of rules":       {"[x]\ncreate=rule:default" + rest, "there is no rule of that name", policy.Policies},
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, tt.text)
			_, err := policy.OpenProtections(policy.ProtectionsConfig{File: path, Format: tt.format, Enforcer: open(t, policy.Config{})})
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("OpenProtections = %v, want the file and %q", err, tt.want)
			}
		})
	}
	for _, cfg := range []policy.ProtectionsConfig{{Format: "role"}, {Format: policy.Policies, File: write(t, rolesFile)}} {
		if _, err := policy.OpenProtections(cfg); err == nil {
			t.Errorf("%+v: no error", cfg)
		}
	}
}

func TestProtectionsReload(t *testing.T) {
	const text = "[x]\ncreate=admin\nread=@\nupdate=!\ndelete=!\n"
	path := write(t, text)
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		p := protect(t, policy.ProtectionsConfig{File: path, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		before := p.For(image.Caller{})
		want := func(text, want string) {
			t.Helper()
			rewrite(t, path, text)
			time.Sleep(watchfile.Interval)
			if got := rights(t, p, image.Caller{}, "x"); got != want {
				t.Errorf("%q: %s, want %s", text, got, want)
			}
		}
		want(text, "-r--")
		want(strings.Replace(text, "admin", "@", 1), "cr--")
		want("", "cr--")
		if !strings.Contains(log.String(), path) || !strings.Contains(log.String(), "there is no section") {
			t.Errorf("the log says %s", &log)
		}
		if before.May(t.Context(), policy.Create, "x") {
			t.Error("a request sees the file of two moments")
		}
	})
}

func BenchmarkReadable(b *testing.B) {
	p, err := policy.OpenProtections(policy.ProtectionsConfig{File: write(b, rolesFile)})
	if err != nil {
		b.Fatal(err)
	}
	properties := map[string]string{"x_1": "", "x_2": "", "x_billing_code": "", "x_other": ""}
	c := image.Caller{ProjectID: "p", Roles: []string{"member", "reader"}}
	r := p.For(c)
	for b.Loop() {
		r.Readable(b.Context(), properties)
	}
}
