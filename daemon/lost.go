package daemon

import (
	"context"
	"errors"
	"log/slog"

	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/metadata"
)

// enoughObjects is how many objects without a record tell as much as all of them would.
const enoughObjects = 1000

// tellOfLostDatabase says loudly when the stores hold data and the database knows no active image: it is new, empty, or
// that of another place. The audit would only name the files, one by one. It changes nothing.
func tellOfLostDatabase(ctx context.Context, db metadata.DB, stores *imagestore.Set, path string, log *slog.Logger) error {
	return db.View(ctx, func(tx metadata.Tx) error {
		if known, err := tx.TreeImages(metadata.Dir{}, 0, 1); err != nil || len(known) > 0 {
			return err
		}
		for _, e := range stores.Entries() {
			objects, err := unknownObjects(ctx, tx, e)
			if err != nil {
				log.Debug("cannot tell what a store holds", "store", e.ID, "error", err) // others say why, and louder
			}
			if objects > 0 {
				log.Error("the store holds data and the database knows no image: was the database lost, or is this another one? "+
					"Stop, restore a backup of it or name the right one, and start again; nothing is removed meanwhile",
					"store", e.ID, "objects", objects, "or_more", objects == enoughObjects, "database", path)
			}
		}
		return nil
	})
}

// unknownObjects counts objects of a store that no record names, up to enoughObjects.
func unknownObjects(ctx context.Context, tx metadata.Tx, e imagestore.Entry) (n int, err error) {
	auditor, ok := e.Store.(imagestore.Auditor)
	if !ok {
		return 0, nil
	}
	errEnough := errors.New("enough")
	err = auditor.Audit(ctx, func(f imagestore.Finding) error {
		if f.Foreign != "" {
			return nil
		}
		known, err := tx.LocationExists(e.ID, f.Location.URL)
		if known || err != nil {
			return err
		}
		if n++; n == enoughObjects {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return n, err
}
