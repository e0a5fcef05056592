package auth

import (
	"context"
	"net/http"

	"github.com/gophercloud/gophercloud/v2"

	"github.com/vitrine-image/vitrine/image"
)

// A catalogAnswer is the body of an answer to GET /v3/auth/catalog, as much of it as matters.
type catalogAnswer struct {
	Catalog []struct {
		Type      string `json:"type"`
		Endpoints []struct {
			Interface string `json:"interface"`
			Region    string `json:"region"`
			RegionID  string `json:"region_id"`
			URL       string `json:"url"`
		} `json:"endpoints"`
	} `json:"catalog"`
}

// ImageEndpoint returns where the catalog of a caller's token has the Image API of a region; iface is public, internal or
// admin. Errors: image.ErrInvalid when it has none, image.ErrUnavailable.
func (k *Keystone) ImageEndpoint(ctx context.Context, token image.Secret, region, iface string) (string, error) {
	ctx, stop := context.WithTimeout(ctx, k.cfg.Timeout)
	defer stop()
	var answer catalogAnswer
	_, err := k.server.client.Get(ctx, k.server.client.ServiceURL("auth", "catalog"), &answer,
		&gophercloud.RequestOpts{OkCodes: []int{http.StatusOK}, MoreHeaders: map[string]string{"X-Auth-Token": string(token)}})
	switch {
	case gophercloud.ResponseCodeIs(err, http.StatusUnauthorized), gophercloud.ResponseCodeIs(err, http.StatusNotFound):
		return "", errBadToken
	case err != nil:
		return "", k.server.unavailable("Keystone tells nothing of its catalog", err)
	}
	for _, service := range answer.Catalog {
		for _, e := range service.Endpoints {
			if service.Type == serviceType && e.Interface == iface && (e.Region == region || e.RegionID == region) {
				return e.URL, nil
			}
		}
	}
	return "", image.Errorf(image.ErrInvalid, "The catalog has no %s endpoint of an Image API in region %q.", iface, region)
}
