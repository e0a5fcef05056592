//go:build ceph

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/vitrine-image/vitrine/client"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/testdaemon"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// TestCephScripts runs scripts against daemons with a store in Ceph. The command rbd in them is the administrator's.
func TestCephScripts(t *testing.T) {
	c := testservers.SharedCeph(t)
	for df := ""; !strings.Contains(df, `"images"`); { // a new cluster does not know its space at once
		var err error
		if df, err = c.Ceph(t.Context(), "df", "--format", "json"); err != nil {
			t.Fatal(err)
		}
	}
	runScripts(t, "testdata/ceph", []string{"/CONF", c.Conf, "/KEYRING", c.Keyring("cloner")},
		map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"rbd": func(ts *testscript.TestScript, neg bool, args []string) {
				for i, arg := range args {
					if arg == "FILE" {
						args[i] = ts.MkAbs("volume")
					}
				}
				out, err := c.RBD(t.Context(), "admin", args...)
				ts.Logf("%s", out)
				if neg != (err != nil) {
					ts.Fatalf("rbd: %v", err)
				}
			},
		})
}

// TestAdoptingAPoolAsThePageSays takes over the images of another server, whose data was written into the pool as Glance does, by the
// commands of the page.
func TestAdoptingAPoolAsThePageSays(t *testing.T) {
	testservers.Require(t, "jq")
	c := testservers.SharedCeph(t)
	page, err := os.ReadFile("../../docs/ceph.md")
	if err != nil {
		t.Fatal(err)
	}
	_, commands, _ := strings.Cut(string(page), "```sh\n")
	commands, _, ok := strings.Cut(commands, "```")
	dir := t.TempDir()
	old := testdaemon.Start(t, testdaemon.Config{Dir: t.TempDir()})
	d := testdaemon.Start(t, testdaemon.Config{Dir: t.TempDir(), TOML: fmt.Sprintf(
		"[stores.ceph]\ntype = \"rbd\"\npool = \"images\"\nuser = \"images\"\nconf = %q\nkeyring = %q\ndefault = true\n", c.Conf, c.Keyring("images"))})
	var images []*image.Image
	for _, name := range []string{"plain", "it's \"odd\""} {
		images = append(images, newGlanceImage(t, old.Client, c, name))
	}
	if !ok || !strings.Contains(commands, "--os-cloud old") {
		t.Fatalf("the page has the commands %q", commands)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "set -eu\n"+strings.ReplaceAll(commands, "--os-cloud old", "--endpoint "+old.Endpoint))
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "CEPH_CONF="+c.Conf, "VITRINE_ENDPOINT="+d.Endpoint)
	if out, err := cmd.CombinedOutput(); err != nil {
		script, _ := os.ReadFile(filepath.Join(dir, "adopt.sh"))
		t.Fatalf("the commands end with %v: %s\n%s", err, out, script)
	}
	for _, want := range images {
		got, err := d.Client.Get(t.Context(), want.ID)
		if err != nil || got.Status != image.Active || *got.Name != *want.Name || got.Visibility != want.Visibility || got.MinDisk != want.MinDisk ||
			!slices.Equal(got.Tags, want.Tags) || got.Properties["os_distro"] != want.Properties["os_distro"] || got.HashValue != want.HashValue || got.Protected != want.Protected {
			t.Errorf("the image is %+v, %v, want %+v", got, err, want)
		}
		if data, err := fetch(t, d.Client, want.ID); err != nil || string(data) != "data of "+*want.Name {
			t.Errorf("the data is %q, %v", data, err)
		}
		if _, err := d.Client.Edit(t.Context(), want.ID, []image.Edit{{Op: image.EditReplace, Name: "protected", Value: false}}); err != nil {
			t.Error(err)
		}
		if err := d.Client.Delete(t.Context(), want.ID); err != nil {
			t.Error(err)
		}
	}
	if names, err := c.RBD(t.Context(), "images", "ls", "images"); err != nil || strings.Contains(names, string(images[0].ID)) {
		t.Errorf("the pool holds %s, %v after the images were deleted", names, err)
	}
}

// newGlanceImage makes an image, and its data in the pool.
func newGlanceImage(t *testing.T, old *client.Client, c *testservers.Ceph, name string) *image.Image {
	t.Helper()
	data := "data of " + name
	img, err := old.Create(t.Context(), "", []image.Edit{{Op: image.EditAdd, Name: "name", Value: name}, {Op: image.EditAdd, Name: "disk_format", Value: "raw"},
		{Op: image.EditAdd, Name: "container_format", Value: "bare"}, {Op: image.EditAdd, Name: "visibility", Value: "public"},
		{Op: image.EditAdd, Name: "min_disk", Value: 3.0}, {Op: image.EditAdd, Name: "protected", Value: true},
		{Op: image.EditAdd, Name: "tags", Value: []any{"a tag"}}, {Op: image.EditAdd, Name: "os_distro", Value: name + " = $HOME"}})
	if err == nil {
		err = old.Upload(t.Context(), img.ID, client.Upload{Body: bytes.NewReader([]byte(data)), Size: int64(len(data))})
	}
	if err == nil {
		img, err = old.Get(t.Context(), img.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := c.GlanceImage(t.Context(), string(img.ID), []byte(data)); err != nil {
		t.Fatal(err)
	}
	return img
}

func fetch(t *testing.T, c *client.Client, id image.ID) ([]byte, error) {
	d, err := c.Download(t.Context(), id, client.DownloadOptions{})
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return io.ReadAll(d)
}
