package imageservice

import (
	"context"
	"errors"
	"fmt"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/metadata"
)

// garbagePage bounds what is looked at of the garbage in one transaction.
const garbagePage = 256

// collect removes the bytes whose record is gone and that are wanted, save those that somebody still holds open. It tries all
// of them, each when it is its turn in its store, and returns the first error of each store: of one that is away there may be very many.
func (s *Service) collect(ctx context.Context, await turn, wanted func(image.Garbage) bool) error {
	var failed []error
	told := make(map[string]bool)
	for after := int64(0); ; {
		page, err := s.garbage(ctx, after, garbagePage)
		if err != nil || len(page) == 0 {
			return errors.Join(append(failed, err)...)
		}
		after = page[len(page)-1].ID
		for _, g := range page {
			if !wanted(g) {
				continue
			}
			if err := s.removeGarbage(ctx, await, g); err != nil && !told[g.Location.Store] {
				failed, told[g.Location.Store] = append(failed, err), true
			}
		}
	}
}

// garbage returns the entries above the id after.
func (s *Service) garbage(ctx context.Context, after int64, limit int) (page []image.Garbage, err error) {
	err = s.db.View(ctx, func(tx metadata.Tx) (err error) {
		page, err = tx.Garbage(after, limit)
		return err
	})
	return page, err
}

// removeGarbage removes bytes that nobody holds, and their entry.
func (s *Service) removeGarbage(ctx context.Context, await turn, g image.Garbage) error {
	store, ok := s.stores.Get(g.Location.Store)
	if !ok {
		return image.Errorf(image.ErrStoreOffline,
			"Data of image %s that no record names stays: store %q is not configured", g.ImageID, g.Location.Store)
	}
	end, err := await(ctx, g.Location.Store)
	if err != nil {
		return err
	}
	defer end()
	// What another collection has removed meanwhile must not be removed again: something new could have its name.
	now, err := s.garbage(ctx, g.ID-1, 1)
	if err != nil || len(now) == 0 || now[0].ID != g.ID || s.holds.users(g.Number) > 0 {
		return err
	}
	if writer, deletes := store.(imagestore.Writer); deletes { // otherwise the data is not ours
		if err := s.ask(g.Location.Store, func() error { return writer.Delete(ctx, g.Location) }); err != nil {
			return fmt.Errorf("remove data of image %s that no record names: %w", g.ImageID, err)
		}
	}
	return s.db.UpdateFreeing(ctx, func(tx metadata.WriteTx) error { return tx.RemoveGarbage(g.ID) })
}

// collectOf removes what an image has given away, and leaves to the sweep what cannot be removed now.
func (s *Service) collectOf(ctx context.Context, number int64, id image.ID) {
	if err := s.collect(ctx, s.awaitTurnBriefly, func(g image.Garbage) bool { return g.Number == number }); err != nil {
		s.log.WarnContext(ctx, "data that is not needed any more stays for now", "image_id", id, "error", err)
	}
}
