//go:build !ceph

package daemon

import (
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
)

// TestWithoutCeph refuses a store in Ceph by its name, at the start and when checking.
func TestWithoutCeph(t *testing.T) {
	cfg := Default()
	cfg.Data = t.TempDir()
	cfg.API.Listen = []string{"unix:" + filepath.Join(cfg.Data, "api.sock")}
	cfg.Stores = map[string]StoreConfig{"ceph": {Type: storeRBD, Pool: "images", User: "images"}}
	for act, err := range map[string]error{"Run": Run(t.Context(), cfg, Options{Log: io.Discard}), "tryStores": cfg.tryStores(t.Context())} {
		if !errors.Is(err, errNoCeph) || !strings.Contains(err.Error(), "store ceph") {
			t.Errorf("%s = %v, want the store and %q", act, err, errNoCeph)
		}
	}
}
