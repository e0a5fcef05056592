package daemon_test

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/client"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/testdaemon"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// newDisk makes an active image through the API.
func newDisk(t *testing.T, c *client.Client, name string, data []byte, more ...image.Edit) image.ID {
	t.Helper()
	img, err := c.Create(t.Context(), "", append([]image.Edit{
		{Op: image.EditAdd, Name: "name", Value: name},
		{Op: image.EditAdd, Name: "disk_format", Value: "raw"}, {Op: image.EditAdd, Name: "container_format", Value: "bare"}}, more...))
	if err == nil {
		err = c.Upload(t.Context(), img.ID, client.Upload{Body: bytes.NewReader(data), Size: int64(len(data))})
	}
	if err != nil {
		t.Fatal(err)
	}
	return img.ID
}

func entries(t *testing.T, dir string) (names []string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Error(err)
	}
	for _, e := range list {
		names = append(names, e.Name())
	}
	slices.Sort(names)
	return names
}

// TestMountFollowsTheAPI looks at the tree after each change: what the API answered holds in the mount at once.
func TestMountFollowsTheAPI(t *testing.T) {
	testservers.Require(t, "fuse")
	d := testdaemon.Start(t, testdaemon.Config{Dir: t.TempDir(), Mount: true})
	id := newDisk(t, d.Client, "debian", []byte("one"), image.Edit{Op: image.EditAdd, Name: "tags", Value: []any{"lts"}})
	at := func(parts ...string) string { return filepath.Join(append([]string{d.Mount}, parts...)...) }
	wantFile := func(path, want string) {
		t.Helper()
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%s holds %q, %v, want %q", path, got, err, want)
		}
	}
	wantGone := func(path string) {
		t.Helper()
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v, want it gone", path, err)
		}
	}
	for _, path := range []string{at("by-id", string(id)), at("by-name/debian", string(id)), at("by-name/debian/latest"),
		at("by-tag/lts", string(id)), at("by-project/default/by-id", string(id)), at("by-project/default/by-name/debian/latest"),
		at("by-project/default/by-tag/lts", string(id))} {
		wantFile(filepath.Join(path, "disk.raw"), "one")
	}
	newer := newDisk(t, d.Client, "debian", []byte("two"))
	wantFile(at("by-name/debian/latest/disk.raw"), "two")

	edit := func(name string, value any) {
		t.Helper()
		if _, err := d.Client.Edit(t.Context(), newer, []image.Edit{{Op: image.EditReplace, Name: name, Value: value}}); err != nil {
			t.Fatal(err)
		}
	}
	edit("name", "fedora")
	wantFile(at("by-name/debian/latest/disk.raw"), "one")
	wantFile(at("by-name/fedora/latest/disk.raw"), "two")
	wantGone(at("by-name/debian", string(newer)))
	edit("tags", []any{"lts", "new"})
	if got := entries(t, at("by-tag")); !slices.Equal(got, []string{"lts", "new"}) {
		t.Errorf("by-tag holds %q", got)
	}
	edit("tags", []any{})
	wantGone(at("by-tag/new"))
	if err := d.Client.Deactivate(t.Context(), newer); err != nil {
		t.Fatal(err)
	}
	wantGone(at("by-id", string(newer)))
	wantGone(at("by-name/fedora"))
	if err := d.Client.Reactivate(t.Context(), newer); err != nil {
		t.Fatal(err)
	}
	wantFile(at("by-id", string(newer), "image.raw"), "two")
	if err := d.Client.Delete(t.Context(), newer); err != nil {
		t.Fatal(err)
	}
	wantGone(at("by-id", string(newer)))
	if got := entries(t, at("by-id")); !slices.Equal(got, []string{string(id)}) {
		t.Errorf("by-id holds %q, want %s", got, id)
	}
}

