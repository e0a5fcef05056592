package testservers

import (
	"context"
	"net/http"
	"testing"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/endpoints"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/projects"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/roles"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/services"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/users"
	"github.com/gophercloud/gophercloud/v2/pagination"
)

// Domain is the id of the domain in which everything is.
const Domain = "default"

// Login returns the credentials of a user of the domain for a project (by id), or for none with "".
func (k *Keystone) Login(user, password, project string) gophercloud.AuthOptions {
	options := gophercloud.AuthOptions{IdentityEndpoint: k.AuthURL, Username: user, Password: password, DomainID: Domain}
	if project != "" {
		options.Scope = &gophercloud.AuthScope{ProjectID: project}
	}
	return options
}

// AdminLogin returns the credentials of the user admin for the project admin.
func (k *Keystone) AdminLogin() gophercloud.AuthOptions {
	options := k.Login("admin", k.Password, "")
	options.Scope = &gophercloud.AuthScope{ProjectName: "admin", DomainID: Domain}
	return options
}

// Identity returns a client of the Identity API with these credentials.
func (k *Keystone) Identity(ctx context.Context, login gophercloud.AuthOptions) (*gophercloud.ServiceClient, error) {
	provider, err := openstack.AuthenticatedClient(ctx, login)
	if err != nil {
		return nil, err
	}
	return openstack.NewIdentityV3(provider, gophercloud.EndpointOpts{})
}

// Admin returns a client of the Identity API that may do everything.
func (k *Keystone) Admin(t testing.TB) *gophercloud.ServiceClient {
	t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.admin == nil {
		login := k.AdminLogin()
		login.AllowReauth = true
		client, err := k.Identity(context.Background(), login)
		if err != nil {
			t.Fatal(err)
		}
		client.UseTokenLock()
		k.admin = client
	}
	return k.admin
}

// Project makes a project and returns its id.
func (k *Keystone) Project(t testing.TB, name string) string {
	t.Helper()
	project, err := projects.Create(context.Background(), k.Admin(t), projects.CreateOpts{Name: name, DomainID: Domain}).Extract()
	if err != nil {
		t.Fatal(err)
	}
	return project.ID
}

// User makes a user who has the roles in the project (by id), and returns his id.
func (k *Keystone) User(t testing.TB, name, password, project string, roles ...string) string {
	t.Helper()
	user, err := users.Create(context.Background(), k.Admin(t),
		users.CreateOpts{Name: name, Password: password, DomainID: Domain}).Extract()
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range roles {
		k.Assign(t, role, user.ID, project)
	}
	return user.ID
}

// Assign gives the user (by id) a role (by name) in a project (by id), or in the domain when the project is "".
func (k *Keystone) Assign(t testing.TB, role, user, project string) {
	t.Helper()
	admin := k.Admin(t)
	options := roles.AssignOpts{UserID: user, ProjectID: project}
	if project == "" {
		options.DomainID = Domain
	}
	if err := roles.Assign(context.Background(), admin, k.role(t, admin, role), options).ExtractErr(); err != nil {
		t.Fatal(err)
	}
}

// AssignSystem gives the user (by id) a role (by name) in the system, which stands above all domains.
func (k *Keystone) AssignSystem(t testing.TB, role, user string) {
	t.Helper()
	admin := k.Admin(t)
	_, err := admin.Put(context.Background(), admin.ServiceURL("system", "users", user, "roles", k.role(t, admin, role)), nil, nil,
		&gophercloud.RequestOpts{OkCodes: []int{http.StatusNoContent}})
	if err != nil {
		t.Fatal(err)
	}
}

// ServiceID returns the id of the service that Register has entered last by that name.
func (k *Keystone) ServiceID(t testing.TB, name string) string {
	t.Helper()
	pages, err := services.List(k.Admin(t), services.ListOpts{Name: name}).AllPages(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	found, err := services.ExtractServices(pages)
	if err != nil || len(found) == 0 {
		t.Fatalf("the services named %s: %+v, %v", name, found, err)
	}
	return found[len(found)-1].ID
}

// role returns the id of a role, and makes it if there is none of that name.
func (k *Keystone) role(t testing.TB, admin *gophercloud.ServiceClient, name string) string {
	t.Helper()
	var id string
	err := roles.List(admin, roles.ListOpts{Name: name}).EachPage(context.Background(),
		func(_ context.Context, page pagination.Page) (bool, error) {
			found, err := roles.ExtractRoles(page)
			if len(found) > 0 {
				id = found[0].ID
			}
			return false, err
		})
	if err != nil {
		t.Fatal(err)
	}
	if id != "" {
		return id
	}
	role, err := roles.Create(context.Background(), admin, roles.CreateOpts{Name: name}).Extract()
	if err != nil {
		t.Fatal(err)
	}
	return role.ID
}

// Service makes a user with the role service in a project of the same name, as every service of a cloud has one, and
// returns its credentials.
func (k *Keystone) Service(t testing.TB, name string) gophercloud.AuthOptions {
	t.Helper()
	project := k.Project(t, name)
	k.User(t, name, "password of "+name, project, "service")
	return k.Login(name, "password of "+name, project)
}

// Token returns a new token.
func (k *Keystone) Token(t testing.TB, login gophercloud.AuthOptions) string {
	t.Helper()
	client, err := openstack.AuthenticatedClient(context.Background(), login)
	if err != nil {
		t.Fatal(err)
	}
	return client.Token()
}

// Revoke makes a token invalid.
func (k *Keystone) Revoke(t testing.TB, token string) {
	t.Helper()
	if err := tokens.Revoke(context.Background(), k.Admin(t), token).Err; err != nil {
		t.Fatal(err)
	}
}

// Region is where everything is that Register enters.
const Region = "RegionOne"

// Register enters a new service of a type such as "image" into the catalog, and its endpoint: public, internal and admin.
func (k *Keystone) Register(t testing.TB, kind, name, url string) {
	t.Helper()
	service, err := services.Create(context.Background(), k.Admin(t), services.CreateOpts{Type: kind, Extra: map[string]any{"name": name}}).Extract()
	if err != nil {
		t.Fatal(err)
	}
	k.register(t, service.ID, Region, name, url)
}

// RegisterIn enters the endpoint that a service has in another region.
func (k *Keystone) RegisterIn(t testing.TB, region, name, url string) {
	t.Helper()
	k.register(t, k.ServiceID(t, name), region, name, url)
}

func (k *Keystone) register(t testing.TB, service, region, name, url string) {
	t.Helper()
	for _, side := range []gophercloud.Availability{gophercloud.AvailabilityPublic, gophercloud.AvailabilityInternal,
		gophercloud.AvailabilityAdmin} {
		_, err := endpoints.Create(context.Background(), k.Admin(t), endpoints.CreateOpts{Availability: side, Name: name, Region: region,
			URL: url, ServiceID: service}).Extract()
		if err != nil {
			t.Fatal(err)
		}
	}
}
