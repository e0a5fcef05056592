//go:build ceph

package daemon_test

import (
	"bufio"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore/storetest"
	"github.com/vitrine-image/vitrine/internal/testdaemon"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// readFromCeph returns how many bytes the cluster has given to clients.
func readFromCeph(t *testing.T, c *testservers.Ceph) int64 {
	t.Helper()
	n, err := c.BytesRead(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

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

// cacheSize says in a daemon's directory how large its cache may be.
func cacheSize(t *testing.T, dir, size string) {
	t.Helper()
	conf := filepath.Join(dir, "conf.d")
	err := os.MkdirAll(conf, 0o755)
	if err == nil {
		err = os.WriteFile(filepath.Join(conf, "cache.toml"), fmt.Appendf(nil, "[mount]\ncache_size = %q\n", size), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestSecondReaderOfCeph reads an image through the mount twice, past the page cache and through it: the second time hardly
// anything comes from the cluster, unless there is no cache, and through the page cache nothing even from the daemon.
func TestSecondReaderOfCeph(t *testing.T) {
	testservers.Require(t, "fuse")
	c := testservers.SharedCeph(t)
	data := storetest.Random(32<<20 + 4096)
	sum := sha512.Sum512(data)
	few := int64(len(data) / 20)
	for _, size := range []string{"1GiB", "0B"} {
		t.Run(size, func(t *testing.T) {
			dir := t.TempDir()
			cacheSize(t, dir, size)
			d := testdaemon.Start(t, testdaemon.Config{Dir: dir, Mount: true, TOML: withCeph(c, dir)})
			id := newDiskIn(t, d.Client, "ceph", data)
			path := filepath.Join(d.Mount, "by-id", string(id), "disk.raw")
			read := func(flags ...string) (fromCeph, written int64) {
				t.Helper()
				ceph, daemon := readFromCeph(t, c), writtenBy(t, d)
				if got := sumOf(t, path, flags...); got != hex.EncodeToString(sum[:]) {
					t.Errorf("the mount gives data with the hash %s", got)
				}
				return readFromCeph(t, c) - ceph, writtenBy(t, d) - daemon
			}
			if n, _ := read("iflag=direct"); n < int64(len(data)) {
				t.Errorf("the first reader took %d bytes from the cluster, of %d", n, len(data))
			}
			if n, _ := read("iflag=direct"); size != "0B" && n > few || size == "0B" && n < int64(len(data)) {
				t.Errorf("the second reader took %d bytes from the cluster, of %d", n, len(data))
			}
			if _, n := read(); n < int64(len(data)) {
				t.Errorf("the first reader through the page cache took %d bytes from the daemon, of %d", n, len(data))
			}
			if ceph, n := read(); ceph > few || n > few {
				t.Errorf("the second reader through the page cache took %d bytes from the cluster and %d from the daemon", ceph, n)
			}
			deleteClosed(t, d.Client, id)
		})
	}
}

// TestCopyOfWhatIsOpen copies an image from the cluster to a file while a guest reads it, and takes the copy away again. The guest
// reads on where it began; others get what is best when they open it.
func TestCopyOfWhatIsOpen(t *testing.T) {
	testservers.Require(t, "fuse", "passthrough")
	c := testservers.SharedCeph(t)
	dir := t.TempDir()
	cacheSize(t, dir, "0B")
	d := testdaemon.Start(t, testdaemon.Config{Dir: dir, Mount: true, TOML: withCeph(c, dir)})
	data := storetest.Random(32<<20 + 4096)
	size := int64(len(data))
	id := newDiskIn(t, d.Client, "ceph", data)
	path := filepath.Join(d.Mount, "by-id", string(id), "disk.raw")
	sum := sha512.Sum512(data)
	// want lets a guest read the rest and compares where it comes from.
	want := func(who string, g *guest, fromCeph, fromDaemon int64) {
		t.Helper()
		ceph, daemon := readFromCeph(t, c), writtenBy(t, d)
		if got := g.end(t); got != hex.EncodeToString(sum[:]) {
			t.Errorf("%s reads data with the hash %s", who, got)
		}
		if n := readFromCeph(t, c) - ceph; n < fromCeph || fromCeph == 0 && n > size/20 {
			t.Errorf("%s took %d bytes from the cluster, want %d", who, n, fromCeph)
		}
		if n := writtenBy(t, d) - daemon; n < fromDaemon || fromDaemon == 0 && n > size/20 {
			t.Errorf("%s took %d bytes from the daemon, want %d", who, n, fromDaemon)
		}
	}
	before := startGuest(t, path, 8, "iflag=direct")
	wantTask(t, d.Client, id, d.Client.Import(t.Context(), id, image.Import{Method: image.ImportCopy, Stores: []string{"local"}}))
	during := startGuest(t, path, 0, "iflag=direct")
	want("who opens it with a local copy", during, 0, 0)
	during = startGuest(t, path, 8, "iflag=direct")
	if err := d.Client.DeleteCopy(t.Context(), "local", id); err != nil {
		t.Fatal(err)
	}
	rest := size - 16<<20 // some of it was read ahead
	want("who opened it before", before, rest, size-8<<20)
	want("who opens it without the copy", startGuest(t, path, 0, "iflag=direct"), size, size)
	want("who opened it with a local copy, which is deleted", during, 0, 0)
	deleteClosed(t, d.Client, id)
}
