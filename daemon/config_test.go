package daemon

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// uncomment makes every setting of the sample take effect, save the alternative that a file store may have only one of.
func uncomment(sample string) string {
	var lines []string
	for line := range strings.Lines(sample) {
		if regexp.MustCompile(`^#[a-z\[]`).MatchString(line) && !strings.HasPrefix(line, "#paths") {
			line = line[1:]
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "")
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSampleHoldsTheDefaults(t *testing.T) {
	got, err := Load(write(t, t.TempDir(), "vitrined.toml", uncomment(Sample)))
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	if err := want.finish(); err != nil {
		t.Fatal(err)
	}
	if err := got.finish(); err != nil {
		t.Fatal(err)
	}
	if said, is := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); said != is { // an empty list is as good as none
		t.Errorf("the sample says\n%s\nand the defaults are\n%s", said, is)
	}
}

func TestSampleNamesEveryKey(t *testing.T) {
	var check func(typ reflect.Type)
	check = func(typ reflect.Type) {
		for i := range typ.NumField() {
			field := typ.Field(i)
			key := field.Tag.Get("toml")
			switch {
			case field.Type.Kind() == reflect.Struct:
				check(field.Type)
			case field.Type.Kind() == reflect.Map && field.Type.Elem().Kind() == reflect.Struct, field.Type == reflect.TypeFor[[]StorePath]():
				check(field.Type.Elem())
			case !regexp.MustCompile(`(?m)^#.*\b` + key + ` = `).MatchString(Sample):
				t.Errorf("the sample does not explain %s", key)
			}
		}
	}
	check(reflect.TypeFor[Config]())
}

func TestUnknownKeysAreErrorsWithFileAndLine(t *testing.T) {
	path := write(t, t.TempDir(), "vitrined.toml", "[api]\nlisten = [\"127.0.0.1:1\"]\nlitsen = 1\n")
	_, err := Load(path)
	if err == nil || !strings.Contains(err.Error(), path+":3:1: unknown key api.litsen") {
		t.Errorf("Load = %v", err)
	}
	path = write(t, t.TempDir(), "vitrined.toml", "[images]\nsize_cap = \"10 apples\"\n")
	if _, err = Load(path); err == nil || !strings.Contains(err.Error(), path+":2:") {
		t.Errorf("Load of a wrong size = %v", err)
	}
	path = write(t, t.TempDir(), "vitrined.toml", "[mount]\nshow = \"pubic\"\n")
	if _, err = Load(path); err == nil || !strings.Contains(err.Error(), path+":2:") || !strings.Contains(err.Error(), "neither all nor public") {
		t.Errorf("Load of a wrong word = %v", err)
	}
}

func TestLaterFilesWin(t *testing.T) {
	dir := t.TempDir()
	path := write(t, dir, "vitrined.toml", "[log]\nlevel = \"warn\"\n[stores.a]\ntype = \"file\"\npath = \"/a\"\ndefault = true\n")
	write(t, dir, "conf.d/20.toml", "[log]\nlevel = \"debug\"\n")
	write(t, dir, "conf.d/10.toml", "[log]\nlevel = \"error\"\n[stores.b]\ntype = \"file\"\npath = \"/b\"\n")
	cfg, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Log.Level != "debug" || cfg.Stores["a"].Path != "/a" || cfg.Stores["b"].Path != "/b" {
		t.Errorf("Load = %+v", cfg)
	}
	write(t, dir, "conf.d/30.toml", "[stores.a]\ntype = \"file\"\npath = \"/c\"\n")
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "stores.a") {
		t.Errorf("one store in two files: %v", err)
	}
}

