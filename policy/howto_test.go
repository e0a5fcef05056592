package policy_test

import (
	"os"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/policy"
)

// TestHowto reads every example of the page.
func TestHowto(t *testing.T) {
	page, err := os.ReadFile("../docs/howto/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	e := open(t, policy.Config{File: write(t, "billing_writer: role:billing\n")})
	examples := 0
	for i, block := range strings.Split(string(page), "```") {
		language, text, _ := strings.Cut(block, "\n")
		if i%2 == 0 || language == "toml" { // toml is the daemon's configuration
			continue
		}
		examples++
		switch language {
		case "yaml":
			_, err = policy.Open(policy.Config{File: write(t, text)})
		case "ini":
			format := policy.Roles
			if strings.Contains(text, "billing_writer") {
				format = policy.Policies
			}
			_, err = policy.OpenProtections(policy.ProtectionsConfig{File: write(t, text), Format: format, Enforcer: e})
		default:
			t.Errorf("an example in %q", language)
		}
		if err != nil {
			t.Errorf("%v: %s", err, text)
		}
	}
	if examples != 5 {
		t.Errorf("%d examples, want 5", examples)
	}
}
