package daemon_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/daemon"
	"github.com/vitrine-image/vitrine/glance"
	"github.com/vitrine-image/vitrine/internal/testdaemon"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// ask sends a request to an Image API and returns what it answers.
func ask(t *testing.T, method, url, kind string, body []byte, header ...string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true // or Glance would wait for the connection when it stops
	req.Header.Set("Content-Type", kind)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		t.Fatalf("%s %s: %d, %v: %s", method, url, resp.StatusCode, err, answer)
	}
	return answer
}

func object(t *testing.T, document []byte) map[string]any {
	t.Helper()
	var fields map[string]any
	if err := json.Unmarshal(document, &fields); err != nil {
		t.Fatalf("%s: %v", document, err)
	}
	return fields
}

// An oldCloud is a Glance with images, and what their data is.
type oldCloud struct {
	*testservers.GlanceServer
	dir  string
	data map[string][]byte // by image
	all  []string          // images that are there, by their ids
}

const jsonType, patchType, bytesType = "application/json", "application/openstack-images-v2.1-json-patch", "application/octet-stream"

func (g *oldCloud) create(t *testing.T, fields string) string {
	t.Helper()
	id := object(t, ask(t, "POST", g.URL+"/v2/images", jsonType, []byte(fields)))["id"].(string)
	g.all = append(g.all, id)
	return id
}

func (g *oldCloud) upload(t *testing.T, id, store string, data []byte) {
	t.Helper()
	ask(t, "PUT", g.URL+"/v2/images/"+id+"/file", bytesType, data, "X-Image-Meta-Store", store)
	g.data[id] = data
}

// fill makes images of every kind.
func (g *oldCloud) fill(t *testing.T, stores ...string) {
	t.Helper()
	for i, store := range stores {
		id := g.create(t, fmt.Sprintf(`{"name": "disk %d – ü", "disk_format": "raw", "container_format": "bare", "visibility": "public", "tags": ["b", "a"],
			"min_disk": 2, "min_ram": 512, "os_hidden": %v, "hw_disk_bus": "scsi", "note": "größer"}`, i, i == 1))
		g.upload(t, id, store, bytes.Repeat([]byte{'0' + byte(i)}, 100_000+i))
	}
	shared := g.create(t, `{"name": "shared", "disk_format": "iso", "container_format": "bare", "visibility": "shared", "owner": "p1", "protected": true}`)
	g.upload(t, shared, stores[0], []byte("not really an ISO"))
	ask(t, "POST", g.URL+"/v2/images/"+shared+"/members", jsonType, []byte(`{"member": "p2"}`))
	ask(t, "POST", g.URL+"/v2/images/"+shared+"/members", jsonType, []byte(`{"member": "p3"}`))
	ask(t, "PUT", g.URL+"/v2/images/"+shared+"/members/p3", jsonType, []byte(`{"status": "accepted"}`))
	off := g.create(t, `{"disk_format": "raw", "container_format": "bare", "visibility": "community"}`)
	g.upload(t, off, stores[0], []byte("deactivated"))
	ask(t, "POST", g.URL+"/v2/images/"+off+"/actions/deactivate", jsonType, nil)
	g.create(t, `{"name": "queued", "visibility": "private"}`)
	gone := g.create(t, `{"name": "gone", "disk_format": "raw", "container_format": "bare"}`)
	g.upload(t, gone, stores[0], []byte("deleted"))
	g.remove(t, gone)
	ask(t, "POST", g.URL+"/v2/metadefs/namespaces", jsonType, []byte(`{"namespace": "Own", "owner": "p1", "display_name": "Own", "visibility": "public", "protected": true,
		"resource_type_associations": [{"name": "OS::Glance::Image", "prefix": "own_"}],
		"properties": {"p": {"title": "P", "type": "integer", "minimum": 0, "default": 1.5}},
		"objects": [{"name": "o", "description": "D", "required": ["q"], "properties": {"q": {"title": "Q", "type": "string", "enum": ["ä", "b"]}}}],
		"tags": [{"name": "t"}]}`))
}

func (g *oldCloud) remove(t *testing.T, id string) {
	t.Helper()
	ask(t, "DELETE", g.URL+"/v2/images/"+id, jsonType, nil)
	g.all = slices.DeleteFunc(g.all, func(other string) bool { return other == id })
	delete(g.data, id)
}

