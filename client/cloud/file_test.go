package cloud

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/gophercloud/gophercloud/v2"
)

// clean takes the variables OS_* away that this test runs with, and sets some.
func clean(t *testing.T, set ...string) {
	t.Helper()
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "OS_") {
			t.Setenv(name, "")
		}
	}
	for _, pair := range set {
		name, value, _ := strings.Cut(pair, "=")
		t.Setenv(name, value)
	}
}

const sample = `
clouds:
  here:
    auth:
      auth_url: https://keystone.example/v3
      username: olga
      user_domain_name: people
      project_name: ops
      project_domain_id: d-7
      password: replaced
    region_name: north
    interface: internal
    verify: false
    cacert: /ca.pem
  byid:
    auth_type: password
    auth: {auth_url: "https://k/v3", user_id: u-1, password: hush, project_id: p-1, user_domain_id: default, user_domain_name: Default}
  app:
    auth_type: v3applicationcredential
    auth: {auth_url: "https://k/v3", application_credential_id: a-1, application_credential_secret: hush}
  token:
    auth_type: v3token
    auth: {auth_url: "https://k/v3", token: hush, project_name: ops, domain_id: default}
  kerberos:
    auth_type: v3kerberos
    auth: {auth_url: "https://k/v3"}
  vendor:
    profile: vexxhost
  nopassword:
    auth: {auth_url: "https://k/v3", username: olga}
  mistake:
    auth: {auth_url: "https://k/v3", username: olga, password: [hush]}
`

func TestFromFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "clouds.yaml")
	for path, text := range map[string]string{file: sample, filepath.Join(filepath.Dir(file), "secure.yaml"): "clouds: {here: {auth: {password: hush}}}"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	clean(t, "OS_CLIENT_CONFIG_FILE="+file, "OS_CERT=/cert.pem")
	const url = "https://k/v3"
	for _, tt := range []struct {
		name string
		want Settings
	}{
		{"here", Settings{Config: Config{Login: gophercloud.AuthOptions{IdentityEndpoint: "https://keystone.example/v3", Username: "olga",
			DomainName: "people", Password: "hush", Scope: &gophercloud.AuthScope{ProjectName: "ops", DomainID: "d-7"}},
			Region: "north", Interface: "internal"}, CAFile: "/ca.pem", Insecure: true}},
		{"byid", Settings{Config: Config{Login: gophercloud.AuthOptions{IdentityEndpoint: url, UserID: "u-1", Password: "hush",
			Scope: &gophercloud.AuthScope{ProjectID: "p-1"}}}}},
		{"app", Settings{Config: Config{Login: gophercloud.AuthOptions{IdentityEndpoint: url, ApplicationCredentialID: "a-1",
			ApplicationCredentialSecret: "hush"}}}},
		{"token", Settings{Config: Config{Login: gophercloud.AuthOptions{IdentityEndpoint: url, TokenID: "hush",
			Scope: &gophercloud.AuthScope{ProjectName: "ops", DomainID: "default"}}}}},
	} {
		got, err := FromFile(tt.name)
		tt.want.CertFile = "/cert.pem"
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %+v, %v, want %+v", tt.name, got, err, tt.want)
		}
	}
	for name, want := range map[string]string{"kerberos": "auth_type v3kerberos", "vendor": "profiles", "nopassword": "password is missing",
		"mistake": "line ", "nowhere": "no cloud"} {
		if _, err := FromFile(name); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v, want %q and no secret", name, err, want)
		}
	}
	t.Setenv("OS_CLIENT_CONFIG_FILE", "")
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_CONFIG_HOME", "")
	t.Chdir(t.TempDir())
	if _, err := FromFile("here"); err == nil || !strings.Contains(err.Error(), "no clouds.yaml") {
		t.Errorf("without a file: %v", err)
	}
	t.Chdir(filepath.Dir(file))
	if _, err := FromFile("here"); err != nil {
		t.Errorf("in the working directory: %v", err)
	}
}

func TestFromEnvironment(t *testing.T) {
	const url = "https://k/v3"
	for _, tt := range []struct {
		name string
		set  []string
		want Settings
		err  string
	}{
		{"nothing", nil, Settings{}, ""},
		{"an endpoint", []string{"OS_AUTH_TYPE=none", "OS_ENDPOINT=http://h", "OS_AUTH_URL=" + url}, Settings{Endpoint: "http://h"}, ""},
		{"a user", []string{"OS_AUTH_URL=" + url, "OS_USERNAME=olga", "OS_PASSWORD=hush", "OS_PROJECT_NAME=ops", "OS_REGION_NAME=north",
			"OS_USER_DOMAIN_NAME=people", "OS_INTERFACE=internal", "OS_CACERT=/ca.pem"},
			Settings{Config: Config{Login: gophercloud.AuthOptions{IdentityEndpoint: url, Username: "olga", Password: "hush", DomainName: "people",
				Scope: &gophercloud.AuthScope{ProjectName: "ops", DomainName: "people"}}, Region: "north", Interface: "internal"}, CAFile: "/ca.pem"}, ""},
		{"no domain", []string{"OS_AUTH_URL=" + url, "OS_USERNAME=olga", "OS_PASSWORD=hush", "OS_TENANT_ID=p-1"},
			Settings{Config: Config{Login: gophercloud.AuthOptions{IdentityEndpoint: url, Username: "olga", Password: "hush", DomainName: "Default",
				Scope: &gophercloud.AuthScope{ProjectID: "p-1"}}}}, ""},
		{"an application credential by name", []string{"OS_AUTH_URL=" + url, "OS_USERNAME=olga", "OS_USER_DOMAIN_ID=default",
			"OS_APPLICATION_CREDENTIAL_NAME=ci", "OS_APPLICATION_CREDENTIAL_SECRET=hush"},
			Settings{Config: Config{Login: gophercloud.AuthOptions{IdentityEndpoint: url, Username: "olga", DomainID: "default",
				ApplicationCredentialName: "ci", ApplicationCredentialSecret: "hush"}}}, ""},
		{"a token", []string{"OS_AUTH_URL=" + url, "OS_TOKEN=hush"},
			Settings{Config: Config{Login: gophercloud.AuthOptions{IdentityEndpoint: url, TokenID: "hush"}}}, ""},
		{"a domain", []string{"OS_AUTH_URL=" + url, "OS_USERNAME=olga", "OS_PASSWORD=hush", "OS_DOMAIN_ID=default"},
			Settings{Config: Config{Login: gophercloud.AuthOptions{IdentityEndpoint: url, Username: "olga", Password: "hush", DomainID: "default",
				Scope: &gophercloud.AuthScope{DomainID: "default"}}}}, ""},
		{"no password", []string{"OS_AUTH_URL=" + url, "OS_USERNAME=olga"}, Settings{}, "password is missing"},
		{"no secret", []string{"OS_AUTH_URL=" + url, "OS_APPLICATION_CREDENTIAL_ID=a"}, Settings{}, "its secret"},
		{"no token", []string{"OS_AUTH_URL=" + url, "OS_AUTH_TYPE=token"}, Settings{}, "token is missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			clean(t, tt.set...)
			got, err := FromEnvironment()
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("%v, want %q", err, tt.err)
				}
			} else if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%+v, %v, want %+v", got, err, tt.want)
			}
		})
	}
}
