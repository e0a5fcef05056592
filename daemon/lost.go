package daemon

import (
	"context"
	"errors"

	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/metadata"
)

// enoughObjects is how many objects without a record tell as much as all of them would.
const enoughObjects = 1000

// findLost looks at the start whether the database knows an active image, and if not, in the stores at hand for what it
// should know. The others are looked at as soon as they can be reached.
func (d *daemon) findLost(ctx context.Context) error {
	err := d.db.View(ctx, func(tx metadata.Tx) error {
		known, err := tx.TreeImages(metadata.Dir{}, 0, 1)
		d.knowsNothing = len(known) == 0
		return err
	})
	if err != nil {
		return err
	}
	for _, e := range d.stores.Entries() {
		if !e.Local {
			continue
		}
		if err := d.tellOfLostDatabase(ctx, e); err != nil {
			d.log.Debug("cannot tell what a store holds", "store", e.ID, "error", err) // others say why, and louder
		}
	}
	return ctx.Err()
}

// tellOfLostDatabase says loudly when the store holds data and the database knew no image at the start: it is new, empty, or
// that of another place. The audit would only name the files, one by one. It changes nothing.
func (d *daemon) tellOfLostDatabase(ctx context.Context, e imagestore.Entry) error {
	auditor, ok := e.Store.(imagestore.Auditor)
	if !ok || !d.knowsNothing {
		return nil
	}
	objects, err := d.unknownObjects(ctx, e.ID, auditor)
	if objects > 0 {
		path, _ := d.cfg.Metadata.sqlitePath() // it was opened
		d.log.Error("the store holds data and the database knows no image: was the database lost, or is this another one? "+
			"Stop, restore a backup of it or name the right one, and start again; nothing is removed meanwhile",
			"store", e.ID, "objects", objects, "or_more", objects == enoughObjects, "database", path)
	}
	return err
}

// unknownObjects counts objects of a store that no record names, up to enoughObjects.
func (d *daemon) unknownObjects(ctx context.Context, store string, auditor imagestore.Auditor) (n int, err error) {
	errEnough := errors.New("enough")
	err = auditor.Audit(ctx, func(f imagestore.Finding) error {
		if f.Foreign != "" {
			return nil
		}
		known := false
		err := d.db.View(ctx, func(tx metadata.Tx) (err error) {
			known, err = tx.LocationExists(store, f.Location.URL)
			return err
		})
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