func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Config)
		want   string // part of the error, "" for none
	}{
		{"default", func(*Config) {}, ""},
		{"unix socket", func(c *Config) { c.API.Listen = []string{"unix:/run/v.sock"} }, ""},
		{"IPv6 loopback", func(c *Config) { c.API.Listen = []string{"[::1]:0"} }, ""},
		{"network", func(c *Config) { c.API.Listen = []string{"0.0.0.0:9292"} }, "without authentication"},
		{"any address", func(c *Config) { c.API.Listen = []string{":9292"} }, "without authentication"},
		{"a name", func(c *Config) { c.API.Listen = []string{"images.example:9292"} }, "without authentication"},
		{"network, allowed", func(c *Config) { c.API.Listen = []string{":9292"}; c.Auth.OpenToNetwork = true }, ""},
		{"no address", func(c *Config) { c.API.Listen = []string{"9292"} }, "neither host:port"},
		{"no time to stall", func(c *Config) { c.API.StallTimeout = 0 }, "api.stall_timeout"},
		{"no connections", func(c *Config) { c.API.MaxConnections = 0 }, "api.max_connections"},
		{"no memory", func(c *Config) { c.Images.BufferMemory = 0 }, "images.buffer_memory"},
		{"no tables", func(c *Config) { c.Images.TableCache = 0 }, "images.table_cache"},
		{"no changes", func(c *Config) { c.Metadata.KeepChanges = 0 }, "metadata.keep_changes"},
		{"a cache for nothing", func(c *Config) { c.Mount.CacheSize = 1000 }, "mount.cache_size"},
		{"no read-ahead", func(c *Config) { c.Mount.ReadAhead = 1000 }, "mount.read_ahead"},
		{"hash", func(c *Config) { c.Images.HashingAlgorithm = "crc32" }, "hashing_algorithm"},
		{"auth", func(c *Config) { c.Auth.Type = "magic" }, "auth.type"},
		{"Keystone without a URL", func(c *Config) { c.Auth.Type = "keystone" }, "auth.keystone.url"},
		{"Keystone without a user", func(c *Config) { c.Auth = keystoneAuth(); c.Auth.Keystone.Username = "" }, "give a username"},
		{"Keystone without a project", func(c *Config) { c.Auth = keystoneAuth(); c.Auth.Keystone.Project = "" }, "auth.keystone.project"},
		{"Keystone with two passwords", func(c *Config) { c.Auth = keystoneAuth(); c.Auth.Keystone.PasswordFile = "/p" }, "either password"},
		{"Keystone twice", func(c *Config) { c.Auth = keystoneAuth(); c.Auth.Keystone.Cloud = "c" }, "auth.keystone.cloud"},
		{"Keystone without time", func(c *Config) { c.Auth = keystoneAuth(); c.Auth.Keystone.Timeout = 0 }, "auth.keystone.timeout"},
		{"Keystone on the network", func(c *Config) { c.Auth = keystoneAuth(); c.API.Listen = []string{":9292"} }, ""},
		{"a cloud", func(c *Config) { c.Auth.Type, c.Auth.Keystone.Cloud = "keystone", "c" }, ""},
		{"no passwords", func(c *Config) { c.Auth.Type, c.Auth.Basic.Users = "basic", "/users" }, "auth.basic.htpasswd"},
		{"a relative path", func(c *Config) { c.Auth.Type, c.Auth.Basic = "basic", BasicConfig{HTPasswd: "/p", Users: "users"} }, "no absolute path"},
		{"trusted headers on the network", func(c *Config) { c.Auth.Type = "trusted_headers"; c.API.Listen = []string{"10.0.0.1:9292"} }, "X-User-Id"},
		{"trusted headers here", func(c *Config) { c.Auth.Type = "trusted_headers" }, ""},
		{"trusted headers by TLS", func(c *Config) { c.Auth.Type = "trusted_headers"; c.API = withTLS(c.API) }, "X-User-Id"},
		{"trusted headers by certificate", func(c *Config) {
			c.Auth.Type = "trusted_headers"
			c.API = withTLS(c.API)
			c.API.TLSClientCA = "/ca.pem"
		}, ""},
		{"TLS alone", func(c *Config) { c.Auth = keystoneAuth(); c.API = withTLS(c.API); c.API.Listen = nil }, ""},
		{"TLS without authentication", func(c *Config) { c.API = withTLS(c.API) }, "without authentication"},
		{"TLS without a key", func(c *Config) { c.Auth = keystoneAuth(); c.API = withTLS(c.API); c.API.TLSKey = "" }, "tls_key"},
		{"certificate for nothing", func(c *Config) { c.API.TLSCert = "/c" }, "api.listen_tls"},
		{"TLS on a socket", func(c *Config) { c.API = withTLS(c.API); c.API.ListenTLS = []string{"unix:/run/v.sock"} }, "needs no TLS"},
		{"certificates of nobody", func(c *Config) { c.Auth = keystoneAuth(); c.API = withTLS(c.API); c.API.TLSRequireClientCert = true }, "tls_client_ca"},
		{"policy", func(c *Config) { c.Policy.File = "policy.yaml" }, "policy.file"},
		{"protections", func(c *Config) { c.Policy.ProtectionsFormat = "people" }, "property_protections_format"},
		{"policy certificate", func(c *Config) { c.Policy.HTTP.CertFile = "/c" }, "belong together"},
		{"pages", func(c *Config) { c.Auth = keystoneAuth(); c.API.CORSOrigins = []string{"https://dashboard.example"} }, ""},
		{"pages without authentication", func(c *Config) { c.API.CORSOrigins = []string{"https://dashboard.example"} }, "set auth.type"},
		{"no page", func(c *Config) { c.Auth = keystoneAuth(); c.API.CORSOrigins = []string{"dashboard"} }, "no origin"},
		{"no proxy", func(c *Config) { c.API.TrustedProxies = []string{"proxy"} }, "api.trusted_proxies"},
		{"little bandwidth", func(c *Config) { c.Limits.Download = 1000 }, "limits"},
		{"certificates in a directory", func(c *Config) {
			c.Signatures = SignaturesConfig{Directory: "/etc/vitrine/certificates", TrustFile: "/etc/vitrine/trusted.pem"}
		}, ""},
		{"certificates somewhere", func(c *Config) { c.Signatures.Directory = "certificates" }, "signatures.directory"},
		{"trust in nobody", func(c *Config) { c.Signatures.TrustFile = "/t" }, "by directory or by barbican"},
		{"Barbican", func(c *Config) { c.Auth = keystoneAuth(); c.Signatures.Barbican = "https://barbican.example:9311" }, ""},
		{"Barbican without tokens", func(c *Config) { c.Signatures.Barbican = "https://barbican.example:9311" }, "auth.type"},
		{"no Barbican", func(c *Config) { c.Auth = keystoneAuth(); c.Signatures.Barbican = "barbican.example" }, "signatures.barbican"},
		{"two places for certificates", func(c *Config) {
			c.Auth = keystoneAuth()
			c.Signatures = SignaturesConfig{Directory: "/c", Barbican: "https://barbican.example:9311"}
		}, "either directory or barbican"},
		{"events somewhere", func(c *Config) { c.Events.Path = "events.jsonl" }, "events.path"},
		{"audit somewhere", func(c *Config) { c.Audit.Path = "audit.jsonl" }, "audit.path"},
		{"two logs in a file", func(c *Config) { c.Events.Path, c.Audit.Path = "/log", "/log" }, "audit.path"},
		{"strict about nothing", func(c *Config) { c.Audit.Strict = true }, "audit.strict"},
		{"a webhook without a secret", func(c *Config) {
			c.Events.Webhooks = map[string]WebhookConfig{"a": {URL: "http://a.example"}}
		}, "events.webhooks.a.secret_file"},
		{"level", func(c *Config) { c.Log.Level = "loud" }, "log.level"},
		{"database", func(c *Config) { c.Metadata.URL = "mysql://x" }, "metadata.url"},
		{"store id", func(c *Config) { c.Stores = map[string]StoreConfig{"a b": {Type: "file", Path: "/a"}} }, "a b"},
		{"store type", func(c *Config) { c.Stores = map[string]StoreConfig{"a": {Type: "tape", Path: "/a"}} }, "tape"},
		{"a store on the web", func(c *Config) {
			c.Stores = map[string]StoreConfig{"a": {Path: "/a"}, "web": {Type: "http", AllowedHosts: []string{"*.example.org"}, Requests: 4}}
		}, ""},
		{"nothing but the web", func(c *Config) { c.Stores = map[string]StoreConfig{"web": {Type: "http"}} }, "default = true"},
		{"the web as default", func(c *Config) {
			c.Stores = map[string]StoreConfig{"a": {Path: "/a"}, "web": {Type: "http", Default: true}}
		}, "cannot be the default"},
		{"a directory on the web", func(c *Config) {
			c.Stores = map[string]StoreConfig{"a": {Path: "/a"}, "web": {Type: "http", Path: "/b"}}
		}, "no directory"},
		{"no host", func(c *Config) {
			c.Stores = map[string]StoreConfig{"a": {Path: "/a"}, "web": {Type: "http", AllowedHosts: []string{"a b"}}}
		}, "stores.web"},
		{"hosts of a disk", func(c *Config) {
			c.Stores = map[string]StoreConfig{"a": {Path: "/a", AllowedHosts: []string{"example.org"}}}
		}, "are for stores of the type http"},
		{"a pool of Ceph", func(c *Config) {
			c.Stores = map[string]StoreConfig{"ceph": {Type: "rbd", Pool: "images", User: "images", Conf: "/etc/ceph/ceph.conf", Trash: true}}
		}, ""},
		{"a pool without a user", func(c *Config) {
			c.Stores = map[string]StoreConfig{"ceph": {Type: "rbd", Pool: "images"}}
		}, "needs a pool and a user"},
		{"a directory in Ceph", func(c *Config) {
			c.Stores = map[string]StoreConfig{"ceph": {Type: "rbd", Pool: "images", User: "images", Path: "/a"}}
		}, "has no path"},
		{"a keyring somewhere", func(c *Config) {
			c.Stores = map[string]StoreConfig{"ceph": {Type: "rbd", Pool: "images", User: "images", Keyring: "keyring"}}
		}, "no absolute path"},
		{"clones beside the images", func(c *Config) {
			c.Stores = map[string]StoreConfig{"ceph": {Type: "rbd", Pool: "images", User: "images", ClonePools: []string{"vms", "images"}}}
		}, "make clones in another one"},
		{"clones in another cluster", func(c *Config) {
			c.Stores = map[string]StoreConfig{"a": {Type: "rbd", Pool: "images", User: "images", ClonePools: []string{"vms"}, Default: true},
				"b": {Type: "rbd", Pool: "vms", User: "images", Conf: "/etc/ceph/b.conf"}}
		}, ""},
		{"clones in no pool", func(c *Config) {
			c.Stores = map[string]StoreConfig{"ceph": {Type: "rbd", Pool: "images", User: "images", ClonePools: []string{""}}}
		}, "a pool has a name"},
		{"clones on a disk", func(c *Config) {
			c.Stores = map[string]StoreConfig{"a": {Path: "/a", ClonePools: []string{"vms"}}}
		}, "are for stores of the type rbd"},
		{"the pool of a disk", func(c *Config) {
			c.Stores = map[string]StoreConfig{"a": {Path: "/a", Pool: "images"}}
		}, "are for stores of the type rbd"},
		{"negative repetitions", func(c *Config) { c.Images.HTTPRetries = -1 }, "images.http_retries"},
		{"two defaults", func(c *Config) {
			c.Stores = map[string]StoreConfig{"a": {Type: "file", Path: "/a"}, "b": {Type: "file", Path: "/b"}}
		}, "default = true"},
		{"mount over the data", func(c *Config) { c.Mount.Path = "/var/lib" }, "hide"},
		{"mount below a store", func(c *Config) { c.Mount.Path = "/var/lib/vitrine/images/mnt" }, "lie in each other"},
		{"mount over a store", func(c *Config) {
			c.Mount.Path = "/srv"
			c.Stores = map[string]StoreConfig{"a": {Type: "file", Path: "/srv/images"}}
		}, "lie in each other"},
		{"mount beside the stores", func(c *Config) { c.Mount.Path = "/var/lib/vitrine/..mnt" }, ""},
		{"all and more", func(c *Config) { c.Mount.Show = Shown{"p", "all"} }, "mount.show"},
		{"an owner that is none, without a mount", func(c *Config) { c.Mount.Owner = "no-such-user" }, "mount.owner"},
		{"a negative quota", func(c *Config) { c.Images.PropertyQuota = -5 }, "images.property_quota"},
		{"limits of Keystone", func(c *Config) { c.Auth = keystoneAuth(); c.Quotas.Keystone.Enabled = true }, ""},
		{"limits without Keystone", func(c *Config) { c.Quotas.Keystone.Enabled = true }, "auth.type = \"keystone\""},
		{"limits of two kinds", func(c *Config) { c.Auth = keystoneAuth(); c.Quotas.Keystone.Enabled, c.Quotas.Images = true, 3 }, "leave the others"},
		{"limits that are always asked for", func(c *Config) {
			c.Auth = keystoneAuth()
			c.Quotas.Keystone = KeystoneLimits{Enabled: true, Service: "image"}
		}, "quotas.keystone.cache_time"},
		{"limits of no service", func(c *Config) {
			c.Auth = keystoneAuth()
			c.Quotas.Keystone = KeystoneLimits{Enabled: true, CacheTime: Minute}
		}, "quotas.keystone.service"},
		{"owner", func(c *Config) { c.Mount.Path, c.Mount.Owner = "/srv/vitrine", "no such user" }, "mount.owner"},
		{"group", func(c *Config) { c.Mount.Path, c.Mount.Group = "/srv/vitrine", "no such group" }, "mount.group"},
		{"one directory twice", func(c *Config) {
			c.Stores = map[string]StoreConfig{"a": {Type: "file", Paths: []StorePath{{Path: "/a"}, {Path: "/a/"}}}}
		}, "lie in each other"},
		{"two stores in one directory", func(c *Config) {
			c.Stores = map[string]StoreConfig{"a": {Type: "file", Path: "/a", Default: true}, "b": {Type: "file", Path: "/a/b"}}
		}, "lie in each other"},
		{"port", func(c *Config) { c.API.Listen = []string{"127.0.0.1:99999"} }, "neither host:port"},
		{"endpoint", func(c *Config) { c.API.PublicEndpoint = "images.example" }, "public_endpoint"},
	} {
		cfg := Default()
		tt.change(&cfg)
		err := cfg.finish()
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

// keystoneAuth is a section [auth] that is right.
func keystoneAuth() AuthConfig {
	a := defaultAuth()
	a.Type, a.Keystone.URL = "keystone", "https://keystone.example/v3"
	a.Keystone.Username, a.Keystone.Password, a.Keystone.Project = "vitrine", "secret", "service"
	return a
}

func withTLS(c APIConfig) APIConfig {
	c.ListenTLS, c.TLSCert, c.TLSKey = []string{":9293"}, "/cert.pem", "/key.pem"
	return c
}

func TestSecretsAreNotShown(t *testing.T) {
	cfg := Default()
	cfg.Auth = keystoneAuth()
	cfg.Auth.Keystone.Password, cfg.Auth.Keystone.CredentialSecret = "hush", "hush"
	if text := fmt.Sprintf("%v %+v %#v", cfg, cfg, cfg); strings.Contains(text, "hush") {
		t.Errorf("the configuration shows its secrets: %s", text)
	}
	path := write(t, t.TempDir(), "vitrined.toml", "[auth.keystone]\npasswort = \"hush\"\npassword = [\"hush\"]\n")
	if _, err := Load(path); err == nil || strings.Contains(err.Error(), "hush") {
		t.Errorf("Load of a wrong secret = %v, want an error without it", err)
	}
}

func TestPasswordsInTheClearAreWarnedOf(t *testing.T) {
	dir := t.TempDir()
	for address, want := range map[string]bool{"127.0.0.1:9292": false, "unix:/run/v.sock": false, "10.0.0.1:9292": true} {
		cfg := Default()
		cfg.API.Listen, cfg.Auth.Type = []string{address}, "basic"
		cfg.Auth.Basic.HTPasswd, cfg.Auth.Basic.Users = write(t, dir, "htpasswd", ""), write(t, dir, "users.toml", "")
		var log strings.Builder
		if _, err := cfg.openAuth(slog.New(slog.NewTextHandler(&log, nil))); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(log.String(), "readable") != want {
			t.Errorf("%s: logged %q", address, log.String())
		}
	}
}

func TestSecretsComeFromFiles(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct{ text, want string }{
		{"hush\n", "hush"}, {"hush", "hush"}, {" hu sh \r\n", " hu sh "}, {"", ""}, {"\n", ""}, {"hush\nmore\n", ""},
	} {
		got, err := secretFrom("", write(t, dir, "secret", tt.text))
		if string(got) != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("a file with %q: %q, %v", tt.text, string(got), err)
		}
	}
	a := keystoneAuth()
	a.Keystone.Password, a.Keystone.PasswordFile = "", write(t, dir, "secret", "hush\n")
	if login, err := a.Keystone.login(); err != nil || login.Password != "hush" {
		t.Errorf("login with a password file: %q, %v", login.Password, err)
	}
}

