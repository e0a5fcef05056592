package policy

import (
	"testing"

	"github.com/vitrine-image/vitrine/image"
)

func FuzzProtections(f *testing.F) {
	for _, text := range []string{
		"[^x_.*]\ncreate=admin, member\nread=@\nupdate=!\ndelete=\n", "[DEFAULT]\ncreate:a\n b,\n[x[y]] ;c\nread=@", "[a{2}]\n=", "[(?i)A|b]\ncreate=a\nread=b\nupdate=c\ndelete=d\n\n",
	} {
		f.Add([]byte(text), "x_y")
	}
	enforcer, err := Open(Config{})
	if err != nil {
		f.Fatal(err)
	}
	caller := image.Caller{ProjectID: "p", Roles: []string{"admin"}}
	f.Fuzz(func(t *testing.T, data []byte, name string) {
		for _, format := range []Format{Roles, Policies} {
			table, err := parseProtections(data, format)
			if err != nil {
				continue
			}
			if examine(enforcer.log, table, enforcer) != nil {
				continue
			}
			p := &Protections{table: func() []protection { return table }, enforcer: enforcer}
			r := p.For(caller)
			readable := r.Readable(t.Context(), map[string]string{name: ""})
			for _, action := range actions {
				if first, again := r.May(t.Context(), action, name), p.For(caller).May(t.Context(), action, name); first != again {
					t.Errorf("%s %q: %t, then %t", action, name, first, again)
				}
			}
			if _, ok := readable[name]; ok != r.May(t.Context(), Read, name) {
				t.Errorf("%q is readable: %t", name, ok)
			}
		}
	})
}
