package daemon_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/daemon"
	"github.com/vitrine-image/vitrine/internal/testdaemon"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// TestDoctorAsksTheMount looks at a mount that is served, and at what is left of it.
func TestDoctorAsksTheMount(t *testing.T) {
	testservers.Require(t, "fuse")
	d := testdaemon.Start(t, testdaemon.Config{Dir: t.TempDir(), Mount: true})
	config := filepath.Join(t.TempDir(), "vitrined.toml")
	if err := os.WriteFile(config, fmt.Appendf(nil, "data = %q\n[mount]\npath = %q\n", d.Data, d.Mount), 0o600); err != nil {
		t.Fatal(err)
	}
	examine := func() (string, error) {
		var out bytes.Buffer
		cmd := daemon.Command()
		cmd.SetOut(&out)
		cmd.SetErr(t.Output())
		cmd.SetArgs([]string{"doctor", "--config", config})
		err := cmd.ExecuteContext(t.Context())
		return out.String(), err
	}
	if text, err := examine(); err != nil || !strings.Contains(text, "ok    mount: "+d.Mount+" answers\n") || !strings.Contains(text, "ok    database: ") {
		t.Errorf("while the daemon runs: %v\n%s", err, text)
	}
	if err := d.Stop(); err != nil {
		t.Fatal(err)
	}
	if text, err := examine(); err == nil || !strings.Contains(text, "fail  mount: nothing is mounted at "+d.Mount) {
		t.Errorf("after it has ended: %v\n%s", err, text)
	}
}
