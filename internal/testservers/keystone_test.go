package testservers

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
)

func TestKeystone(t *testing.T) {
	Require(t, "keystone")
	k, err := StartKeystone(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Stop(); err != nil {
			t.Error(err)
		}
	})
	service, err := k.Identity(t.Context(), k.Service(t, "glance"))
	if err != nil {
		t.Fatal(err)
	}
	ops := k.Project(t, "ops")
	user := k.User(t, "olga", "secret", ops, "member", "auditor")
	token := k.Token(t, k.Login("olga", "secret", ops))
	found := tokens.Get(t.Context(), service, token)
	if u, err := found.ExtractUser(); err != nil || u.ID != user {
		t.Errorf("the token's user = %+v, %v, want %s", u, err, user)
	}
	if p, err := found.ExtractProject(); err != nil || p.ID != ops {
		t.Errorf("the token's project = %+v, %v, want %s", p, err, ops)
	}
	var names []string
	roles, err := found.ExtractRoles()
	for _, role := range roles {
		names = append(names, role.Name)
	}
	if all := strings.Join(names, " "); err != nil || !strings.Contains(all, "member") || !strings.Contains(all, "auditor") {
		t.Errorf("the token's roles = %s, %v", all, err)
	}

	k.Register(t, "image", "vitrine", "http://127.0.0.1:1/image")
	client, err := openstack.AuthenticatedClient(t.Context(), k.Login("olga", "secret", ops))
	if err != nil {
		t.Fatal(err)
	}
	url, err := client.EndpointLocator(gophercloud.EndpointOpts{Type: "image", Availability: gophercloud.AvailabilityPublic})
	if err != nil || url != "http://127.0.0.1:1/image/" {
		t.Errorf("the catalog's image endpoint = %s, %v", url, err)
	}

	t.Run("openstack", func(t *testing.T) {
		Require(t, "openstack")
		if err := k.Operate(t.Context(), "project create made", "project show made"); err != nil {
			t.Error(err)
		}
		if err := k.Operate(t.Context(), "project show nothing", "project show made"); err == nil || !strings.Contains(err.Error(), "nothing") {
			t.Errorf("a project that is not there: %v", err)
		}
	})

	k.Revoke(t, token)
	if err := tokens.Get(t.Context(), service, token).Err; !gophercloud.ResponseCodeIs(err, http.StatusNotFound) {
		t.Errorf("a revoked token: %v, want 404", err)
	}

	if err := k.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := k.Restart(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := tokens.Get(t.Context(), service, k.Token(t, k.Login("olga", "secret", ops))).Err; err != nil {
		t.Errorf("a token after a restart: %v", err)
	}
}
