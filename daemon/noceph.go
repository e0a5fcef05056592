//go:build !ceph

package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/vitrine-image/vitrine/metadata"
)

var errNoCeph = errors.New("this vitrined was built without Ceph")

func openRBDStore(context.Context, string, StoreConfig, metadata.DB, *slog.Logger) (backend, error) {
	return nil, errNoCeph
}

// tryStores refuses stores that lie in Ceph.
func (cfg *Config) tryStores(context.Context) error {
	for id, sc := range cfg.Stores {
		if sc.Type == storeRBD {
			return fmt.Errorf("store %s: %w", id, errNoCeph)
		}
	}
	return nil
}