// documents returns all that an Image API says of the images and definitions, by path.
func (g *oldCloud) documents(t *testing.T, endpoint string) map[string]map[string]any {
	t.Helper()
	all := make(map[string]map[string]any)
	get := func(path string, without ...string) {
		fields := object(t, ask(t, "GET", endpoint+path, jsonType, nil))
		for _, name := range without {
			delete(fields, name)
		}
		all[path] = fields
	}
	for _, id := range g.all {
		get("/v2/images/"+id, "virtual_size", "direct_url", "locations")
		tags, _ := all["/v2/images/"+id]["tags"].([]any)
		slices.SortFunc(tags, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
		if members := all["/v2/images/"+id]; members["visibility"] == "shared" {
			get("/v2/images/"+id+"/members", "schema")
		}
	}
	namespaces := object(t, ask(t, "GET", endpoint+"/v2/metadefs/namespaces?limit=1000", jsonType, nil))["namespaces"].([]any)
	for _, n := range namespaces {
		path := "/v2/metadefs/namespaces/" + n.(map[string]any)["namespace"].(string)
		get(path)
		forgive(all[path])
	}
	return all
}

// forgive takes out of a namespace what Glance leaves out of those that came with it, or says of nothing, and sorts it.
func forgive(fields map[string]any) {
	delete(fields, "updated_at")
	delete(fields, "self") // in which Glance leaves spaces
	if required, ok := fields["required"].([]any); ok && len(required) == 0 {
		delete(fields, "required")
	}
	for _, name := range []string{"resource_type_associations", "objects", "tags"} {
		list, _ := fields[name].([]any)
		for _, item := range list {
			forgive(item.(map[string]any))
		}
		slices.SortFunc(list, func(a, b any) int {
			return strings.Compare(a.(map[string]any)["name"].(string), b.(map[string]any)["name"].(string))
		})
	}
}

// vitrined runs a command of vitrined and returns what it prints.
func vitrined(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := daemon.Command()
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(io.Discard)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

// adopt takes over what Glance has, and expects that many problems.
func (g *oldCloud) adopt(t *testing.T, problems int, args ...string) *glance.Report {
	t.Helper()
	out, err := vitrined(t, append([]string{"admin", "adopt-glance", "--config", filepath.Join(g.dir, "vitrined.toml"), "--glance-config", g.Conf, "--json"}, args...)...)
	var report glance.Report
	if decode := json.Unmarshal([]byte(out), &report); decode != nil {
		t.Fatalf("adopt-glance %q prints %q, %v (%v)", args, out, err, decode)
	}
	if len(report.Problems) != problems || (err != nil) != (problems > 0) {
		t.Errorf("adopt-glance %q: %v, problems %v, want %d", args, err, report.Problems, problems)
	}
	return &report
}

// TestAdoptGlance moves from a Glance of Debian's: its configuration, then its database, again after changes on both sides.
func TestAdoptGlance(t *testing.T) {
	testservers.Require(t, "glanceserver", "fuse")
	t.Run("SQLite", func(t *testing.T) {
		moveFromGlance(t, testservers.GlanceConfig{Backends: "slow:file",
			Options: "[DEFAULT]\nmetadata_encryption_key = 0123456789abcdef\ndelayed_delete = True\n"}, "fast", "slow")
	})
	t.Run("MariaDB", func(t *testing.T) {
		testservers.Require(t, "mariadb")
		m, err := testservers.StartMariaDB(t.Context(), t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := m.Stop(); err != nil {
				t.Error(err)
			}
		}()
		if _, err := m.Run(t.Context(), "", "CREATE DATABASE glance CHARACTER SET utf8; CREATE USER g@'127.0.0.1' IDENTIFIED BY 'p@ss'; GRANT ALL ON glance.* TO g@'127.0.0.1'"); err != nil {
			t.Fatal(err)
		}
		moveFromGlance(t, testservers.GlanceConfig{Database: "mysql+pymysql://g:p%40ss@" + m.Address + "/glance?charset=utf8", Backends: "slow:file", Metadefs: true}, "fast", "slow")
	})
}

// moveFromGlance moves from a Glance with images in the stores.
func moveFromGlance(t *testing.T, cfg testservers.GlanceConfig, stores ...string) {
	old := t.TempDir()
	server, err := testservers.StartGlance(t.Context(), old, cfg)
	if err != nil {
		t.Fatal(err)
	}
	g := &oldCloud{GlanceServer: server, dir: t.TempDir(), data: make(map[string][]byte)}
	defer func() { g.Stop() }()
	g.fill(t, stores...)
	before := g.documents(t, g.URL)
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}

	translated, err := vitrined(t, "admin", "config", "from-glance", g.Conf)
	if err != nil || strings.Contains(translated, "To be mended") {
		t.Fatalf("from-glance: %v\n%s", err, translated)
	}
	confd := filepath.Join(g.dir, "conf.d")
	if err := os.Mkdir(confd, 0o755); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{filepath.Join(confd, "glance.toml"): strings.Replace(translated, ":9292", ":0", 1),
		filepath.Join(g.dir, "vitrined.toml"): fmt.Sprintf("data = %q\n", filepath.Join(g.dir, "data"))} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if r := g.adopt(t, 0, "--dry-run"); r.Images.Added != len(g.all) || !r.DryRun {
		t.Errorf("the dry run tells of %+v, want %d images added", r, len(g.all))
	}
	first := g.adopt(t, 0, "--verify")
	if first.Images != (glance.Counts{Added: len(g.all)}) || first.Members.Added != 2 || first.Deleted != 1 || first.Metadefs.Added == 0 ||
		first.Verified.Images != len(g.data) || first.Verified.NoHash+first.Verified.Bad != 0 {
		t.Errorf("the first run tells of %+v, %+v", first, first.Verified)
	}
	again := g.adopt(t, 0)
	if again.Images != (glance.Counts{Unchanged: len(g.all)}) || again.Members.Unchanged != 2 ||
		again.Metadefs != (glance.Counts{Unchanged: first.Metadefs.Added}) {
		t.Errorf("the second run tells of %+v", again)
	}
	if err := g.compare(t, before).Stop(); err != nil {
		t.Error(err)
	}

	// Both go on: one image is changed in Glance, one is deleted there, one is changed here.
	if err := g.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	ids := slices.Sorted(func(yield func(string) bool) {
		for id := range g.data {
			img := object(t, ask(t, "GET", g.URL+"/v2/images/"+id, jsonType, nil))
			if img["protected"] == false && img["status"] == "active" && !yield(id) {
				return
			}
		}
	})
	ask(t, "PATCH", g.URL+"/v2/images/"+ids[0], patchType, []byte(`[{"op": "replace", "path": "/name", "value": "renamed"}]`))
	g.remove(t, ids[1])
	after := g.documents(t, g.URL)
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}
	if r := g.adopt(t, 0, "--verify"); r.Images != (glance.Counts{Changed: 1, Removed: 1, Unchanged: len(g.all) - 1}) {
		t.Errorf("the run after changes in Glance tells of %+v", r)
	}
	d := g.compare(t, after)
	ask(t, "PATCH", d.Endpoint+"/v2/images/"+ids[0], patchType, []byte(`[{"op": "replace", "path": "/name", "value": "ours"}]`))
	if out, err := vitrined(t, "admin", "adopt-glance", "--config", filepath.Join(g.dir, "vitrined.toml"), "--glance-config", g.Conf); err == nil ||
		!strings.Contains(err.Error(), "another vitrined") {
		t.Errorf("adopting under a running daemon: %v, %s", err, out)
	}
	if err := d.Stop(); err != nil {
		t.Fatal(err)
	}
	r := g.adopt(t, 1)
	if r.Images != (glance.Counts{Left: 1, Unchanged: len(g.all) - 1}) || r.Problems[0].ID != ids[0] {
		t.Errorf("the run after a change here tells of %+v", r)
	}
}

