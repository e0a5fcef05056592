//go:build ceph

package daemon

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/vitrine-image/vitrine/imagestore/rbdstore"
	"github.com/vitrine-image/vitrine/metadata"
)

// openRBDStore opens a store in a pool of Ceph and does not wait for the cluster, which may be away.
func openRBDStore(ctx context.Context, id string, sc StoreConfig, db metadata.DB, log *slog.Logger) (backend, error) {
	fsid, err := identityOf(ctx, db, id)
	if err != nil {
		return nil, err
	}
	cfg := sc.rbd(id)
	cfg.FSID, cfg.Logger = fsid, log
	cfg.SaveFSID = func(ctx context.Context, fsid string) error { return saveIdentity(ctx, db, id, fsid) }
	return rbdstore.Open(cfg)
}

func (sc StoreConfig) rbd(id string) rbdstore.Config {
	return rbdstore.Config{ID: id, Pool: sc.Pool, User: sc.User, Conf: sc.Conf, Keyring: sc.Keyring, Timeout: time.Duration(sc.Timeout),
		ObjectSize: int64(sc.ObjectSize), TrashInUse: sc.Trash, ClonePools: sc.ClonePools}
}

// tryStores reaches the pools of all stores that lie in Ceph.
func (cfg *Config) tryStores(ctx context.Context) error {
	var failed []error
	for id, sc := range cfg.Stores {
		if sc.Type != storeRBD {
			continue
		}
		store, err := rbdstore.Open(sc.rbd(id))
		if err == nil {
			_, err = store.Check(ctx)
			store.Close()
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}
