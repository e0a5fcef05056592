package cloud

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/applicationcredentials"

	"github.com/vitrine-image/vitrine/client"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := testservers.StopShared(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func open(t *testing.T, cfg Config) *Cloud {
	t.Helper()
	c, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// TestCloud logs in to a real Keystone in each way.
func TestCloud(t *testing.T) {
	keystone := testservers.SharedKeystone(t)
	project := keystone.Project(t, "ops")
	user := keystone.User(t, "olga", "secret", project, "member")
	keystone.Register(t, "image", "vitrine", "http://images.example:9292")
	olga := keystone.Login("olga", "secret", project)

	identity, err := keystone.Identity(t.Context(), olga)
	if err != nil {
		t.Fatal(err)
	}
	credential, err := applicationcredentials.Create(t.Context(), identity, user,
		applicationcredentials.CreateOpts{Name: "ci", Secret: "hush"}).Extract()
	if err != nil {
		t.Fatal(err)
	}
	for name, login := range map[string]gophercloud.AuthOptions{
		"password": olga,
		"application credential": {IdentityEndpoint: keystone.URL, ApplicationCredentialID: credential.ID, // without /v3
			ApplicationCredentialSecret: "hush"},
		"token":                     {IdentityEndpoint: keystone.AuthURL, TokenID: keystone.Token(t, olga)},
		"token for another project": {IdentityEndpoint: keystone.AuthURL, TokenID: keystone.Token(t, keystone.Login("olga", "secret", "")), Scope: olga.Scope},
	} {
		for _, side := range []string{"", "internal", "adminURL"} {
			c := open(t, Config{Login: login, Interface: side, Region: "RegionOne"})
			if endpoint, err := c.Endpoint(t.Context(), "image"); err != nil || endpoint != "http://images.example:9292" {
				t.Errorf("%s: endpoint %q, %v", name, endpoint, err)
			}
		}
	}

	c := open(t, Config{Login: olga})
	first, err := c.Token(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := c.Token(t.Context(), ""); err != nil || again != first {
		t.Errorf("a second token: %q, %v, want the first again", again, err)
	}
	if again, err := c.Token(t.Context(), "another"); err != nil || again != first {
		t.Errorf("after another token was rejected: %q, %v, want the first again", again, err)
	}
	if other, err := c.Token(t.Context(), first); err != nil || other == first || other == "" {
		t.Errorf("after the token was rejected: %q, %v, want another one", other, err)
	}
	if _, err := open(t, Config{Login: olga, Region: "elsewhere"}).Endpoint(t.Context(), "image"); err == nil || !strings.Contains(err.Error(), "region elsewhere") {
		t.Errorf("in another region: %v", err)
	}
	if _, err := c.Endpoint(t.Context(), "toaster"); err == nil || !strings.Contains(err.Error(), "toaster") {
		t.Errorf("a service that there is not: %v", err)
	}
	for name, login := range map[string]gophercloud.AuthOptions{
		"password": keystone.Login("olga", "hush", project),
		"token":    {IdentityEndpoint: keystone.AuthURL, TokenID: "hush"},
	} {
		if _, err := open(t, Config{Login: login}).Token(t.Context(), ""); !errors.Is(err, image.ErrUnauthorized) || strings.Contains(err.Error(), "hush") {
			t.Errorf("wrong %s: %v, want image.ErrUnauthorized without secrets", name, err)
		}
	}
	nobody := gophercloud.AuthOptions{IdentityEndpoint: "http://127.0.0.1:1/v3", UserID: "u", Password: "hush"}
	if _, err := open(t, Config{Login: nobody}).Token(t.Context(), ""); !errors.Is(err, client.ErrUnreachable) || strings.Contains(err.Error(), "hush") {
		t.Errorf("no Keystone: %v, want client.ErrUnreachable without secrets", err)
	}
	elsewhere := gophercloud.AuthOptions{IdentityEndpoint: keystone.URL + "/elsewhere", UserID: "u", Password: "hush"}
	if _, err := open(t, Config{Login: elsewhere}).Token(t.Context(), ""); !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("no Keystone at that address: %v, want client.ErrUnreachable", err)
	}
}

// TestWhoWaitsForALoginMayGiveUp lets a second caller give up while the first waits for a Keystone that says nothing.
func TestWhoWaitsForALoginMayGiveUp(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(asked)
		<-answer
	}))
	defer silent.Close()
	c := open(t, Config{Login: gophercloud.AuthOptions{IdentityEndpoint: silent.URL, UserID: "u", Password: "hush"}})
	first := make(chan error)
	go func() {
		_, err := c.Token(t.Context(), "")
		first <- err
	}()
	<-asked
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := c.Token(ctx, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("the one that gives up: %v", err)
	}
	close(answer)
	if err := <-first; err == nil {
		t.Error("the first got a token from nowhere")
	}
}

// TestTokenThatIsOldIsRenewed lets a Keystone give tokens that do not live long.
func TestTokenThatIsOldIsRenewed(t *testing.T) {
	keystone := testservers.SharedKeystone(t)
	if err := keystone.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := keystone.Restart(t.Context(), time.Second); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := keystone.Stop(); err != nil {
			t.Fatal(err)
		}
		if err := keystone.Restart(t.Context(), time.Hour); err != nil {
			t.Fatal(err)
		}
	}()
	c := open(t, Config{Login: keystone.AdminLogin()})
	first, err := c.Token(t.Context(), "")
	for err == nil && t.Context().Err() == nil {
		var next string
		if next, err = c.Token(t.Context(), ""); next != first {
			break
		}
	}
	if err != nil {
		t.Error(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	for name, cfg := range map[string]Config{
		"no URL":     {},
		"no scheme":  {Login: gophercloud.AuthOptions{IdentityEndpoint: "keystone:5000"}},
		"a password": {Login: gophercloud.AuthOptions{IdentityEndpoint: "http://u:hush@k/v3"}},
		"interface":  {Login: gophercloud.AuthOptions{IdentityEndpoint: "http://k/v3"}, Interface: "hush-hush"},
	} {
		if _, err := Open(cfg); err == nil || strings.Contains(err.Error(), "u:hush") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