// TestNamesCannotEscape gives images the worst names that the API takes.
func TestNamesCannotEscape(t *testing.T) {
	testservers.Require(t, "fuse")
	d := testdaemon.Start(t, testdaemon.Config{Dir: t.TempDir(), Mount: true})
	names := []string{"..", ".", "../../etc/passwd", "a/b", "a\nb", "a\u0000b", strings.Repeat("日", 255), strings.Repeat("日", 254) + "本",
		"Debian", "debian", "%2E%2E", "", " ", "-rf", "latest"}
	seen := map[string]string{}
	for _, name := range names {
		id := newDisk(t, d.Client, name, []byte(name))
		entry := image.EntryName(name)
		if other, taken := seen[entry]; taken {
			t.Errorf("%q and %q share the entry %q", name, other, entry)
		}
		seen[entry] = name
		got, err := os.ReadFile(d.Mount + "/by-name/" + entry + "/" + string(id) + "/disk.raw")
		if err != nil || string(got) != name {
			t.Errorf("the image named %.40q holds %.40q in the mount, %v", name, got, err)
		}
	}
	if got := entries(t, filepath.Join(d.Mount, "by-name")); len(got) != len(names) {
		t.Errorf("by-name holds %d entries for %d names: %q", len(got), len(names), got)
	}
	_, err := d.Client.Create(t.Context(), "", []image.Edit{{Op: image.EditAdd, Name: "name", Value: "\U0001F600"}})
	if !errors.Is(err, image.ErrInvalid) {
		t.Errorf("a name of four-byte characters: %v", err)
	}
}

// TestOpenImageIsNotDeleted holds an image open as a hypervisor does, in another process.
func TestOpenImageIsNotDeleted(t *testing.T) {
	testservers.Require(t, "fuse")
	d := testdaemon.Start(t, testdaemon.Config{Dir: t.TempDir(), Mount: true})
	id := newDisk(t, d.Client, "disk", []byte("the data\n"))
	guest := exec.Command("sh", "-c", `exec 3<"$1" && echo open && read go && cat <&3`, "sh", filepath.Join(d.Mount, "by-id", string(id), "disk.raw"))
	in, err := guest.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := guest.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := guest.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	lines.Scan()
	err = d.Client.Delete(t.Context(), id)
	if !errors.Is(err, image.ErrInUse) || !strings.Contains(err.Error(), "mount") {
		t.Errorf("deleting an image that is open: %v, want 409 and by whom", err)
	}
	if err := d.Client.Deactivate(t.Context(), id); err != nil { // leaves the tree, and open handles go on
		t.Error(err)
	}
	in.Write([]byte("go\n"))
	if lines.Scan(); lines.Text() != "the data" {
		t.Errorf("the guest read %q", lines.Text())
	}
	if err := guest.Wait(); err != nil {
		t.Error(err)
	}
	deleteClosed(t, d.Client, id)
}

// deleteClosed deletes an image that was open: the kernel tells of a close when it is over, a moment later.
func deleteClosed(t *testing.T, c *client.Client, id image.ID) {
	t.Helper()
	err := image.ErrInUse
	for end := time.Now().Add(time.Minute); errors.Is(err, image.ErrInUse) && time.Now().Before(end); {
		err = c.Delete(t.Context(), id)
	}
	if err != nil {
		t.Errorf("deleting an image that is closed: %v", err)
	}
}

// TestSecondDaemonOnTheMount gives a second daemon, with data of its own, the mount path of a running one. The first
// keeps its mount; when it has been killed the second may have the path.
func TestSecondDaemonOnTheMount(t *testing.T) {
	testservers.Require(t, "fuse")
	first := testdaemon.Start(t, testdaemon.Config{Dir: t.TempDir(), Mount: true})
	id := newDisk(t, first.Client, "disk", []byte("the data\n"))
	file := filepath.Join(first.Mount, "by-id", string(id), "disk.raw")
	second := testdaemon.Config{Dir: t.TempDir(), TOML: "[mount]\nrequired = true\npath = \"" + first.Mount + "\"\n"}
	if d, err := testdaemon.Launch(second); err == nil || !strings.Contains(err.Error(), "another process serves its mount there") {
		t.Errorf("a second daemon on the mount: %v", err)
		if err == nil {
			d.Kill()
		}
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != "the data\n" {
		t.Errorf("the first daemon's mount holds %q, %v", got, err)
	}
	if err := syscall.Kill(first.Pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-first.Done()
	d := testdaemon.Start(t, second)
	if !strings.Contains(d.Log(), "clearing the mount that a dead process left") {
		t.Errorf("the log does not tell of the dead mount:\n%s", d.Log())
	}
	if got := entries(t, filepath.Join(first.Mount, "by-id")); len(got) != 0 {
		t.Errorf("the mount of the second daemon, which has no images, holds %q", got)
	}
}
