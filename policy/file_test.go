package policy

import (
	"log/slog"
	"testing"
)

func FuzzPolicyFile(f *testing.F) {
	for _, text := range []string{
		Sample(), "a: rule:b\nb: not rule:a\n", "{\"a\": [[\"role:x\", \"!\"], [], \"@\"]}", "x: &a ''\ny: *a\n", "a: !\n", "<<: {a: b}\n", "---\n...\n---\n",
		"a: &a [*a]\n", "? [a]\n: b\n", "a: |\n  role:b\n  or @\n", "\xff\xfe", "a: [[[[",
	} {
		f.Add([]byte(text))
	}
	log := slog.New(slog.DiscardHandler)
	f.Fuzz(func(t *testing.T, data []byte) {
		overrides, err := parseFile(data)
		if err != nil {
			return
		}
		rules, err := combine(overrides)
		if err != nil {
			return
		}
		warn(log, overrides, rules)
		for name, r := range rules {
			if r.root == nil || r.name != name || r.cost < 1 || r.cost > maxCost+1 {
				t.Errorf("%q is linked badly: %+v", name, r)
			}
		}
	})
}
