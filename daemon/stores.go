package daemon

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/imagestore/filestore"
	"github.com/vitrine-image/vitrine/imagestore/httpstore"
	"github.com/vitrine-image/vitrine/metadata"
)

// openStores opens the configured stores and the staging area, and remembers the identity of those that are used for the first time.
func openStores(ctx context.Context, cfg Config, db metadata.DB, log *slog.Logger) (*imagestore.Set, []io.Closer, error) {
	var entries []imagestore.Entry
	var opened []io.Closer
	for id, sc := range cfg.Stores {
		store, err := cfg.openStore(ctx, id, sc, db, log)
		if err != nil {
			return nil, opened, fmt.Errorf("store %s: %w", id, err)
		}
		opened = append(opened, store)
		entries = append(entries, imagestore.Entry{ID: id, Store: store, Description: sc.Description, Default: sc.Default,
			Weight: sc.Weight, Local: sc.Type == storeFile, Changeable: sc.Type == storeHTTP && !sc.Trusted, Type: sc.Type, Properties: sc.properties()})
	}
	staging, err := openFileStore(ctx, imagestore.Staging, StoreConfig{Path: cfg.Import.Staging}, db, log)
	if err != nil {
		return nil, opened, fmt.Errorf("staging area: %w", err)
	}
	opened = append(opened, staging)
	entries = append(entries, imagestore.Entry{ID: imagestore.Staging, Store: staging, Local: true})
	set, err := imagestore.NewSet(entries...)
	return set, opened, err
}

// A backend is a store that holds something until it is closed.
type backend interface {
	imagestore.Store
	io.Closer
}

// openStore knows the backends.
func (cfg *Config) openStore(ctx context.Context, id string, sc StoreConfig, db metadata.DB, log *slog.Logger) (backend, error) {
	switch sc.Type {
	case storeFile:
		return openFileStore(ctx, id, sc, db, log)
	case storeHTTP:
		return cfg.openHTTPStore(id, sc, log)
	case storeRBD:
		return openRBDStore(ctx, id, sc, db, log)
	}
	return nil, fmt.Errorf("there is no type %q", sc.Type)
}

// The types of stores.
const (
	storeFile = "file"
	storeHTTP = "http"
	storeRBD  = "rbd"
)

// outgoing returns the filter of what the store asks for: that of all requests, but for the hosts if it has some of its own.
func (cfg *Config) outgoing(sc StoreConfig) OutgoingConfig {
	c := cfg.Outgoing
	if len(sc.AllowedHosts) > 0 {
		c.AllowedHosts = sc.AllowedHosts
	}
	return c
}

func (cfg *Config) openHTTPStore(id string, sc StoreConfig, log *slog.Logger) (backend, error) {
	filter := cfg.outgoing(sc)
	client, err := filter.open(log)
	if err != nil {
		return nil, err
	}
	return httpstore.Open(httpstore.Config{ID: id, Client: client, Retries: cfg.Images.HTTPRetries, Requests: sc.Requests,
		Timeout: time.Duration(sc.Timeout), Logger: log})
}

func openFileStore(ctx context.Context, id string, sc StoreConfig, db metadata.DB, log *slog.Logger) (backend, error) {
	cfg := filestore.Config{ID: id, MinFree: int64(sc.MinFree), Occupied: sc.occupied, Reread: id == imagestore.Staging, Logger: log}
	for _, p := range sc.directories() {
		cfg.Dirs = append(cfg.Dirs, filestore.Dir{Path: p.Path, Priority: p.Priority})
	}
	var err error
	if cfg.UUID, err = identityOf(ctx, db, id); err != nil {
		return nil, err
	}
	store, err := filestore.Open(cfg)
	if err != nil || store.UUID() == cfg.UUID {
		return store, err
	}
	if err := saveIdentity(ctx, db, id, store.UUID()); err != nil {
		store.Close()
		return nil, err
	}
	return store, nil
}

// identityOf returns what tells a store from all others, "" before its first use.
func identityOf(ctx context.Context, db metadata.DB, id string) (identity string, err error) {
	err = db.View(ctx, func(tx metadata.Tx) (err error) {
		identity, err = tx.StoreIdentity(id)
		return err
	})
	return identity, err
}

func saveIdentity(ctx context.Context, db metadata.DB, id, identity string) error {
	return db.Update(ctx, func(tx metadata.WriteTx) error { return tx.SaveStoreIdentity(id, identity) })
}

// properties tells operators how a store is configured, in the words that clients know.
func (sc StoreConfig) properties() map[string]any {
	switch sc.Type {
	case storeHTTP:
		return map[string]any{"allowed_hosts": sc.AllowedHosts, "trusted": sc.Trusted}
	case storeFile:
		var dirs any
		if list := sc.directories(); len(list) == 1 {
			dirs = list[0].Path
		} else {
			var paths []string
			for _, dir := range list {
				paths = append(paths, dir.Path)
			}
			dirs = paths
		}
		return map[string]any{"data_dir": dirs, "chunk_size": fileChunk, "thin_provisioning": true}
	}
	return nil
}

// fileChunk is what clients are told of how files are written: in pieces of this many bytes, of which those of zeros alone
// become holes.
const fileChunk = 65536
