package daemon_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/daemon"
	"github.com/vitrine-image/vitrine/image"
)

// TestFaultsOfGlance asks for what Glance answers with 500, or does wrong, one after the other.
func TestFaultsOfGlance(t *testing.T) {
	cfg := daemon.Default()
	cfg.Data = t.TempDir()
	c, _ := run(t, cfg)
	ask := func(method, path, mediaType, body string, header ...string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, c.Endpoint()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", mediaType)
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(text)
	}
	const json, octets, ns = "application/json", "application/octet-stream", "/v2/metadefs/namespaces"
	uploaded, staged := declare(t, c, "qcow2").ID, declare(t, c, "qcow2").ID
	for _, tt := range []struct {
		name, method, path, mediaType, body string
		code                                int
		text                                string
	}{
		{"a list instead of an image", "POST", "/v2/images", json, `[]`, 400, ""},
		{"filter by locations", "GET", "/v2/images?locations=x", "", "", 400, ""},
		{"filter by properties", "GET", "/v2/images?properties=x", "", "", 400, ""},
		{"next keeps all tags", "GET", "/v2/images?limit=1&tag=a&tag=b", "", "", 200, "tag=a&tag=b"},
		{"a namespace to go on with", "POST", ns, json, `{"namespace":"N"}`, 201, ""},
		{"a page of no number", "GET", ns + "?limit=x", "", "", 400, ""},
		{"a negative page", "GET", ns + "?limit=-1", "", "", 400, ""},
		{"an unknown order", "GET", ns + "?sort_key=x", "", "", 400, ""},
		{"an unknown direction", "GET", ns + "?sort_dir=x", "", "", 400, ""},
		{"numbers in an enum", "POST", ns + "/N/properties", json, `{"name":"p","title":"P","type":"integer","enum":[1]}`, 400, ""},
		{"a list instead of a namespace", "POST", ns, json, `[]`, 400, ""},
		{"a list for a namespace", "PUT", ns + "/N", json, `[]`, 400, ""},
		{"a list instead of a property", "POST", ns + "/N/properties", json, `[]`, 400, ""},
		{"a list instead of an object", "POST", ns + "/N/objects", json, `[]`, 400, ""},
		{"a list instead of an association", "POST", ns + "/N/resource_types", json, `[]`, 400, ""},
		{"a list instead of tags", "POST", ns + "/N/tags", json, `[]`, 400, ""},
		{"data of another format", "PUT", "/v2/images/" + string(uploaded) + "/file", octets, "no qcow2", 415, ""},
		{"nothing of it can be read", "GET", "/v2/images/" + string(uploaded) + "/file", "", "", 204, ""},
		{"and it is no conflict", "PUT", "/v2/images/" + string(uploaded) + "/file", octets, "no qcow2 again", 415, ""},
		{"the same staged", "PUT", "/v2/images/" + string(staged) + "/stage", octets, "no qcow2", 204, ""},
		{"and imported", "POST", "/v2/images/" + string(staged) + "/import", json, `{"method":{"name":"glance-direct"}}`, 202, ""},
	} {
		code, text := ask(tt.method, tt.path, tt.mediaType, tt.body)
		if code != tt.code || !strings.Contains(text, tt.text) {
			t.Errorf("%s: %d %s, want %d with %q", tt.name, code, text, tt.code, tt.text)
		}
	}
	if code, _ := ask("GET", "/v2/images", "", "", "X-Openstack-Request-Id", strings.Repeat("x", 65)); code != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a request id of 65 characters: %d, want 431", code)
	}
	img := &image.Image{Status: image.Importing}
	for end := time.Now().Add(time.Minute); img.Status == image.Importing && time.Now().Before(end); {
		var err error
		if img, err = c.Get(t.Context(), staged); err != nil {
			t.Fatal(err)
		}
	}
	checkRefused(t, c, staged)
	if code, text := ask("PUT", "/v2/images/"+string(staged)+"/stage", octets, "once more"); code != http.StatusNoContent {
		t.Errorf("staged once more: %d %s, want 204", code, text)
	}
}
