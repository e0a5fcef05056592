package main

import (
	"bytes"
	"flag"
	"os"
	"testing"

	"github.com/vitrine-image/vitrine/internal/commanddoc"
)

var update = flag.Bool("update", false, "write the golden files anew")

const (
	referencePath = "../../docs/reference/vitrine-mounter.md"
	referenceHead = "# The mounter: vitrine-mounter\n\nWritten from the definition of the command by " +
		"`go test ./cmd/vitrine-mounter -run TestReference -update`; do not edit.\n\n"
)

// TestReference compares the page in docs with the command.
func TestReference(t *testing.T) {
	b := bytes.NewBufferString(referenceHead)
	if err := commanddoc.Markdown(b, newCommand()); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(referencePath, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(referencePath); err != nil || !bytes.Equal(have, b.Bytes()) {
		t.Errorf("%s is not what the command says (%v); write it anew: go test ./cmd/vitrine-mounter -run TestReference -update", referencePath, err)
	}
}
