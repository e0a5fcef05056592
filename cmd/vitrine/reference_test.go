package main

import (
	"bytes"
	"flag"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
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
	root := newRoot(&app{})
	root.DisableAutoGenTag = true
	if err := writeReference(&b, root); err != nil {
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

// writeReference writes a command and those below it, with links within the page.
func writeReference(w io.Writer, cmd *cobra.Command) error {
	link := func(name string) string {
		return "#" + strings.ReplaceAll(strings.TrimSuffix(name, ".md"), "_", "-")
	}
	var page bytes.Buffer
	if err := doc.GenMarkdownCustom(cmd, &page, link); err != nil {
		return err
	}
	text := strings.ReplaceAll(page.String(), "### Options inherited from parent commands", "### Global options")
	text = strings.ReplaceAll(text, "### SEE ALSO", "### See also")
	if _, err := io.WriteString(w, text); err != nil {
		return err
	}
	for _, sub := range cmd.Commands() {
		if !sub.IsAvailableCommand() || sub.Name() == "help" {
			continue
		}
		if err := writeReference(w, sub); err != nil {
			return err
		}
	}
	return nil
}
