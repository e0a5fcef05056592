package compat

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/internal/testdaemon"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// openLocated returns the cloud with another image service of this type, which shows locations and takes them, and a web server
// that has a disk. Owners may remove locations there, which the tests of Tempest do.
func openLocated(t *testing.T, kind string) (c *cloud, disk string) {
	t.Helper()
	keystone := openCloud(t).Keystone
	dir := t.TempDir()
	for name, text := range map[string]string{
		"conf.d/show.toml": "[api]\nshow_multiple_locations = true\nshow_image_direct_url = true\n",
		"policy.yaml":      `"delete_image_location": "role:admin or (role:member and project_id:%(project_id)s)"`,
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	daemon := testdaemon.Start(t, testdaemon.Config{Dir: dir, TOML: fmt.Sprintf(`
[stores.local]
path = %q
default = true
[stores.web]
type = "http"
[policy]
file = %q
[outgoing]
allow_networks = ["127.0.0.0/8"]
allowed_ports = []
`, filepath.Join(dir, "images"), filepath.Join(dir, "policy.yaml")) + authTOML(t, keystone, "vitrine-"+kind)})
	keystone.Register(t, kind, "vitrine with locations", daemon.Endpoint)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "disk.raw", time.Time{}, bytes.NewReader(make([]byte, 1<<20)))
	}))
	t.Cleanup(web.Close)
	return &cloud{keystone, daemon, dir}, web.URL + "/disk.raw"
}

// TestTempestLocations runs Tempest's tests of locations. None is left out.
func TestTempestLocations(t *testing.T) {
	t.Parallel()
	testservers.Require(t, "tempest")
	c, disk := openLocated(t, "image-locations")
	out := runTempest(t, c, `^tempest\.api\.image\.v2\.test_images\.ImageLocationsTest`, "catalog_type = image-locations\nhttp_image = "+disk,
		"manage_locations = true")
	if !bytes.Contains(out, []byte("Passed: 8\n")) || !bytes.Contains(out, []byte("Skipped: 0\n")) {
		t.Errorf("%s", out)
	}
	t.Logf("%s", out)
}

// TestLocationPolicy asks for every operation on locations in every role.
func TestLocationPolicy(t *testing.T) {
	c, disk := openLocated(t, "image-located")
	p := openProjects(t, c, "located")
	for _, tt := range []struct {
		name    string
		state   string
		request string
		body    string
		want    string // status for each column
	}{
		{"add a location", "shared queued", "POST /v2/images/{image}/locations", `{"url":"{disk}"}`, "202 202 403 403 404"},
		{"add a location", "public queued", "POST /v2/images/{image}/locations", `{"url":"{disk}"}`, "202 202 403 403 403"},
		{"add what only services may", "shared queued", "POST /v2/images/{image}/locations", `{"url":"rbd://a/b/c/d"}`, "400 403 403 403 404"},
		{"list locations", "shared", "GET /v2/images/{image}/locations", "", "200 403 403 403 404"},
		{"set locations", "shared queued", "PATCH /v2/images/{image}", `[{"op":"replace","path":"/locations","value":[{"url":"{disk}"}]}]`, "200 200 403 403 404"},
		{"add a location by PATCH", "public queued", "PATCH /v2/images/{image}", `[{"op":"add","path":"/locations/-","value":{"url":"{disk}"}}]`, "200 200 403 403 403"},
		{"delete a copy that is not there", "shared", "DELETE /v2/stores/web/{image}", "", "404 404 403 403 404"},
	} {
		for i, want := range strings.Fields(tt.want) {
			id := p.newImage(t, c, tt.state)
			fill := strings.NewReplacer("{image}", id, "{disk}", disk)
			method, path, _ := strings.Cut(tt.request, " ")
			a := c.send(t, p.tokens[rune(columns[i])], method, fill.Replace(path), fill.Replace(tt.body))
			if got := fmt.Sprint(a.status); got != want {
				t.Errorf("%s (%s) as %c: %s, want %s: %.200s", tt.name, tt.state, columns[i], got, want, a.body)
			}
		}
	}
	for _, state := range []string{"shared", "public"} {
		id := p.newImage(t, c, state)
		for i, role := range columns {
			for _, path := range []string{"/v2/images/" + id, "/v2/images?visibility=all&member_status=all&id=" + id} {
				a := c.send(t, p.tokens[role], "GET", path, "")
				shown, want := strings.Contains(a.body, `"direct_url":"file:`) && strings.Contains(a.body, `"locations":[{`), i < 3
				if strings.Contains(a.body, `"stores"`) && shown != want {
					t.Errorf("%s of a %s image as %c shows locations: %v, want %v: %s", path, state, role, shown, want, a.body)
				}
			}
		}
	}
	token := c.Token(t, c.Service(t, "nova-located"))
	id := p.newImage(t, c, "public queued")
	for method, body := range map[string]string{"POST": fmt.Sprintf(`{"url":%q}`, disk), "GET": ""} {
		if a := c.send(t, token, method, "/v2/images/"+id+"/locations", body); a.status/100 != 2 {
			t.Errorf("%s of locations as a service: %d %s", method, a.status, a.body)
		}
	}
}
