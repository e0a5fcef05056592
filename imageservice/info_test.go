package imageservice_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/vitrine-image/vitrine/api"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
	"github.com/vitrine-image/vitrine/imageservice/servicetest"
	"github.com/vitrine-image/vitrine/policy"
)

func TestStoresDetailAndCacheAskTheRules(t *testing.T) {
	svc := open(t, t.TempDir(), nil)
	service := image.Caller{ProjectID: "services", Roles: []string{"service"}}
	for _, tt := range []struct {
		caller        image.Caller
		detail, cache error
	}{
		{callers["admin"], nil, image.ErrNotFound},
		{service, nil, image.ErrForbidden},
		{owner, image.ErrForbidden, image.ErrForbidden},
		{nobody, image.ErrForbidden, image.ErrForbidden},
	} {
		stores, err := svc.As(tt.caller).StoresDetail(t.Context())
		if !errors.Is(err, tt.detail) || err == nil && (len(stores) != 1 || stores[0].ID != "local") {
			t.Errorf("StoresDetail for %v = %+v, %v, want %v", tt.caller.Roles, stores, err, tt.detail)
		}
		for _, rule := range []string{policy.CacheList, policy.CacheImage, policy.CacheDelete, policy.CacheClean, policy.CachePrune,
			policy.ListCachedNodes, policy.ManageImageCache} {
			if err := svc.As(tt.caller).Cache(t.Context(), rule); !errors.Is(err, tt.cache) {
				t.Errorf("%s for %v = %v, want %v", rule, tt.caller.Roles, err, tt.cache)
			}
		}
	}
}

// TestInfoOverHTTP asks for what clients can know through client and API.
func TestInfoOverHTTP(t *testing.T) {
	dir := t.TempDir()
	svc := openFrom(t, dir, imageservice.Config{DB: openDB(t, dir), Quotas: imageservice.Quotas{Default: limited(image.QuotaImages, 5)}})
	stores := []imageservice.StoreInfo{{ID: "local", Default: true, Description: "here"}, {ID: "web", ReadOnly: true}}
	as := serve(t, svc, api.Config{Stores: stores, ImportMethods: []string{"web-download"}})
	c := as(servicetest.Owner)
	if methods, err := c.ImportMethods(t.Context()); err != nil || !slices.Equal(methods, []string{"web-download"}) {
		t.Errorf("ImportMethods = %q, %v", methods, err)
	}
	list, err := c.Stores(t.Context())
	if err != nil || len(list) != 2 || !list[0].Default || list[0].Description != "here" || list[1].Default || !list[1].ReadOnly {
		t.Errorf("Stores = %+v, %v", list, err)
	}
	if _, err := c.StoreDetails(t.Context()); !errors.Is(err, image.ErrForbidden) {
		t.Errorf("StoreDetails = %v", err)
	}
	if list, err := as(servicetest.Admin).StoreDetails(t.Context()); err != nil || len(list) != 1 || list[0].ID != "local" {
		t.Errorf("StoreDetails for an admin = %+v, %v", list, err)
	}
	if _, err := c.Create(t.Context(), "", nil); err != nil {
		t.Fatal(err)
	}
	want := []image.Quota{{Resource: image.QuotaImages, Used: 1, Limit: 5}, {Resource: image.QuotaUploading, Limit: -1},
		{Resource: image.QuotaSize, Limit: -1}, {Resource: image.QuotaStaged, Limit: -1}}
	if quotas, err := c.Usage(t.Context()); err != nil || !slices.Equal(quotas, want) {
		t.Errorf("Usage = %+v, %v, want %+v", quotas, err, want)
	}
	for range 4 {
		if _, err := c.Create(t.Context(), "", nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Create(t.Context(), "", nil); !errors.Is(err, image.ErrTooLarge) || err.Error() != "The limit image_count_total of 5 has been exceeded: attempted 6" {
		t.Errorf("one image more = %v", err)
	}
}
