package auth

import (
	"encoding/pem"
	"errors"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/applicationcredentials"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/users"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// A cloud is the shared Keystone with somebody in it.
type cloud struct {
	*testservers.Keystone
	service gophercloud.AuthOptions // of this service
	project string                  // id of ops
	user    string                  // id of olga, who is a member of ops
}

var shared struct {
	sync.Once
	cloud
}

func newCloud(t testing.TB) *cloud {
	t.Helper()
	keystone := testservers.SharedKeystone(t)
	shared.Do(func() {
		shared.Keystone = keystone
		shared.service = keystone.Service(t, "glance")
		shared.project = keystone.Project(t, "ops")
		shared.user = keystone.User(t, "olga", "secret", shared.project, "member")
		keystone.Assign(t, "reader", shared.user, "")
	})
	if shared.user == "" {
		t.Fatal("the cloud could not be filled")
	}
	return &shared.cloud
}

func (c *cloud) olga() gophercloud.AuthOptions { return c.Login("olga", "secret", c.project) }

// open returns an authenticator and its log.
func (c *cloud) open(t testing.TB, cfg KeystoneConfig) (*Keystone, *strings.Builder) {
	t.Helper()
	log := new(strings.Builder)
	if cfg.Login.IdentityEndpoint == "" {
		cfg.Login = c.service
	}
	cfg.Logger = slog.New(slog.NewTextHandler(log, nil))
	k, err := NewKeystone(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.server.client.HTTPClient.CloseIdleConnections)
	return k, log
}

// ask makes a request with headers, given as name, value, name, value.
func ask(a Authenticator, headers ...string) (image.Caller, error) {
	r, err := http.NewRequest("GET", "http://vitrine/v2/images", nil)
	if err != nil {
		return image.Caller{}, err
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return a.Authenticate(r)
}

func wantError(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func TestKeystoneSaysWhoAsks(t *testing.T) {
	c := newCloud(t)
	k, _ := c.open(t, KeystoneConfig{PublicURL: "http://keystone.example/v3"})
	token := c.Token(t, c.olga())
	for _, when := range []string{"asked", "remembered"} {
		caller, err := ask(k, "X-Auth-Token", " "+token+" ")
		if err != nil {
			t.Fatal(err)
		}
		if caller.UserID != c.user || caller.ProjectID != c.project || caller.UserDomainID != "default" ||
			caller.ProjectDomainID != "default" || caller.DomainID != "" || caller.Anonymous || string(caller.Token) != token {
			t.Errorf("%s: %+v", when, caller)
		}
		if !caller.HasRole("member") || !caller.HasRole("reader") || caller.IsAdmin() || caller.IsService() {
			t.Errorf("%s: the roles are %q and %q", when, caller.Roles, caller.ServiceRoles)
		}
	}
	if admin, err := ask(k, "X-Auth-Token", c.Token(t, c.AdminLogin())); err != nil || !admin.IsAdmin() {
		t.Errorf("the admin is %+v, %v", admin, err)
	}
	if got, want := k.Challenge(), `Keystone uri="http://keystone.example/v3"`; got != want {
		t.Errorf("Challenge = %s, want %s", got, want)
	}
}

func TestKeystoneOtherScopes(t *testing.T) {
	c := newCloud(t)
	k, _ := c.open(t, KeystoneConfig{})
	unscoped := c.Login("olga", "secret", "")
	unscoped.Scope = new(gophercloud.AuthScope)
	caller, err := ask(k, "X-Auth-Token", c.Token(t, unscoped))
	if err != nil || caller.UserID != c.user || caller.ProjectID != "" || len(caller.Roles) != 0 {
		t.Errorf("an unscoped token is of %+v, %v", caller, err)
	}
	domain := c.Login("olga", "secret", "")
	domain.Scope = &gophercloud.AuthScope{DomainID: testservers.Domain}
	caller, err = ask(k, "X-Auth-Token", c.Token(t, domain))
	if err != nil || caller.DomainID != testservers.Domain || caller.ProjectID != "" || !slices.Equal(caller.Roles, []string{"reader"}) {
		t.Errorf("a token for the domain is of %+v, %v", caller, err)
	}
	system := c.AdminLogin()
	system.Scope = &gophercloud.AuthScope{System: true}
	caller, err = ask(k, "X-Auth-Token", c.Token(t, system))
	if err != nil || caller.ProjectID != "" || caller.DomainID != "" || !caller.IsAdmin() {
		t.Errorf("a token for the system is of %+v, %v", caller, err)
	}
}

func TestKeystoneRefuses(t *testing.T) {
	c := newCloud(t)
	k, log := c.open(t, KeystoneConfig{})
	valid := c.Token(t, c.olga())
	for _, tt := range []struct {
		name    string
		headers []string
	}{
		{"nothing", nil},
		{"an empty token", []string{"X-Auth-Token", " "}},
		{"a service token alone", []string{"X-Service-Token", valid}},
		{"garbage", []string{"X-Auth-Token", "garbage"}},
		{"garbage again", []string{"X-Auth-Token", "garbage"}},
		{"a changed token", []string{"X-Auth-Token", valid[:len(valid)-8] + "AAAAAAAA"}},
		{"a path", []string{"X-Auth-Token", "../../v3/users"}},
		{"bytes", []string{"X-Auth-Token", "\xff\x80"}},
		{"the longest that is asked about", []string{"X-Auth-Token", strings.Repeat("a", maxToken)}},
		{"1 MiB", []string{"X-Auth-Token", strings.Repeat("a", 1<<20)}},
		{"two tokens", []string{"X-Auth-Token", valid, "X-Auth-Token", valid}},
		{"a bad service token", []string{"X-Auth-Token", valid, "X-Service-Token", "garbage"}},
	} {
		_, err := ask(k, tt.headers...)
		wantError(t, tt.name, err, image.ErrUnauthorized)
	}
	if log.Len() > 0 {
		t.Errorf("what clients send wrong was logged: %s", log)
	}
}

func TestKeystoneAnonymous(t *testing.T) {
	c := newCloud(t)
	k, _ := c.open(t, KeystoneConfig{Anonymous: true})
	if caller, err := ask(k); err != nil || !caller.Anonymous || caller.ProjectID != "" || !AnonymousReads(k) {
		t.Errorf("without a token: %+v, %v", caller, err)
	}
	_, err := ask(k, "X-Auth-Token", "garbage")
	wantError(t, "a bad token", err, image.ErrUnauthorized)
	_, err = ask(k, "X-Service-Token", "garbage")
	wantError(t, "a service token alone", err, image.ErrUnauthorized)
}

func TestKeystoneServiceTokens(t *testing.T) {
	c := newCloud(t)
	k, _ := c.open(t, KeystoneConfig{})
	user, service := c.Token(t, c.olga()), c.Token(t, c.service)
	caller, err := ask(k, "X-Auth-Token", user, "X-Service-Token", service)
	if err != nil || !caller.IsService() || !caller.HasServiceRole("service") || caller.HasRole("service") || caller.UserID != c.user {
		t.Errorf("a service in a user's name is %+v, %v", caller, err)
	}
	if caller, err := ask(k, "X-Auth-Token", service); err != nil || !caller.IsService() || len(caller.ServiceRoles) != 0 {
		t.Errorf("a service in its own name is %+v, %v", caller, err)
	}
	caller, err = ask(k, "X-Auth-Token", user, "X-Service-Token", user)
	if err != nil || caller.IsService() || !caller.HasServiceRole("member") {
		t.Errorf("a user in a user's name is %+v, %v", caller, err)
	}
}

func TestKeystoneRevokedTokens(t *testing.T) {
	c := newCloud(t)
	keeping, _ := c.open(t, KeystoneConfig{})
	asking, _ := c.open(t, KeystoneConfig{CacheTime: -1})
	token := c.Token(t, c.olga())
	for _, k := range []*Keystone{keeping, asking} {
		if _, err := ask(k, "X-Auth-Token", token); err != nil {
			t.Fatal(err)
		}
	}
	c.Revoke(t, token)
	if _, err := ask(keeping, "X-Auth-Token", token); err != nil {
		t.Errorf("a revoked token within the cache time: %v", err)
	}
	_, err := ask(asking, "X-Auth-Token", token)
	wantError(t, "a revoked token without a cache", err, image.ErrUnauthorized)
}

// TestKeystoneGone stops Keystone, starts it again so that tokens live for a second, and again as it was.
func TestKeystoneGone(t *testing.T) {
	c := newCloud(t)
	k, log := c.open(t, KeystoneConfig{})
	known, unknown, service := c.Token(t, c.olga()), c.Token(t, c.olga()), c.Token(t, c.service)
	if _, err := ask(k, "X-Auth-Token", known); err != nil {
		t.Fatal(err)
	}
	restart := func(live time.Duration) {
		t.Helper()
		if err := c.Stop(); err != nil {
			t.Fatal(err)
		}
		if err := c.Restart(t.Context(), live); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := ask(k, "X-Auth-Token", known); err != nil {
		t.Errorf("a known token without Keystone: %v", err)
	}
	for range 3 {
		_, err := ask(k, "X-Auth-Token", unknown)
		wantError(t, "an unknown token without Keystone", err, image.ErrUnavailable)
	}
	if n := strings.Count(log.String(), "level=ERROR"); n != 1 || strings.Contains(log.String(), unknown) {
		t.Errorf("that Keystone is gone was logged %d times: %s", n, log)
	}

	restart(time.Second)
	if _, err := ask(k, "X-Auth-Token", unknown); err != nil {
		t.Errorf("Keystone is back: %v", err)
	}
	if !strings.Contains(log.String(), "Keystone answers again") {
		t.Errorf("that Keystone is back was not logged: %s", log)
	}
	short := c.Token(t, c.olga())
	restart(time.Hour) // takes longer than the second
	fresh, _ := c.open(t, KeystoneConfig{})
	_, err := ask(fresh, "X-Auth-Token", short)
	wantError(t, "an expired token", err, image.ErrUnauthorized)
	if caller, err := ask(fresh, "X-Auth-Token", short, "X-Service-Token", service); err != nil || caller.UserID != c.user {
		t.Errorf("an expired token with a service's: %+v, %v", caller, err)
	}
	_, err = ask(fresh, "X-Auth-Token", short, "X-Service-Token", known)
	wantError(t, "an expired token with a user's as the service's", err, image.ErrUnauthorized)
	_, err = ask(fresh, "X-Auth-Token", short)
	wantError(t, "an expired token after a service brought it", err, image.ErrUnauthorized)
	_, err = ask(fresh, "X-Auth-Token", known, "X-Service-Token", short)
	wantError(t, "an expired service token", err, image.ErrUnauthorized)
}

func TestKeystoneOwnTokenIsRenewed(t *testing.T) {
	c := newCloud(t)
	k, log := c.open(t, KeystoneConfig{CacheTime: -1})
	token := c.Token(t, c.olga())
	if _, err := ask(k, "X-Auth-Token", token); err != nil {
		t.Fatal(err)
	}
	own := k.server.login.current.Load().id
	c.Revoke(t, own)
	if _, err := ask(k, "X-Auth-Token", token); err != nil {
		t.Errorf("after the service's own token was revoked: %v", err)
	}
	if now := k.server.login.current.Load().id; now == own || log.Len() > 0 {
		t.Errorf("the own token is the same: %t; the log says: %s", now == own, log)
	}
}

// TestKeystoneLogins logs in with each kind of credentials that a configuration can hold.
func TestKeystoneLogins(t *testing.T) {
	c := newCloud(t)
	file := filepath.Join(t.TempDir(), "clouds.yaml")
	write(t, file, "clouds:\n  lab:\n    auth: {auth_url: "+c.URL+", username: glance, project_name: glance,\n"+
		"      user_domain_name: Default, project_domain_name: Default}\n")
	write(t, filepath.Join(filepath.Dir(file), "secure.yaml"), "clouds:\n  lab:\n    auth: {password: "+c.service.Password+"}\n")
	cloud, _, err := CloudLogin(file, "lab")
	if err != nil {
		t.Fatal(err)
	}
	client, err := c.Identity(t.Context(), c.service)
	if err != nil {
		t.Fatal(err)
	}
	user, err := tokens.Get(t.Context(), client, client.Token()).ExtractUser()
	if err != nil {
		t.Fatal(err)
	}
	credential, err := applicationcredentials.Create(t.Context(), client, user.ID,
		applicationcredentials.CreateOpts{Name: "vitrine", Secret: "kept"}).Extract()
	if err != nil {
		t.Fatal(err)
	}
	token := c.Token(t, c.olga())
	for name, login := range map[string]gophercloud.AuthOptions{
		"clouds.yaml": cloud,
		"user":        ServiceUser{AuthURL: c.AuthURL, Username: "glance", Password: image.Secret(c.service.Password), Project: "glance"}.Login(),
		"application credential": ServiceUser{AuthURL: c.AuthURL + "/", ApplicationCredentialID: credential.ID,
			ApplicationCredentialSecret: "kept"}.Login(),
	} {
		k, log := c.open(t, KeystoneConfig{Login: login})
		if caller, err := ask(k, "X-Auth-Token", token); err != nil || caller.UserID != c.user {
			t.Errorf("with %s: %+v, %v: %s", name, caller, err, log)
		}
	}
}

func TestKeystoneWrongCredentials(t *testing.T) {
	c := newCloud(t)
	token := c.Token(t, c.AdminLogin())
	wrong, nobody := c.service, c.olga()
	wrong.Password = "not this one"
	for _, tt := range []struct {
		name  string
		login gophercloud.AuthOptions
		log   string
	}{
		{"a wrong password", wrong, "refuses the credentials"},
		{"a user without the role service", nobody, "give its user the role service"},
	} {
		k, log := c.open(t, KeystoneConfig{Login: tt.login})
		for range 2 {
			_, err := ask(k, "X-Auth-Token", token)
			wantError(t, tt.name, err, image.ErrUnavailable)
		}
		said := log.String()
		if strings.Count(said, tt.log) != 1 || strings.Contains(said, token) || strings.Contains(said, tt.login.Password) {
			t.Errorf("%s: the log says %s, want once %q", tt.name, said, tt.log)
		}
	}
}

func TestKeystoneAccessRules(t *testing.T) {
	c := newCloud(t)
	client, err := c.Identity(t.Context(), c.olga())
	if err != nil {
		t.Fatal(err)
	}
	credential, err := applicationcredentials.Create(t.Context(), client, c.user, applicationcredentials.CreateOpts{
		Name: "reads one image", Secret: "rules", AccessRules: []applicationcredentials.AccessRule{
			{Service: "image", Method: "GET", Path: "/v2/images/*"},
			{Service: "compute", Method: "DELETE", Path: "/v2/**"},
		}}).Extract()
	if err != nil {
		t.Fatal(err)
	}
	token := c.Token(t, gophercloud.AuthOptions{IdentityEndpoint: c.AuthURL, ApplicationCredentialID: credential.ID,
		ApplicationCredentialSecret: "rules"})
	k, _ := c.open(t, KeystoneConfig{})
	for _, tt := range []struct {
		method, path string
		want         error
	}{
		{"GET", "/v2/images/1", nil},
		{"GET", "/v2/images/1/file", image.ErrUnauthorized},
		{"GET", "/v2/images", image.ErrUnauthorized},
		{"DELETE", "/v2/images/1", image.ErrUnauthorized},
	} {
		r, _ := http.NewRequest(tt.method, "http://vitrine"+tt.path, nil)
		r.Header.Set("X-Auth-Token", token)
		_, err := k.Authenticate(r)
		wantError(t, tt.method+" "+tt.path, err, tt.want)
		r.Header.Set("X-Service-Token", c.Token(t, c.service))
		_, err = k.Authenticate(r)
		wantError(t, tt.method+" "+tt.path+" by a service", err, nil)
	}
}

// TestKeystoneOverTLS puts a TLS proxy before Keystone.
func TestKeystoneOverTLS(t *testing.T) {
	c := newCloud(t)
	behind, err := url.Parse(c.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewUnstartedServer(httputil.NewSingleHostReverseProxy(behind))
	proxy.Config.ErrorLog = log.New(io.Discard, "", 0) // it tells of clients that do not trust it
	proxy.StartTLS()
	defer proxy.Close()
	file := filepath.Join(t.TempDir(), "ca.pem")
	write(t, file, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: proxy.Certificate().Raw})))
	token := c.Token(t, c.olga())
	for _, tt := range []struct {
		name     string
		file     string
		insecure bool
		want     error
	}{
		{"with its authority", file, false, nil},
		{"insecure", "", true, nil},
		{"with the system's authorities", "", false, image.ErrUnavailable},
	} {
		config, err := TrustFile(tt.file, tt.insecure)
		if err != nil {
			t.Fatal(err)
		}
		login := c.service
		login.IdentityEndpoint = proxy.URL
		k, said := c.open(t, KeystoneConfig{Login: login, TLS: config})
		_, err = ask(k, "X-Auth-Token", token)
		wantError(t, tt.name, err, tt.want)
		if tt.want != nil && !strings.Contains(said.String(), "certificate") {
			t.Errorf("%s: the log does not say what is wrong: %s", tt.name, said)
		}
	}
	write(t, file, "nothing")
	if _, err := TrustFile(file, false); err == nil {
		t.Error("a file without a certificate was no error")
	}
	if _, err := TrustFile(file+".missing", false); err == nil {
		t.Error("a missing file was no error")
	}
}

func TestKeystoneDisabledUser(t *testing.T) {
	c := newCloud(t)
	id := c.User(t, "otto", "secret", c.project, "member")
	token := c.Token(t, c.Login("otto", "secret", c.project))
	if _, err := users.Update(t.Context(), c.Admin(t), id, users.UpdateOpts{Enabled: new(false)}).Extract(); err != nil {
		t.Fatal(err)
	}
	k, _ := c.open(t, KeystoneConfig{})
	_, err := ask(k, "X-Auth-Token", token)
	wantError(t, "the token of a disabled user", err, image.ErrUnauthorized)
}

func TestKeystoneManyAtOnce(t *testing.T) {
	c := newCloud(t)
	k, _ := c.open(t, KeystoneConfig{})
	token := c.Token(t, c.olga())
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if caller, err := ask(k, "X-Auth-Token", token); err != nil || caller.UserID != c.user {
				t.Errorf("one of many is %q, %v", caller.UserID, err)
			}
		})
	}
	all.Wait()
}

func BenchmarkKeystoneKnownToken(b *testing.B) {
	c := newCloud(b)
	k, _ := c.open(b, KeystoneConfig{})
	r, _ := http.NewRequest("GET", "http://vitrine/v2/images", nil)
	r.Header.Set("X-Auth-Token", c.Token(b, c.olga()))
	if _, err := k.Authenticate(r); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := k.Authenticate(r); err != nil {
				b.Error(err)
			}
		}
	})
}
