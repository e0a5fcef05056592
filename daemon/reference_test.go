package daemon

import (
	"bytes"
	"flag"
	"os"
	"testing"

	"github.com/vitrine-image/vitrine/internal/commanddoc"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestReference compares the pages in docs/reference with the commands and the configuration.
func TestReference(t *testing.T) {
	const written = " by `go test ./daemon -run TestReference -update`; do not edit.\n\n"
	var commands, configuration bytes.Buffer
	commands.WriteString("# The daemon: vitrined\n\nWritten from the definitions of the commands" + written)
	if err := commanddoc.Markdown(&commands, Command()); err != nil {
		t.Fatal(err)
	}
	configuration.WriteString("# The configuration: vitrined.toml\n\nWritten from the sample that `vitrined sample-config` prints" + written +
		"```toml\n" + Sample + "```\n")
	for path, want := range map[string][]byte{
		"../docs/reference/vitrined.md":      commands.Bytes(),
		"../docs/reference/configuration.md": configuration.Bytes(),
	} {
		if *update {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if have, err := os.ReadFile(path); err != nil || !bytes.Equal(have, want) {
			t.Errorf("%s is not what the program says (%v); write it anew: go test ./daemon -run TestReference -update", path, err)
		}
	}
}