// TestTryEvents finds what a start would not survive, and makes no file.
func TestTryEvents(t *testing.T) {
	dir := t.TempDir()
	secret, short := write(t, dir, "secret", "0123456789abcdef\n"), write(t, dir, "short", "0123\n")
	hook := func(url, secret string, only ...string) func(*Config) {
		return func(c *Config) {
			c.Events.Webhooks = map[string]WebhookConfig{"a": {URL: url, SecretFile: secret, Only: only}}
		}
	}
	for _, tt := range []struct {
		name   string
		change func(*Config)
		want   string // part of the error, "" for none
	}{
		{"nothing", func(*Config) {}, ""},
		{"a webhook", hook("https://a.example/hook", secret, "image"), ""},
		{"no URL", hook("a.example", secret), "URL"},
		{"no secret", hook("https://a.example", filepath.Join(dir, "none")), "events.webhooks.a.secret_file"},
		{"a short secret", hook("https://a.example", short), "16 bytes"},
		{"no event", hook("https://a.example", secret, "image.creation"), "image.creation"},
		{"no event at all", func(c *Config) { c.Events.Path, c.Events.Disabled = filepath.Join(dir, "e"), []string{"imag"} }, "imag"},
		{"no directory of events", func(c *Config) { c.Events.Path = filepath.Join(dir, "none", "e") }, "events.path"},
		{"no directory of records", func(c *Config) { c.Audit.Path = filepath.Join(secret, "a") }, "audit.path"},
		{"a negative number", func(c *Config) { c.Audit.Path, c.Audit.Keep = filepath.Join(dir, "a"), -1 }, "negative"},
	} {
		cfg := Default()
		cfg.Data = filepath.Join(dir, "data")
		tt.change(&cfg)
		if err := cfg.finish(); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if err := cfg.tryFiles(t.Context(), slog.New(slog.DiscardHandler)); (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 2 {
		t.Errorf("the check left %v, %v", files, err)
	}
}
