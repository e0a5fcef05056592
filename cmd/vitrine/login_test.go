package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/vitrine-image/vitrine/internal/testcert"
	"github.com/vitrine-image/vitrine/internal/testdaemon"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// cleanEnvironment takes away what would log this test in.
func cleanEnvironment(t *testing.T) {
	t.Helper()
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "OS_") || strings.HasPrefix(name, "VITRINE_") {
			t.Setenv(name, "")
			os.Unsetenv(name)
		}
	}
	t.Setenv("HOME", t.TempDir())
}

// vitrine runs a command line.
func vitrine(args ...string) (code int, out string) {
	var text bytes.Buffer
	code = run(context.Background(), args, strings.NewReader(""), &text, &text)
	return code, text.String()
}

func writeFile(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestLoginByPassword logs in at a daemon with names and passwords over TLS, in one project each.
func TestLoginByPassword(t *testing.T) {
	cleanEnvironment(t)
	dir, ca := t.TempDir(), testcert.New(t)
	hash, err := bcrypt.GenerateFromPassword([]byte("s3cret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	passwords := writeFile(t, dir+"/htpasswd", fmt.Sprintf("olga:%s\notto:%s\n", hash, hash))
	users := writeFile(t, dir+"/users.toml", "[olga]\nproject = \"ops\"\nroles = [\"member\"]\n[otto]\nproject = \"dev\"\nroles = [\"reader\"]\n")
	cert, key := ca.Issue(t, "server")
	writeFile(t, dir+"/conf.d/tls.toml", fmt.Sprintf("[api]\nlisten_tls = [\"127.0.0.1:0\"]\ntls_cert = %q\ntls_key = %q\ntls_client_ca = %q\n", cert, key, ca.File))
	d := testdaemon.Start(t, testdaemon.Config{Dir: dir, TOML: fmt.Sprintf("[auth]\ntype = \"basic\"\n[auth.basic]\nhtpasswd = %q\nusers = %q\n", passwords, users)})
	t.Setenv("VITRINE_ENDPOINT", "https://"+d.Addrs[1])
	t.Setenv("VITRINE_PASSWORD", "s3cret")
	clientCert, clientKey := ca.Issue(t, "client")
	for _, tt := range []struct {
		name string
		env  string
		args []string
		code int
		want string
	}{
		{"nobody is trusted", "", []string{"--user", "olga", "image", "list"}, exitUnreachable, "certificate"},
		{"no user", "", []string{"--os-cacert", ca.File, "image", "list"}, exitRefused, "--user"},
		{"no user, but only whether it runs", "", []string{"--os-cacert", ca.File, "status"}, exitOK, "ready"},
		{"a wrong user, even for that", "VITRINE_PASSWORD=hush", []string{"--os-cacert", ca.File, "--user", "olga", "status"}, exitRefused, "wrong"},
		{"a user", "", []string{"--os-cacert", ca.File, "--user", "olga", "image", "create", "--property", "a=b", "from olga"}, exitOK, "queued"},
		{"his image", "OS_CACERT=" + ca.File, []string{"--user", "olga", "image", "list"}, exitOK, "from olga"},
		{"whoever the server is", "VITRINE_USER=olga", []string{"--insecure", "image", "list"}, exitOK, "from olga"},
		{"a certificate", "VITRINE_USER=olga", []string{"--os-cacert", ca.File, "--os-cert", clientCert, "--os-key", clientKey, "image", "list"}, exitOK, "from olga"},
		{"a file that is none", "", []string{"--os-cacert", key, "--user", "olga", "image", "list"}, exitUsage, "no certificate"},
		{"another project", "", []string{"--insecure", "--user", "otto", "image", "show", "from olga"}, exitNotFound, ""},
		{"not his right", "", []string{"--insecure", "--user", "otto", "image", "create", "from otto"}, exitRefused, ""},
		{"wrong password", "VITRINE_PASSWORD=hush", []string{"--insecure", "--user", "olga", "image", "list"}, exitRefused, "wrong"},
		{"two ways", "", []string{"--os-cloud", "c", "--user", "olga", "image", "list"}, exitUsage, "different ways"},
		{"no cloud", "", []string{"--os-cloud", "c", "image", "list"}, exitUsage, "clouds.yaml"},
		{"half of a cloud", "OS_AUTH_URL=http://k/v3", []string{"image", "list"}, exitUsage, "password is missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if name, value, ok := strings.Cut(tt.env, "="); ok {
				t.Setenv(name, value)
			}
			code, out := vitrine(tt.args...)
			if code != tt.code || !strings.Contains(out, tt.want) || strings.Contains(out, "s3cret") || strings.Contains(out, "hush") {
				t.Errorf("%d, %q, want %d, %q and no secret", code, out, tt.code, tt.want)
			}
		})
	}
	if strings.Contains(d.Log(), "s3cret") {
		t.Error("the password is in the daemon's log")
	}
}

// TestLoginByCloud takes server and token from a real Keystone.
func TestLoginByCloud(t *testing.T) {
	testservers.Require(t, "keystone")
	cleanEnvironment(t)
	keystone, err := testservers.StartKeystone(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := keystone.Stop(); err != nil {
			t.Error(err)
		}
	})
	service := keystone.Service(t, "vitrine")
	project, other := keystone.Project(t, "ops"), keystone.Project(t, "dev")
	keystone.User(t, "olga", "s3cret", project, "member")
	keystone.User(t, "otto", "s3cret", other, "member")
	dir := t.TempDir()
	password := writeFile(t, dir+"/password", service.Password+"\n")
	d := testdaemon.Start(t, testdaemon.Config{Dir: dir, TOML: fmt.Sprintf("[auth]\ntype = \"keystone\"\n[auth.keystone]\nurl = %q\n"+
		"username = \"vitrine\"\nproject = \"vitrine\"\npassword_file = %q\n", keystone.AuthURL, password)})
	keystone.Register(t, "image", "vitrine", d.Endpoint)
	writeFile(t, dir+"/clouds.yaml", fmt.Sprintf(`clouds:
  ops:
    auth: {auth_url: %q, username: olga, project_name: ops, user_domain_id: default, project_domain_id: default}
    region_name: RegionOne
  dev:
    auth: {auth_url: %q, username: otto, project_name: dev, user_domain_name: Default, project_domain_name: Default}
`, keystone.AuthURL, keystone.AuthURL))
	writeFile(t, dir+"/secure.yaml", "clouds: {ops: {auth: {password: s3cret}}, dev: {auth: {password: s3cret}}}")
	t.Setenv("OS_CLIENT_CONFIG_FILE", dir+"/clouds.yaml")
	token := keystone.Token(t, keystone.Login("olga", "s3cret", project))
	variables := []string{"OS_AUTH_URL=" + keystone.AuthURL, "OS_USERNAME=olga", "OS_PASSWORD=s3cret", "OS_PROJECT_NAME=ops", "OS_USER_DOMAIN_NAME=Default"}
	for _, tt := range []struct {
		name string
		env  []string
		args []string
		code int
		want string
	}{
		{"nothing", []string{"VITRINE_ENDPOINT=" + d.Endpoint}, []string{"image", "list"}, exitRefused, "--os-cloud"},
		{"a cloud", nil, []string{"--os-cloud", "ops", "image", "create", "from olga"}, exitOK, "queued"},
		{"the environment's", []string{"OS_CLOUD=ops"}, []string{"image", "list"}, exitOK, "from olga"},
		{"another project", []string{"OS_CLOUD=ops"}, []string{"--os-cloud", "dev", "image", "show", "from olga"}, exitNotFound, ""},
		{"variables", variables, []string{"image", "list"}, exitOK, "from olga"},
		{"a cloud before variables", append(variables, "OS_CLOUD=dev"), []string{"image", "show", "from olga"}, exitNotFound, ""},
		{"a token", []string{"OS_AUTH_URL=" + keystone.AuthURL, "OS_TOKEN=" + token}, []string{"image", "list"}, exitOK, "from olga"},
		{"a token and the server", []string{"VITRINE_TOKEN=" + token, "VITRINE_ENDPOINT=" + d.Endpoint}, []string{"image", "list"}, exitOK, "from olga"},
		{"the server by flag", nil, []string{"--os-cloud", "ops", "--endpoint", "http://127.0.0.1:1", "image", "list"}, exitUnreachable, "127.0.0.1:1"},
		{"a flag before the environment", []string{"VITRINE_ENDPOINT=http://127.0.0.1:1"}, []string{"--os-cloud", "ops", "image", "list"}, exitOK, "from olga"},
		{"another interface", nil, []string{"--os-cloud", "ops", "--os-interface", "internal", "status"}, exitOK, "ready"},
		{"no such interface", nil, []string{"--os-cloud", "ops", "--os-interface", "secret", "status"}, exitUsage, "public, internal, admin"},
		{"another region", nil, []string{"--os-cloud", "ops", "--os-region-name", "south", "status"}, exitFailed, "region south"},
		{"region of the environment", []string{"OS_REGION_NAME=south"}, []string{"--os-cloud", "ops", "status"}, exitFailed, "region south"},
		{"wrong password", append(variables, "OS_PASSWORD=hush"), []string{"image", "list"}, exitRefused, "refuses the credentials"},
		{"no Keystone", append(variables, "OS_AUTH_URL=http://127.0.0.1:1/v3"), []string{"image", "list"}, exitUnreachable, "127.0.0.1:1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, pair := range tt.env {
				name, value, _ := strings.Cut(pair, "=")
				t.Setenv(name, value)
			}
			code, out := vitrine(tt.args...)
			if code != tt.code || !strings.Contains(out, tt.want) || strings.Contains(out, "s3cret") || strings.Contains(out, "hush") || strings.Contains(out, token) {
				t.Errorf("%d, %q, want %d, %q and no secret", code, out, tt.code, tt.want)
			}
		})
	}
	for _, secret := range []string{"s3cret", service.Password, token} {
		if strings.Contains(d.Log(), secret) {
			t.Errorf("%q is in the daemon's log", secret)
		}
	}
}
