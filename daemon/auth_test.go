package daemon_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/vitrine-image/vitrine/client"
	"github.com/vitrine-image/vitrine/daemon"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/testcert"
	"github.com/vitrine-image/vitrine/internal/testdaemon"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

func put(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// withUsers is a configuration with the users olga, a member of ops, otto, one of dev, and ada, an admin.
func withUsers(t *testing.T) daemon.Config {
	t.Helper()
	dir := t.TempDir()
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	cfg := daemon.Default()
	cfg.Data = filepath.Join(dir, "data")
	cfg.API.Listen = []string{"127.0.0.1:0"}
	cfg.Auth.Type = "basic"
	cfg.Auth.Basic.HTPasswd = put(t, filepath.Join(dir, "htpasswd"), fmt.Sprintf("olga:%s\notto:%s\nada:%s\n", hash, hash, hash))
	cfg.Auth.Basic.Users = put(t, filepath.Join(dir, "users.toml"), `
[olga]
project = "ops"
roles = ["member"]
[otto]
project = "dev"
roles = ["member"]
[ada]
project = "admin"
roles = ["admin"]
`)
	return cfg
}

// login returns a client of a user.
func login(t *testing.T, address net.Addr, user string) *client.Client {
	t.Helper()
	cfg := client.Config{Endpoint: "http://" + address.String(), Retries: -1}
	if user != "" {
		cfg.User, cfg.Password = user, "secret"
	}
	c, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestPasswords(t *testing.T) {
	cfg := withUsers(t)
	cfg.Auth.Anonymous = true
	running, _ := start(t, cfg)
	olga, otto, ada, nobody := login(t, running.Addrs[0], "olga"), login(t, running.Addrs[0], "otto"), login(t, running.Addrs[0], "ada"), login(t, running.Addrs[0], "")
	id := newDisk(t, olga, "debian", []byte("disk"))
	for name, c := range map[string]*client.Client{"another project": otto, "nobody": nobody} {
		if _, err := c.Get(t.Context(), id); !errors.Is(err, image.ErrNotFound) {
			t.Errorf("%s: %v, want image.ErrNotFound", name, err)
		}
	}
	if _, err := ada.Edit(t.Context(), id, []image.Edit{{Op: image.EditReplace, Name: "visibility", Value: "public"}}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*client.Client{"another project": otto, "nobody": nobody} {
		if _, err := c.Get(t.Context(), id); err != nil {
			t.Errorf("%s, once it is public: %v", name, err)
		}
	}
	if _, err := nobody.Create(t.Context(), "", nil); err == nil {
		t.Error("nobody created an image")
	}
}

// TestPolicyFiles lets an operator change who may do what, and what may be seen, while the daemon runs.
func TestPolicyFiles(t *testing.T) {
	cfg := withUsers(t)
	dir := t.TempDir()
	cfg.Policy.File = put(t, filepath.Join(dir, "policy.yaml"), "")
	cfg.Policy.Protections = put(t, filepath.Join(dir, "protections.conf"), "[^billing]\ncreate = admin\nread = admin\nupdate = admin\ndelete = admin\n"+
		"[.*]\ncreate = @\nread = @\nupdate = @\ndelete = @\n")
	running, _ := start(t, cfg)
	olga, ada := login(t, running.Addrs[0], "olga"), login(t, running.Addrs[0], "ada")
	id := newDisk(t, olga, "debian", []byte("disk"))
	mark := []image.Edit{{Op: image.EditAdd, Name: "billing_code", Value: "7"}}
	if _, err := olga.Edit(t.Context(), id, mark); !errors.Is(err, image.ErrForbidden) {
		t.Errorf("a member sets a protected property: %v, want image.ErrForbidden", err)
	}
	if _, err := ada.Edit(t.Context(), id, mark); err != nil {
		t.Error(err)
	}
	if img, err := olga.Get(t.Context(), id); err != nil || img.Properties["billing_code"] != "" {
		t.Errorf("a member sees a protected property: %v, %v", img.Properties, err)
	}
	publish := []image.Edit{{Op: image.EditReplace, Name: "visibility", Value: "public"}}
	if _, err := olga.Edit(t.Context(), id, publish); !errors.Is(err, image.ErrForbidden) {
		t.Errorf("a member publishes: %v, want image.ErrForbidden", err)
	}
	put(t, cfg.Policy.File, "publicize_image: \"role:member\"\n")
	err := image.ErrForbidden
	for errors.Is(err, image.ErrForbidden) && t.Context().Err() == nil { // until the change is seen
		_, err = olga.Edit(t.Context(), id, publish)
	}
	if err != nil {
		t.Errorf("a member publishes, as the file allows: %v", err)
	}
}

func TestWrongFilesKeepTheDaemonFromRunning(t *testing.T) {
	ca := testcert.New(t)
	cert, _ := ca.Issue(t, "server")
	_, otherKey := ca.Issue(t, "other")
	dir := t.TempDir()
	bad := put(t, filepath.Join(dir, "bad"), "get_image: [\n")
	for _, tt := range []struct {
		name   string
		change func(*daemon.Config)
		want   string
	}{
		{"passwords", func(c *daemon.Config) { c.Auth.Basic.HTPasswd = bad }, "line 1"},
		{"no passwords", func(c *daemon.Config) { c.Auth.Basic.HTPasswd = dir + "/nowhere" }, "nowhere"},
		{"policy", func(c *daemon.Config) { c.Policy.File = bad }, "policy"},
		{"protections", func(c *daemon.Config) { c.Policy.Protections = bad }, "property protections"},
		{"certificate", func(c *daemon.Config) {
			c.API.ListenTLS, c.API.TLSCert, c.API.TLSKey = []string{"127.0.0.1:0"}, cert, otherKey
		}, "certificate of the API"},
		{"secret", func(c *daemon.Config) {
			c.Auth.Type, c.Auth.Keystone.URL, c.Auth.Keystone.Username, c.Auth.Keystone.Project = "keystone", "http://k/v3", "u", "p"
			c.Auth.Keystone.PasswordFile = dir + "/nowhere"
		}, "nowhere"},
		{"limits for an application credential", func(c *daemon.Config) {
			c.Auth.Type, c.Auth.Keystone.URL, c.Auth.Keystone.CredentialID = "keystone", "http://k/v3", "c"
			c.Auth.Keystone.CredentialSecret, c.Quotas.Keystone.Enabled = "s", true
		}, "sees no limits of others"},
	} {
		cfg := withUsers(t)
		tt.change(&cfg)
		err := daemon.Run(t.Context(), cfg, daemon.Options{Log: t.Output(), Ready: func(daemon.Running) { t.Errorf("%s: the daemon runs", tt.name) }})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

// TestTrustedHeaders sends what a proxy would, over a socket, over loopback and over TLS with its certificate.
func TestTrustedHeaders(t *testing.T) {
	ca := testcert.New(t)
	cfg, _, _ := withTLS(t, ca)
	dir, err := os.MkdirTemp("", "socket") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	cfg.API.Listen = append(cfg.API.Listen, "unix:"+dir+"/api.sock")
	cfg.API.TLSClientCA = ca.File
	cfg.Auth.Type, cfg.Auth.Trusted.Proxies = "trusted_headers", []string{"proxy"}
	running, _ := start(t, cfg)
	socket := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", dir+"/api.sock") }}
	secure := func(names ...string) *http.Transport {
		config := &tls.Config{RootCAs: ca.Pool}
		for _, name := range names {
			config.Certificates = append(config.Certificates, ca.Pair(t, name))
		}
		return &http.Transport{TLSClientConfig: config}
	}
	for _, tt := range []struct {
		name      string
		transport *http.Transport
		url       string
		code      int
	}{
		{"loopback", &http.Transport{}, "http://" + running.Addrs[0].String(), 200},
		{"socket", socket, "http://localhost", 200},
		{"TLS", secure("proxy"), "https://" + running.Addrs[2].String(), 200},
		{"another certificate", secure("somebody"), "https://" + running.Addrs[2].String(), 401},
	} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", tt.url+"/v2/images", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = http.Header{"X-Identity-Status": {"Confirmed"}, "X-User-Id": {"olga"}, "X-Project-Id": {"ops"}, "X-Roles": {"member,reader"}}
		resp, err := tt.transport.RoundTrip(r)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		resp.Body.Close()
		tt.transport.CloseIdleConnections()
		if resp.StatusCode != tt.code {
			t.Errorf("%s: %s, want %d", tt.name, resp.Status, tt.code)
		}
	}
}

// TestMountWithAuthentication looks for what no tenant can squat: the top-level names hold public images and those of
// trusted projects.
func TestMountWithAuthentication(t *testing.T) {
	testservers.Require(t, "fuse")
	cfg := withUsers(t)
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "conf.d"), 0o755); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, "conf.d", "mount.toml"), "[mount]\ntrusted_projects = [\"dev\"]\n")
	d := testdaemon.Start(t, testdaemon.Config{Dir: dir, Mount: true, TOML: fmt.Sprintf("[auth]\ntype = \"basic\"\n[auth.basic]\nhtpasswd = %q\nusers = %q\n",
		cfg.Auth.Basic.HTPasswd, cfg.Auth.Basic.Users)})
	address, err := net.ResolveTCPAddr("tcp", d.Addrs[0])
	if err != nil {
		t.Fatal(err)
	}
	olga, otto, ada := login(t, address, "olga"), login(t, address, "otto"), login(t, address, "ada")
	private := newDisk(t, olga, "debian", []byte("squatted"))
	public := newDisk(t, ada, "debian", []byte("public"), image.Edit{Op: image.EditAdd, Name: "visibility", Value: "public"})
	trusted := newDisk(t, otto, "debian", []byte("trusted"))
	newDisk(t, olga, "windows", []byte("hidden"))

	if got, want := entries(t, filepath.Join(d.Mount, "by-name")), []string{"debian"}; !slices.Equal(got, want) {
		t.Errorf("by-name holds %v, want %v", got, want)
	}
	want := []string{string(public), string(trusted), "latest"}
	slices.Sort(want)
	if got := entries(t, filepath.Join(d.Mount, "by-name", "debian")); !slices.Equal(got, want) {
		t.Errorf("by-name/debian holds %v, want %v", got, want)
	}
	if got, err := os.ReadFile(filepath.Join(d.Mount, "by-name/debian/latest/disk.raw")); err != nil || string(got) != "trusted" {
		t.Errorf("by-name/debian/latest is %q, %v", got, err)
	}
	if got, err := os.ReadFile(filepath.Join(d.Mount, "by-project/ops/by-name/debian", string(private), "disk.raw")); err != nil || string(got) != "squatted" {
		t.Errorf("by-project/ops/by-name/debian holds %q, %v", got, err)
	}
}
