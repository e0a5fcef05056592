package imageservice_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/vitrine-image/vitrine/api"
	"github.com/vitrine-image/vitrine/client"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
	"github.com/vitrine-image/vitrine/imageservice/servicetest"
)

func TestCallers(t *testing.T) {
	servicetest.RunCallers(t, func(t *testing.T) func(image.Caller) servicetest.Sharing {
		svc := open(t, t.TempDir(), nil)
		return func(c image.Caller) servicetest.Sharing { return session{svc.As(c)} }
	})
}

// TestCallersOverHTTP runs the same through client and API.
func TestCallersOverHTTP(t *testing.T) {
	servicetest.RunCallers(t, func(t *testing.T) func(image.Caller) servicetest.Sharing {
		as := serve(t, open(t, t.TempDir(), nil), api.Config{})
		return func(c image.Caller) servicetest.Sharing { return as(c) }
	})
}

// projects takes the name of a project for a token of the suite's caller of that project.
type projects struct{}

func (projects) Authenticate(r *http.Request) (image.Caller, error) {
	callers := servicetest.Callers()
	i := slices.IndexFunc(callers, func(c image.Caller) bool { return c.ProjectID == r.Header.Get("X-Auth-Token") })
	if i < 0 {
		return image.Caller{}, image.ErrUnauthorized
	}
	return callers[i], nil
}

// serve puts the API before a service, and returns clients of the suite's callers.
func serve(t *testing.T, svc *imageservice.Service, cfg api.Config) func(image.Caller) servicetest.Remote {
	t.Helper()
	cfg.Images = func(c image.Caller) api.Session { return svc.As(c) }
	cfg.Auth = projects{}
	handler, err := api.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	return func(c image.Caller) servicetest.Remote {
		conn, err := client.New(client.Config{Endpoint: srv.URL, Token: c.ProjectID, Retries: -1})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(conn.Close)
		return servicetest.Remote{Client: conn}
	}
}
