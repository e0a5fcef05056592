package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestHowtos reads the configuration in every page of docs/howto, and in those about Ceph and hypervisors.
func TestHowtos(t *testing.T) {
	pages, err := filepath.Glob("../docs/howto/*.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := 0
	for _, page := range append(pages, "../docs/ceph.md", "../docs/hypervisors.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for i, block := range strings.Split(string(text), "```") {
			example, isTOML := strings.CutPrefix(block, "toml\n")
			if i%2 == 0 || !isTOML || strings.HasPrefix(example, "# /etc/vitrine/users.toml") {
				continue
			}
			examples++
			if _, err := Load(write(t, t.TempDir(), "vitrined.toml", example)); err != nil {
				t.Errorf("%s: %v in\n%s", page, err, example)
			}
		}
	}
	if examples < 10 {
		t.Errorf("%d examples, where are the others?", examples)
	}
}
