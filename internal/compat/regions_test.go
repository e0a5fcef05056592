package compat

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/imagedata"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/testdaemon"
)

// TestAnotherRegion imports from a second daemon, which the catalog has in another region. No command of Debian's clients can: the
// glance client of that version forgets its options.
func TestAnotherRegion(t *testing.T) {
	t.Parallel()
	c := openCloud(t)
	const elsewhere = "RegionTwo"
	second := testdaemon.Start(t, testdaemon.Config{Dir: t.TempDir(), TOML: authTOML(t, c.Keystone, "vitrine-two")})
	c.RegisterIn(t, elsewhere, "vitrine", second.Endpoint)
	owner := c.user(t, "traveller", c.Project(t, "traveller"), "member")
	stranger := c.user(t, "stranger", c.Project(t, "stranger"), "member")
	token := c.Token(t, owner.AuthOptions)
	there := func(u user) *gophercloud.ServiceClient { return c.gophercloudIn(t, elsewhere, u.AuthOptions) }
	data := bytes.Repeat([]byte("far away"), 100_000)
	create := func(u user, upload bool) *images.Image {
		t.Helper()
		img, err := images.Create(t.Context(), there(u), images.CreateOpts{Name: "far", DiskFormat: "raw", ContainerFormat: "bare",
			Properties: map[string]string{"hw_disk_bus": "scsi", "os_distro": "debian", "trait:CUSTOM_FAST": "required", "secret": "x"}}).Extract()
		if err == nil && upload {
			err = imagedata.Upload(t.Context(), there(u), img.ID, bytes.NewReader(data)).ExtractErr()
		}
		if err == nil {
			img, err = images.Get(t.Context(), there(u), img.ID).Extract()
		}
		if err != nil {
			t.Fatal(err)
		}
		return img
	}
	far, empty, foreign := create(owner, true), create(owner, false), create(stranger, true)
	ask := func(id, region, source string) answer {
		t.Helper()
		return c.send(t, token, "POST", "/v2/images/"+id+"/import",
			fmt.Sprintf(`{"method":{"name":"glance-download","glance_region":%q,"glance_image_id":%q}}`, region, source))
	}
	fetch := func(region, source string) (id string) {
		t.Helper()
		id = string(image.NewID())
		must(t, c, token, "POST", "/v2/images", fmt.Sprintf(`{"id":%q,"name":"near","disk_format":"iso","container_format":"ovf"}`, id))
		if a := ask(id, region, source); a.status != http.StatusAccepted {
			t.Fatalf("the import from %s: %d %s", region, a.status, a.body)
		}
		return id
	}

	id := fetch(elsewhere, far.ID)
	c.waitFor(t, id, "active")
	near, err := images.Get(t.Context(), c.gophercloud(t, owner.AuthOptions), id).Extract()
	if err != nil {
		t.Fatal(err)
	}
	for name, ok := range map[string]bool{
		"name": near.Name == "near", "disk_format": near.DiskFormat == "raw", "container_format": near.ContainerFormat == "bare",
		"size": near.SizeBytes == int64(len(data)), "checksum": near.Checksum == far.Checksum,
		"os_hash_value": near.Properties["os_hash_value"] == far.Properties["os_hash_value"],
		"hw_disk_bus":   near.Properties["hw_disk_bus"] == "scsi", "os_distro": near.Properties["os_distro"] == "debian",
		"trait": near.Properties["trait:CUSTOM_FAST"] == "required", "secret": near.Properties["secret"] == nil,
	} {
		if !ok {
			t.Errorf("%s is wrong in %+v, which comes from %+v", name, near, far)
		}
	}
	if got := c.send(t, token, "GET", "/v2/images/"+id+"/file", ""); got.body != string(data) {
		t.Errorf("the data is %d, %d bytes", got.status, len(got.body))
	}

	fails := func(region, source, why string) {
		t.Helper()
		id := fetch(region, source)
		c.waitUntil(t, id, "given up", func(img document) bool { return img.Status == "queued" && img.Task == "" })
		if tasks := must(t, c, token, "GET", "/v2/images/"+id+"/tasks", ""); !strings.Contains(tasks, `"failure"`) || !strings.Contains(tasks, why) {
			t.Errorf("the import of %s from %s has the tasks %s, want %q", source, region, tasks, why)
		}
	}
	fails(elsewhere, empty.ID, "has no data")
	fails(elsewhere, foreign.ID, "answered 404")
	fails("Nowhere", far.ID, "Nowhere")
	if a := ask(empty.ID, elsewhere, far.ID); a.status != http.StatusNotFound {
		t.Errorf("an import to an image of the other region: %d %s", a.status, a.body)
	}
	if err := second.Stop(); err != nil {
		t.Fatal(err)
	}
	fails(elsewhere, far.ID, "cannot be reached")
}
