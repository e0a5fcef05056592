package main

import (
	"bytes"
	"flag"
	"os"
	"testing"

	"github.com/vitrine-image/vitrine/internal/commanddoc"
)

var update = flag.Bool("update", false, "write the golden files anew")

const referencePath = "../../docs/reference/cli.md"

const referenceHead = `# The command line: vitrine

Written from the definitions of the commands by ` + "`go test ./cmd/vitrine -run TestReference -update`" + `; do not edit.

`

// TestReference compares the reference in docs with the commands.
func TestReference(t *testing.T) {
	var b bytes.Buffer
	b.WriteString(referenceHead)
	if err := commanddoc.Markdown(&b, newRoot(&app{})); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(referencePath, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(referencePath)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, b.Bytes()) {
		t.Errorf("%s is not what the commands say; write it anew: go test ./cmd/vitrine -run TestReference -update", referencePath)
	}
}
