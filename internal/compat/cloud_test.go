package compat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"

	"github.com/vitrine-image/vitrine/internal/testdaemon"
	"github.com/vitrine-image/vitrine/internal/testservers"
	"github.com/vitrine-image/vitrine/metadef/definitions"
)

func TestMain(m *testing.M) {
	testdaemon.ServeIfChild()
	code := m.Run()
	if err := stopCloud(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// A cloud is Keystone and vitrined, which is the image endpoint of its catalog.
type cloud struct {
	*testservers.Keystone
	*testdaemon.Daemon
	dir string
}

var theCloud struct {
	sync.Mutex
	*cloud
}

// otherWorker is the type of service in the catalog under which Tempest looks for another worker.
const otherWorker = "image_remote"

// openCloud returns the cloud of all tests; the first one starts it.
func openCloud(t *testing.T) *cloud {
	t.Helper()
	theCloud.Lock()
	defer theCloud.Unlock()
	if theCloud.cloud == nil {
		theCloud.cloud = startCloud(t)
	}
	return theCloud.cloud
}

func startCloud(t *testing.T) *cloud {
	t.Helper()
	keystone := testservers.SharedKeystone(t)
	dir, err := os.MkdirTemp("", "cloud")
	if err != nil {
		t.Fatal(err)
	}
	// A second address of the same daemon stands for another worker.
	if err := errors.Join(os.Mkdir(dir+"/conf.d", 0o755),
		os.WriteFile(dir+"/conf.d/listen.toml", []byte("[api]\nlisten = [\"127.0.0.1:0\", \"127.0.0.1:0\"]\n"), 0o644)); err != nil {
		t.Fatal(err)
	}
	daemon, err := testdaemon.Launch(testdaemon.Config{Dir: dir, TOML: fmt.Sprintf(`
[stores.fast]
type = "file"
path = %q
default = true
[stores.slow]
type = "file"
path = %q
[images]
require_format_match = false
[import]
methods = ["glance-direct", "web-download", "copy-image", "glance-download"]
[outgoing]
allow_networks = ["127.0.0.0/8"]
allowed_ports = []
`, dir+"/fast", dir+"/slow") + authTOML(t, keystone, "vitrine")})
	if err != nil {
		t.Fatal(err)
	}
	keystone.Register(t, "image", "vitrine", daemon.Endpoint)
	keystone.Register(t, otherWorker, "vitrine's other address", "http://"+daemon.Addrs[1])
	c := &cloud{keystone, daemon, dir}
	c.loadDefinitions(t)
	return c
}

// authTOML returns the configuration of a daemon that asks Keystone, for which it makes a user of that name.
func authTOML(t *testing.T, keystone *testservers.Keystone, name string) string {
	t.Helper()
	service := keystone.Service(t, name)
	return fmt.Sprintf("[auth]\ntype = \"keystone\"\n[auth.keystone]\nurl = %q\nusername = %q\npassword = %q\nproject = %q\n",
		strings.TrimSuffix(keystone.AuthURL, "/v3"), service.Username, service.Password, name)
}

// loadDefinitions gives the catalog of metadata definitions to the cloud, which every cloud has.
func (c *cloud) loadDefinitions(t *testing.T) {
	t.Helper()
	token := c.Token(t, c.AdminLogin())
	names, err := fs.Glob(definitions.Files, "*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := definitions.Files.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if a := c.send(t, token, "POST", "/v2/metadefs/namespaces", string(text)); a.status != http.StatusCreated {
			t.Fatalf("%s: %d %s", name, a.status, a.body)
		}
	}
}

// An answer is what the API said.
type answer struct {
	status int
	body   string
}

// send sends a request with a token ("" for none); a body is JSON unless the path is that of data or the method PATCH.
func (c *cloud) send(t *testing.T, token, method, path, body string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, c.Endpoint+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("X-Auth-Token", token)
	}
	switch {
	case body == "":
	case method == "PATCH":
		req.Header.Set("Content-Type", "application/openstack-images-v2.1-json-patch")
	case strings.HasSuffix(path, "/file"), strings.HasSuffix(path, "/stage"):
		req.Header.Set("Content-Type", "application/octet-stream")
	default:
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, string(text)}
}

// stopCloud ends what openCloud started.
func stopCloud() error {
	c := theCloud.cloud
	if c == nil {
		return nil
	}
	return errors.Join(c.Daemon.Stop(), testservers.StopShared(), os.RemoveAll(c.dir))
}

// A user is somebody with a role in a project.
type user struct {
	gophercloud.AuthOptions
	project string // id
}

// user makes a user of a project (by id), with roles.
func (c *cloud) user(t *testing.T, name, project string, roles ...string) user {
	t.Helper()
	password := "password of " + name
	c.User(t, name, password, project, roles...)
	return user{c.Login(name, password, project), project}
}

// waitFor waits until an image has the status.
func (c *cloud) waitFor(t *testing.T, id, status string) {
	t.Helper()
	c.waitUntil(t, id, fmt.Sprintf("%q: %q", "status", status), func(img document) bool { return img.Status == status })
}

// waitForStores waits until an image lies in just these stores, and nothing is going on with it.
func (c *cloud) waitForStores(t *testing.T, id, stores string) {
	t.Helper()
	c.waitUntil(t, id, "stores "+stores, func(img document) bool {
		got := strings.Split(img.Stores, ",")
		slices.Sort(got)
		return strings.Join(got, ",") == stores && img.Importing == ""
	})
}

// A document is what the tests read of an image.
type document struct {
	Status    string
	Stores    string
	Importing string `json:"os_glance_importing_to_stores"`
	Task      string `json:"os_glance_import_task"`
}

// waitUntil asks until the image is as wanted; imports tell nobody that they are done.
func (c *cloud) waitUntil(t *testing.T, id, what string, ok func(document) bool) {
	t.Helper()
	token := c.Token(t, c.AdminLogin())
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		a := c.send(t, token, "GET", "/v2/images/"+id, "")
		var img document
		if err := json.Unmarshal([]byte(a.body), &img); err != nil {
			t.Fatalf("image %s: %d %s", id, a.status, a.body)
		}
		if ok(img) {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("image %s is not %s in time: %s", id, what, a.body)
		}
	}
}
