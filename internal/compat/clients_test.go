package compat

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// A shell runs a client as a user, who finds the image endpoint in the catalog.
type shell struct {
	t    *testing.T
	path string
	env  []string
}

func (c *cloud) shell(t *testing.T, program string, u user) *shell {
	t.Helper()
	login := u.AuthOptions
	env := []string{"OS_AUTH_URL=" + c.AuthURL, "OS_IDENTITY_API_VERSION=3", "OS_USERNAME=" + login.Username, "OS_PASSWORD=" + login.Password,
		"OS_USER_DOMAIN_ID=" + testservers.Domain, "OS_PROJECT_ID=" + u.project, "OS_REGION_NAME=" + testservers.Region, "HOME=" + t.TempDir()}
	return &shell{t, "/usr/bin/" + program, append(os.Environ(), env...)}
}

// try returns what the command printed on either stream.
func (s *shell) try(line string, more ...string) (string, error) {
	s.t.Helper()
	out, err := s.command(line, more...).CombinedOutput()
	return string(out), err
}

func (s *shell) command(line string, more ...string) *exec.Cmd {
	args := append([]string{"-c", `exec "$0" "$@" <&-`, s.path}, strings.Fields(line)...) // or they take standard input for data
	cmd := exec.CommandContext(s.t.Context(), "/bin/sh", append(args, more...)...)
	cmd.Env = s.env
	return cmd
}

// run returns what the command printed on standard output; it has to succeed.
func (s *shell) run(line string, more ...string) string {
	s.t.Helper()
	cmd := s.command(line, more...)
	var errors bytes.Buffer
	cmd.Stderr = &errors
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("%s %s %s: %v\n%s%s", filepath.Base(s.path), line, strings.Join(more, " "), err, out, &errors)
	}
	return strings.TrimSpace(string(out))
}

// wants runs a command whose output must contain something.
func (s *shell) wants(want, line string, more ...string) {
	s.t.Helper()
	if out := s.run(line, more...); !strings.Contains(out, want) {
		s.t.Errorf("%s %s: no %q in\n%s", filepath.Base(s.path), line, want, out)
	}
}

// refuses runs a command that must fail, and say why.
func (s *shell) refuses(want, line string, more ...string) {
	s.t.Helper()
	out, err := s.try(line, more...)
	if err == nil || !strings.Contains(out, want) {
		s.t.Errorf("%s %s: %v, no %q in\n%s", filepath.Base(s.path), line, err, want, out)
	}
}

func diskFile(t *testing.T) (path string, data []byte) {
	t.Helper()
	data = bytes.Repeat([]byte("disk"), 250_000)
	path = filepath.Join(t.TempDir(), "disk.raw")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path, data
}

func wantFile(t *testing.T, path string, want []byte) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s holds %d bytes, %v, want %d", path, len(got), err, len(want))
	}
}

// TestOpenStackClient goes through every image command of the openstack client, as two projects.
func TestOpenStackClient(t *testing.T) {
	t.Parallel()
	c := openCloud(t)
	testservers.Require(t, "openstack")
	project, guest := c.Project(t, "osc-owner"), c.Project(t, "osc-guest")
	owner := c.shell(t, "openstack", c.user(t, "osc-o", project, "member"))
	other := c.shell(t, "openstack", c.user(t, "osc-g", guest, "member"))
	file, data := diskFile(t)

	id := owner.run("image create --disk-format raw --container-format bare --min-disk 1 --min-ram 64 --tag lts --property os_distro=debian -f value -c id --file",
		file, "debian 12")
	owner.wants("active", "image list --name", "debian 12")
	owner.wants("debian 12", "image list --shared --tag lts --property os_distro=debian --long --sort name:asc --limit 5")
	owner.wants(id, "image show -f value -c id", "debian 12")
	saved := filepath.Join(t.TempDir(), "saved")
	owner.run("image save --file", saved, id)
	wantFile(t, saved, data)
	owner.run("image set --name debian-12 --property os_version=12 --tag stable --protected --min-ram 128", id)
	owner.wants("'os_version': '12'", "image show -f value -c properties", id)
	owner.refuses("protected", "image delete", id)
	owner.run("image set --unprotected --hidden", id)
	if out := owner.run("image list"); strings.Contains(out, id) {
		t.Errorf("a hidden image is listed: %s", out)
	}
	owner.wants(id, "image list --hidden")
	owner.run("image set --unhidden", id)
	owner.run("image unset --tag stable --property os_version", id)
	if out := owner.run("image show", id); strings.Contains(out, "os_version") || strings.Contains(out, "stable") {
		t.Errorf("image unset left %s", out)
	}
	owner.run("image set --deactivate", id)
	owner.refuses("", "image save --file", saved+".2", id)
	owner.run("image set --activate", id)

	other.refuses("No Image found", "image show", id)
	owner.run("image add project", id, guest)
	owner.wants("pending", "image member list", id)
	other.run("image show", id)
	other.run("image set --accept", id)
	other.wants(id, "image list --shared")
	other.run("image save --file", saved+".3", id)
	wantFile(t, saved+".3", data)
	other.refuses("403", "image set --name stolen", id)
	other.run("image set --reject", id)
	owner.wants("rejected", "image member list", id)
	other.run("image set --pending", id)
	owner.run("image remove project", id, guest)
	other.refuses("No Image found", "image show", id)

	owner.refuses("403", "image set --public", id)
	owner.run("image set --community", id)
	other.run("image show", id)
	other.wants(id, "image list --community")
	owner.run("image set --private", id)
	owner.run("image delete", id)
	owner.refuses("No Image found", "image show", id)
}

