package policy_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/policy"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestReference compares the page in docs/reference with what the program says.
func TestReference(t *testing.T) {
	const path = "../docs/reference/policy.md"
	want := policy.Reference()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(path); err != nil || string(have) != want {
		t.Errorf("%s is not what the program says (%v); write it anew: go test ./policy -run TestReference -update", path, err)
	}
}

// TestSample reads the sample as it is, where every rule is a comment, and with all of them in force.
func TestSample(t *testing.T) {
	var rules strings.Builder
	for line := range strings.Lines(policy.Sample()) {
		if strings.HasPrefix(line, `#"`) {
			rules.WriteString(line[1:])
		}
	}
	if n := strings.Count(rules.String(), "\n"); n != len(policy.Definitions()) {
		t.Fatalf("%d rules in the sample, want %d", n, len(policy.Definitions()))
	}
	for _, text := range []string{policy.Sample(), rules.String()} {
		built, written := open(t, policy.Config{}), open(t, policy.Config{File: write(t, text)})
		for _, c := range callers {
			if c.Caller.Anonymous { // an operator's rule decides alone, even if it is the built-in one
				continue
			}
			for _, d := range policy.Definitions() {
				for _, target := range []policy.Target{imageFor(c.Caller), ownProject(c.Caller), namespace(image.Public)(c.Caller)} {
					got, want := written.Allows(t.Context(), c.Caller, d.Name, target), built.Allows(t.Context(), c.Caller, d.Name, target)
					if got != want {
						t.Errorf("%s: %c: %t, want %t", d.Name, c.letter, got, want)
					}
				}
			}
		}
	}
}