// compare runs the daemon, and reads everything back through the API and the mount.
func (g *oldCloud) compare(t *testing.T, want map[string]map[string]any) *testdaemon.Daemon {
	t.Helper()
	d, err := testdaemon.Launch(testdaemon.Config{Dir: g.dir, Mount: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Stop() })
	got := g.documents(t, d.Endpoint)
	for path, document := range want {
		if fmt.Sprint(got[path]) != fmt.Sprint(document) { // numbers and booleans of definitions may be text in Glance
			t.Errorf("%s is\n%v, in Glance it was\n%v", path, got[path], document)
		}
	}
	if len(got) != len(want) {
		t.Errorf("there are %d documents, in Glance there were %d", len(got), len(want))
	}
	for id, data := range g.data {
		if answer := ask(t, "GET", d.Endpoint+"/v2/images/"+id+"/file", jsonType, nil); !bytes.Equal(answer, data) {
			t.Errorf("image %s has %d bytes that are not those of Glance", id, len(answer))
		}
		if want["/v2/images/"+id]["status"] != "active" {
			continue
		}
		files, err := filepath.Glob(filepath.Join(d.Mount, "by-id", id, "image.*"))
		if err != nil || len(files) != 1 {
			t.Errorf("the mount has %v of image %s, %v", files, id, err)
			continue
		}
		if read, err := os.ReadFile(files[0]); err != nil || !bytes.Equal(read, data) {
			t.Errorf("%s has %d bytes, %v, which are not those of Glance", files[0], len(read), err)
		}
	}
	return d
}
