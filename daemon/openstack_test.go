package daemon_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/internal/testdaemon"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// TestOpenStackClient lets the client that most people use go through an image's life.
func TestOpenStackClient(t *testing.T) {
	testservers.Require(t, "openstack")
	dir := t.TempDir()
	d := testdaemon.Start(t, testdaemon.Config{Dir: dir})
	run := func(args ...string) string {
		t.Helper()
		out, err := testservers.OpenStack(t.Context(), d.Endpoint, args...)
		if err != nil {
			t.Fatalf("openstack %s: %v", strings.Join(args, " "), err)
		}
		return out
	}
	data := bytes.Repeat([]byte("disk"), 300_000)
	file, saved := filepath.Join(dir, "disk.raw"), filepath.Join(dir, "saved.raw")
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}

	type document struct {
		ID, Name, Status string
		Size             int64
		Tags             []string
		Properties       map[string]any
	}
	var made document
	run("image", "create", "--disk-format", "raw", "--container-format", "bare", "--file", file, "--property", "os_distro=debian",
		"--tag", "lts", "debian 12")
	show := func() {
		t.Helper()
		made = document{}
		if err := json.Unmarshal([]byte(run("image", "show", "-f", "json", "debian 12")), &made); err != nil {
			t.Fatal(err)
		}
	}
	show()
	if made.Status != "active" || made.Size != int64(len(data)) || made.Properties["os_distro"] != "debian" || len(made.Tags) != 1 {
		t.Errorf("openstack image show = %+v", made)
	}
	if out := run("image", "list", "--property", "os_distro=debian", "-f", "value", "-c", "ID"); strings.TrimSpace(out) != made.ID {
		t.Errorf("openstack image list = %q, want %s", out, made.ID)
	}
	run("image", "save", "--file", saved, made.ID)
	if got, err := os.ReadFile(saved); err != nil || !bytes.Equal(got, data) {
		t.Errorf("openstack image save gave %d bytes, %v", len(got), err)
	}
	run("image", "set", "--protected", "--property", "os_version=12", "--tag", "new", made.ID)
	show()
	if made.Properties["os_version"] != "12" || len(made.Tags) != 2 {
		t.Errorf("after openstack image set = %+v", made)
	}
	if out, err := testservers.OpenStack(context.WithoutCancel(t.Context()), d.Endpoint, "image", "delete", made.ID); err == nil {
		t.Errorf("a protected image was deleted: %s", out)
	}
	run("image", "set", "--unprotected", "--deactivate", made.ID)
	run("image", "unset", "--property", "os_version", "--tag", "new", made.ID)
	show()
	if made.Status != "deactivated" || len(made.Tags) != 1 || made.Properties["os_version"] != nil {
		t.Errorf("after openstack image unset = %+v", made)
	}
	run("image", "delete", made.ID)
	if out := run("image", "list", "-f", "value"); strings.TrimSpace(out) != "" {
		t.Errorf("openstack image list after the deletion = %q", out)
	}
}
