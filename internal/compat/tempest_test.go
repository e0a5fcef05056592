package compat

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/internal/testservers"
)

// skipped are the tests that Tempest leaves out, with the reasons.
var skipped = map[string]string{
	"tempest.api.image.v2.admin.test_image_caching.ImageCachingTest": "there is no cache of images",
	"tempest.api.image.v2.test_images.ImageLocationsTest":            "locations are not shown: TestTempestLocations has them",
}

var skippedLine = regexp.MustCompile(`(tempest[\w.]+)(?:\[[^\]]*\])?\)? \.\.\. SKIPPED: (.*)`)

// TestTempest runs every test of Tempest for images that applies.
func TestTempest(t *testing.T) {
	t.Parallel()
	testservers.Require(t, "tempest")
	c := openCloud(t)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "disk.raw", time.Time{}, bytes.NewReader(make([]byte, 1<<20)))
	}))
	defer web.Close()
	out := runTempest(t, c, `^tempest\.api\.image\.v2`, "region = RegionOne\nalternate_image_endpoint = "+otherWorker+"\nhttp_image = "+web.URL+"/disk.raw",
		"manage_locations = false")
	left := maps.Clone(skipped)
	for _, line := range skippedLine.FindAllSubmatch(out, -1) {
		if _, known := left[string(line[1])]; !known {
			t.Errorf("%s is left out: %s", line[1], line[2])
		}
		delete(left, string(line[1]))
	}
	for name, reason := range left {
		t.Errorf("%s is not left out any more, as it was because %s", name, reason)
	}
	t.Logf("%s", out)
}

// runTempest runs the tests that a pattern names, and returns what they print. more is for the sections [image] and
// [image-feature-enabled].
func runTempest(t *testing.T, c *cloud, pattern, image, features string) []byte {
	t.Helper()
	dir := t.TempDir()
	run := func(args ...string) []byte {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "/usr/bin/tempest", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "HOME="+dir)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("tempest %v: %v\n%s", args, err, out)
		}
		return out
	}
	run("init", "ws")
	dir = filepath.Join(dir, "ws")
	config := fmt.Sprintf(`[DEFAULT]
log_file = tempest.log
[auth]
use_dynamic_credentials = true
admin_username = admin
admin_password = %s
admin_project_name = admin
admin_domain_name = Default
[identity]
uri_v3 = %s
auth_version = v3
region = RegionOne
[identity-feature-enabled]
api_v3 = true
[service_available]
glance = true
nova = false
neutron = false
cinder = false
swift = false
horizon = false
[image]
disk_formats = qcow2,raw,ami,ari,aki,vhd,vmdk,vdi,iso,vhdx
container_formats = bare,ami,ari,aki,ovf,ova,docker
%s
[image-feature-enabled]
api_v2 = true
import_image = true
os_glance_reserved = true
%s
`, c.Password, c.AuthURL, image, features)
	if err := os.WriteFile(filepath.Join(dir, "etc", "tempest.conf"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	out := run("run", "--regex", pattern, "--concurrency", "2")
	if bytes.Contains(out, []byte("FAILED")) {
		t.Errorf("%s", out)
	}
	return out
}
