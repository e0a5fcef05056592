package daemon_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/internal/testdaemon"
)

// writtenBy returns how many bytes a daemon has written, to the kernel and elsewhere.
func writtenBy(t *testing.T, d *testdaemon.Daemon) (n int64) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", d.Pid()))
	if err == nil {
		_, after, _ := strings.Cut(string(text), "wchar: ")
		_, err = fmt.Sscan(after, &n)
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// sumOf hashes what dd reads of a file of the mount.
func sumOf(t *testing.T, path string, flags ...string) string {
	t.Helper()
	return startGuest(t, path, 0, flags...).end(t)
}

// A guest is a process that reads a file of the mount, and waits once in the middle of it.
type guest struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines *bufio.Scanner
}

// startGuest opens a file, and reads the first MiB of it, as many as it is told to.
func startGuest(t *testing.T, path string, first int, flags ...string) *guest {
	t.Helper()
	read := "dd bs=1M status=none " + strings.Join(flags, " ") + " <&3"
	script := `exec 3<"$1" && { ` + read + ` count=$2; echo open >&2; read go; ` + read + `; } | sha512sum`
	g := &guest{cmd: exec.CommandContext(t.Context(), "timeout", "-s", "KILL", "60", "sh", "-c", script, "sh", path, fmt.Sprint(first))}
	in, inErr := g.cmd.StdinPipe()
	r, w, err := os.Pipe()
	if inErr != nil || err != nil {
		t.Fatal(inErr, err)
	}
	defer w.Close()
	t.Cleanup(func() { r.Close() })
	g.in, g.cmd.Stdout, g.cmd.Stderr, g.lines = in, w, w, bufio.NewScanner(r)
	if err := g.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if g.lines.Scan(); g.lines.Text() != "open" {
		t.Fatalf("opening %s: %s", path, g.lines.Text())
	}
	return g
}

// end lets the guest read on, and returns the hash of all.
func (g *guest) end(t *testing.T) string {
	t.Helper()
	io.WriteString(g.in, "go\n")
	g.lines.Scan()
	sum, _, _ := strings.Cut(g.lines.Text(), " ")
	if err := g.cmd.Wait(); err != nil {
		t.Errorf("reading through the mount: %v, %s", err, g.lines.Text())
	}
	return sum
}

// mountSays configures a mount further.
func mountSays(t *testing.T, dir, text string) {
	t.Helper()
	conf := filepath.Join(dir, "conf.d")
	err := os.MkdirAll(conf, 0o755)
	if err == nil {
		err = os.WriteFile(filepath.Join(conf, "mount.toml"), []byte("[mount]\n"+text), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}
