package imageservice

import (
	"context"
	"slices"

	"github.com/vitrine-image/vitrine/events"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/policy"
)

// DeleteCopy removes the data of an image from one of several stores.
// Errors, in the order in which they are looked for: image.ErrNotFound where there is one store only; image.ErrConflict for an
// unknown store; image.ErrNotFound; image.ErrForbidden; image.ErrConflict when the image is not active; image.ErrNotFound when
// the store has no copy; image.ErrForbidden for the last one; image.ErrInUse for one that has clones.
func (s *Session) DeleteCopy(ctx context.Context, storeID string, id image.ID) error {
	if len(s.svc.Stores()) < 2 {
		return image.Errorf(image.ErrNotFound, "There are no several stores here.")
	}
	if _, ok := s.svc.stores.Get(storeID); !ok || imagestore.Reserved(storeID) {
		return image.Errorf(image.ErrConflict, "There is no store %q.", storeID)
	}
	leave, err := s.svc.cloning.enter(ctx, id, aRemoval)
	if err != nil {
		return err
	}
	defer leave()
	var number int64
	_, err = s.change(ctx, id, events.DeleteFromStore, policy.DeleteImageLocation, func(img *image.Image) (bool, error) {
		number = img.Number
		elsewhere := func(l image.Location) bool { return l.Store != storeID }
		left := slices.DeleteFunc(slices.Clone(img.Locations), func(l image.Location) bool { return !elsewhere(l) })
		switch {
		case img.Status != image.Active:
			return false, image.Errorf(image.ErrConflict, "Image %s is %s: a copy can be deleted only while it is active.", id, img.Status)
		case len(left) == len(img.Locations):
			return false, image.Errorf(image.ErrNotFound, "Image %s has no copy in store %q.", id, storeID)
		case len(left) == 0:
			return false, image.Errorf(image.ErrForbidden, "Image %s has its data in store %q alone, and the last copy cannot be deleted.", id, storeID)
		}
		if err := s.svc.checkClones(ctx, id, slices.DeleteFunc(slices.Clone(img.Locations), elsewhere)); err != nil {
			return false, err
		}
		img.Locations = left
		return true, nil
	})
	if err != nil {
		return err
	}
	s.svc.collectOf(context.WithoutCancel(ctx), number, id)
	return nil
}
