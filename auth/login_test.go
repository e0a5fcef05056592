package auth

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

func TestTheOwnTokenIsRenewedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{live: 10 * time.Minute}
		k := s.open(t, KeystoneConfig{CacheTime: -1})
		try := func(when string, asked, logins int) {
			t.Helper()
			_, err := ask(k, "X-Auth-Token", "a")
			wantError(t, when, err, nil)
			s.want(t, when, asked, logins)
		}
		try("first", 1, 1)
		time.Sleep(9*time.Minute - 1)
		try("while it lives", 2, 1)
		time.Sleep(time.Nanosecond)
		s.login = http.StatusInternalServerError
		try("when it cannot be renewed", 3, 2)
		s.login = 0
		try("before it ends", 4, 3)
		s.status = http.StatusUnauthorized
		_, err := ask(k, "X-Auth-Token", "a")
		wantError(t, "when no own token is good", err, image.ErrUnavailable)
		s.want(t, "when no own token is good", 6, 4)
	})
}

func TestKeystonesClockIsAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, skew := range []time.Duration{-30 * time.Minute, -59 * time.Minute, 24 * time.Hour} {
			s := &scripted{skew: skew}
			k := s.open(t, KeystoneConfig{CacheTime: -1})
			for range 3 {
				_, err := ask(k, "X-Auth-Token", "a")
				wantError(t, skew.String(), err, nil)
			}
			s.want(t, skew.String(), 3, 1)
		}
	})
}

func TestRefusedCredentialsAreNotTriedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{login: http.StatusUnauthorized}
		k := s.open(t, KeystoneConfig{})
		for range 5 {
			_, err := ask(k, "X-Auth-Token", "a")
			wantError(t, "refused", err, image.ErrUnavailable)
		}
		s.want(t, "at once", 0, 1)
		time.Sleep(loginPause)
		s.login = 0
		_, err := ask(k, "X-Auth-Token", "a")
		wantError(t, "mended", err, nil)
	})
}

func TestServiceUser(t *testing.T) {
	login := ServiceUser{AuthURL: "http://k", Username: "glance", Password: "p", Project: "service", ProjectDomain: "Infra"}.Login()
	if login.DomainName != "Default" || login.Scope.DomainName != "Infra" || login.Scope.ProjectName != "service" || login.Password != "p" {
		t.Errorf("a user's login is %+v in %+v", login, login.Scope)
	}
	if own := (ServiceUser{Username: "g", UserDomain: "D", Project: "service"}).Login(); own.Scope.DomainName != "D" {
		t.Errorf("the project's domain is %q", own.Scope.DomainName)
	}
	credential := ServiceUser{AuthURL: "http://k", ApplicationCredentialID: "i", ApplicationCredentialSecret: "s"}.Login()
	if _, err := NewKeystone(KeystoneConfig{Login: credential}); err != nil {
		t.Errorf("an application credential: %v", err)
	}
}

func TestCloudLogin(t *testing.T) {
	file := filepath.Join(t.TempDir(), "clouds.yaml")
	if err := os.WriteFile(file, []byte("clouds:\n  lab:\n    auth: {auth_url: http://k:5000/v3, username: glance, password: p,\n"+
		"      project_name: service, user_domain_name: Default, project_domain_name: Default}\n    verify: false\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	login, config, err := CloudLogin(file, "lab")
	if err != nil || login.Username != "glance" || login.TenantName != "service" || config == nil || !config.InsecureSkipVerify {
		t.Errorf("CloudLogin = %+v, %+v, %v", login, config, err)
	}
	if _, err := NewKeystone(KeystoneConfig{Login: login, TLS: config}); err != nil {
		t.Error(err)
	}
	for _, cloud := range []string{"", "other"} {
		if _, _, err := CloudLogin(file, cloud); err == nil || !strings.Contains(err.Error(), "clouds.yaml") {
			t.Errorf("the cloud %q: %v", cloud, err)
		}
	}
}

func TestCloudsOfAllShapes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "clouds.yaml")
	if err := os.WriteFile(file, []byte(`clouds:
  vendor: {profile: vexxhost}
  both:
    auth: {auth_url: "https://k/v3", username: glance, password: hush, project_name: service, user_domain_id: default, project_domain_name: Default}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := CloudLogin(file, "vendor"); err == nil || !strings.Contains(err.Error(), "no section auth") {
		t.Errorf("a cloud without auth: %v", err)
	}
	login, _, err := CloudLogin(file, "both")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := login.ToTokenV3CreateMap(nil); err != nil || login.DomainID != "default" {
		t.Errorf("a cloud whose domains are named in two ways: %+v, %v", login, err)
	}
}
