package auth

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gophercloud/gophercloud/v2"

	"github.com/vitrine-image/vitrine/image"
)

// catalog answers one question with a catalog.
type catalog struct {
	t      *testing.T
	status int
	body   string
}

func (c catalog) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path != "/v3/auth/catalog" || r.Header.Get("X-Auth-Token") != "the user's" {
		c.t.Errorf("asked for %s with the token %q", r.URL, r.Header.Get("X-Auth-Token"))
	}
	return &http.Response{StatusCode: c.status, Body: io.NopCloser(strings.NewReader(c.body)), Request: r, Header: http.Header{}}, nil
}

func TestImageEndpoint(t *testing.T) {
	const body = `{"catalog": [
		{"type": "compute", "endpoints": [{"interface": "public", "region": "two", "url": "http://nova"}]},
		{"type": "image", "endpoints": [
			{"interface": "public", "region": "one", "region_id": "one", "url": "http://one"},
			{"interface": "internal", "region": "two", "region_id": "two", "url": "http://two.internal"},
			{"interface": "public", "region_id": "two", "url": "http://two"}]}]}`
	for _, tt := range []struct {
		region, iface string
		status        int
		want          string
		err           error
	}{
		{"two", "public", http.StatusOK, "http://two", nil},
		{"two", "internal", http.StatusOK, "http://two.internal", nil},
		{"two", "admin", http.StatusOK, "", image.ErrInvalid},
		{"three", "public", http.StatusOK, "", image.ErrInvalid},
		{"two", "public", http.StatusUnauthorized, "", image.ErrUnauthorized},
		{"two", "public", http.StatusInternalServerError, "", image.ErrUnavailable},
	} {
		k, err := NewKeystone(KeystoneConfig{Login: gophercloud.AuthOptions{IdentityEndpoint: "http://keystone/v3", Username: "u", Password: "p", DomainID: "d",
			Scope: &gophercloud.AuthScope{ProjectID: "p"}}})
		if err != nil {
			t.Fatal(err)
		}
		k.server.client.HTTPClient.Transport = catalog{t, tt.status, body}
		got, err := k.ImageEndpoint(t.Context(), "the user's", tt.region, tt.iface)
		if got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%s in %s: %q, %v, want %q, %v", tt.iface, tt.region, got, err, tt.want, tt.err)
		}
	}
}