// TestGlanceClient goes through the commands of the glance client that its servers know.
func TestGlanceClient(t *testing.T) {
	t.Parallel()
	testservers.Require(t, "glance")
	c := openCloud(t)
	project, guest := c.Project(t, "gc-owner"), c.Project(t, "gc-guest")
	owner := c.shell(t, "glance", c.user(t, "gc-o", project, "member"))
	other := c.shell(t, "glance", c.user(t, "gc-g", guest, "member"))
	admin := c.shell(t, "glance", user{c.AdminLogin(), ""})
	admin.env = append(admin.env, "OS_PROJECT_NAME=admin", "OS_PROJECT_DOMAIN_ID="+testservers.Domain, "OS_PASSWORD="+c.Password)
	file, data := diskFile(t)

	id := string(image.NewID())
	owner.wants("active", "image-create --id "+id+" --name disk --disk-format raw --container-format bare --property os_distro=debian --file", file)
	owner.wants("debian", "image-show", id)
	owner.wants(id, "image-list --property-filter os_distro=debian --sort name:asc --include-stores")
	saved := filepath.Join(t.TempDir(), "saved")
	owner.run("image-download --file", saved, id)
	wantFile(t, saved, data)
	owner.wants("new-name", "image-update --name new-name --property a=b --remove-property os_distro", id)
	owner.run("image-tag-update", id, "lts")
	owner.run("image-tag-delete", id, "lts")
	owner.run("image-deactivate", id)
	owner.run("image-reactivate", id)
	owner.wants("pending", "member-create", id, guest)
	other.wants("accepted", "member-update", id, guest, "accepted")
	owner.wants("accepted", "member-list --image-id", id)
	owner.wants(guest, "member-get", id, guest)
	owner.run("member-delete", id, guest)
	owner.run("image-tasks", id)
	owner.run("explain image")
	owner.wants("fast", "stores-info")
	admin.wants("data_dir", "stores-info --detail")
	owner.wants("copy-image", "import-info")
	owner.run("usage")
	admin.run("task-list")
	owner.refuses("403", "task-list")

	queued := string(image.NewID())
	owner.wants("queued", "image-create --id "+queued+" --name staged --disk-format raw --container-format bare")
	owner.run("image-stage --file", file, queued)
	owner.wants("uploading", "image-show", queued)
	owner.run("image-import --import-method glance-direct", queued)
	c.waitFor(t, queued, "active")
	owner.wants("success", "image-tasks", queued)
	owner.run("image-download --file", saved, queued)
	wantFile(t, saved, data)
	admin.run("image-import --import-method copy-image --stores slow", queued)
	c.waitForStores(t, queued, "fast,slow")
	admin.run("stores-delete --store slow", queued)
	c.waitForStores(t, queued, "fast")
	once := string(image.NewID())
	owner.run("image-create-via-import --id "+once+" --name at-once --disk-format raw --container-format bare --import-method glance-direct --file", file)
	c.waitFor(t, once, "active")
	owner.run("image-upload --help")
	for _, image := range []string{id, queued, once} {
		owner.run("image-delete", image)
	}

	owner.wants("OS::Compute::Watchdog", "md-namespace-list")
	owner.wants("Watchdog", "md-namespace-show OS::Compute::Watchdog")
	admin.run("md-namespace-create --visibility public compat::ns")
	admin.run("md-property-create --name p --title P --schema", `{"type":"string"}`, "compat::ns")
	owner.wants("P", "md-property-show compat::ns p")
	admin.run("md-object-create --name o --schema", `{"description":"d"}`, "compat::ns")
	owner.wants("o", "md-object-list compat::ns")
	admin.run("md-tag-create-multiple --names a,b compat::ns")
	owner.wants("b", "md-tag-list compat::ns")
	admin.run("md-resource-type-associate --name OS::Glance::Image compat::ns")
	owner.wants("OS::Glance::Image", "md-resource-type-list")
	owner.refuses("403", "md-namespace-delete compat::ns")
	admin.run("md-namespace-delete compat::ns")
}
