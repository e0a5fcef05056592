package api

import (
	"context"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/auth"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
	"github.com/vitrine-image/vitrine/policy"
)

func (s *fakeSession) StoresDetail(context.Context) ([]imageservice.StoreInfo, error) {
	return []imageservice.StoreInfo{{ID: "fast", Default: true, Type: "file", Weight: 7,
		Properties: map[string]any{"data_dir": "/images", "chunk_size": 65536, "thin_provisioning": true}}, {ID: "web", ReadOnly: true, Type: "http"}}, s.fail
}

func (s *fakeSession) Usage(context.Context) ([]image.Quota, error) {
	if s.caller.ProjectID != "p1" {
		return nil, s.fail
	}
	return []image.Quota{{Resource: image.QuotaSize, Used: 3, Limit: 10}, {Resource: image.QuotaImages, Used: 1, Limit: -1}}, s.fail
}

func (s *fakeSession) Cache(_ context.Context, rule string) error {
	if s.fail != nil {
		return s.fail
	}
	return image.Errorf(image.ErrNotFound, "%s", rule)
}

func TestInfo(t *testing.T) {
	several := func(c *Config) {
		c.Stores = []imageservice.StoreInfo{{ID: "fast", Default: true, Description: "on <NVMe>", Weight: 7, Type: "file"}, {ID: "web", ReadOnly: true}}
		c.ImportMethods = []string{"glance-direct", "web-download"}
	}
	poor := func(c *Config) { c.Auth = auth.NewNone("p2") }
	for _, tt := range []struct {
		name, path string
		change     func(*Config)
		code       int
		want       string // the body of a success, part of it otherwise
	}{
		{"methods", "import", several, 200,
			`{"import-methods":{"description":"Import methods available.","type":"array","value":["glance-direct","web-download"]}}`},
		{"no methods", "import", poor, 200, `{"import-methods":{"description":"Import methods available.","type":"array","value":[]}}`},
		{"stores", "stores", several, 200,
			`{"stores":[{"id":"fast","description":"on <NVMe>","default":"true"},{"id":"web","read-only":"true"}]}`},
		{"one store", "stores", poor, 404, "single store"},
		{"details", "stores/detail", several, 200,
			`{"stores":[{"id":"fast","default":"true","type":"file","weight":7,"properties":{"chunk_size":65536,"data_dir":"/images","thin_provisioning":true}},` +
				`{"id":"web","read-only":"true","type":"http","weight":0,"properties":{}}]}`},
		{"details of one store", "stores/detail", poor, 404, "single store"},
		{"usage", "usage", several, 200, `{"usage":{"image_count_total":{"usage":1,"limit":-1},"image_size_total":{"usage":3,"limit":10}}}`},
		{"usage without limits", "usage", poor, 200, `{"usage":{}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHandler(t, newFake(), tt.change)
			res := do(h, request{"GET", "/v2/info/" + tt.path, nil, ""})
			if body := res.Body.String(); res.Code != tt.code || body != tt.want && (tt.code == 200 || !strings.Contains(body, tt.want)) {
				t.Errorf("%d %s\nwant %d %s", res.Code, body, tt.code, tt.want)
			}
			if res := do(h, request{"HEAD", "/v2/info/" + tt.path, nil, ""}); res.Code != 405 || res.Header().Get("Allow") != "GET" {
				t.Errorf("HEAD = %d, Allow %q", res.Code, res.Header().Get("Allow"))
			}
		})
	}
	f := newFake()
	f.fail = image.ErrForbidden
	if res := do(newHandler(t, f, several), request{"GET", "/v2/info/stores/detail", nil, ""}); res.Code != 403 {
		t.Errorf("details that are not for everybody = %d", res.Code)
	}
}

func TestCacheRoutes(t *testing.T) {
	f := newFake()
	h := newHandler(t, f)
	for _, tt := range []struct {
		method, path, rule, allow string
	}{
		{"GET", "/v2/cache", policy.CacheList, "GET, DELETE"},
		{"DELETE", "/v2/cache", policy.CacheDelete, "GET, DELETE"},
		{"PUT", "/v2/cache/" + anID, policy.CacheImage, "PUT, DELETE"},
		{"DELETE", "/v2/cache/" + anID, policy.CacheDelete, "PUT, DELETE"},
		{"GET", "/v2/cache/nodes/" + anID, policy.ListCachedNodes, "GET"},
		{"POST", "/v2/cache/clean", policy.CacheClean, "POST, PUT, DELETE"},
		{"POST", "/v2/cache/prune", policy.CachePrune, "POST, PUT, DELETE"},
		{"GET", "/v2/cached_images", policy.ManageImageCache, "GET, DELETE"},
		{"DELETE", "/v2/cached_images", policy.ManageImageCache, "GET, DELETE"},
		{"DELETE", "/v2/cached_images/" + anID, policy.ManageImageCache, "DELETE"},
		{"GET", "/v2/queued_images", policy.ManageImageCache, "GET, DELETE"},
		{"DELETE", "/v2/queued_images", policy.ManageImageCache, "GET, DELETE"},
		{"PUT", "/v2/queued_images/" + anID, policy.ManageImageCache, "PUT, DELETE"},
		{"DELETE", "/v2/queued_images/" + anID, policy.ManageImageCache, "PUT, DELETE"},
	} {
		t.Run(tt.method+" "+tt.path, func(t *testing.T) {
			f.fail = nil
			if res := do(h, request{tt.method, tt.path, nil, ""}); res.Code != 404 || !strings.Contains(res.Body.String(), "\n"+tt.rule+"\n") {
				t.Errorf("%d %s, want the rule %s", res.Code, res.Body, tt.rule)
			}
			if res := do(h, request{"HEAD", tt.path, nil, ""}); res.Code != 405 || res.Header().Get("Allow") != tt.allow {
				t.Errorf("HEAD = %d, Allow %q, want %q", res.Code, res.Header().Get("Allow"), tt.allow)
			}
			f.fail = image.ErrForbidden
			if res := do(h, request{tt.method, tt.path, nil, ""}); res.Code != 403 {
				t.Errorf("for who may not = %d", res.Code)
			}
		})
	}
}
