package imageservice

import (
	"context"
	"errors"
	"slices"

	"github.com/vitrine-image/vitrine/events"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadata"
	"github.com/vitrine-image/vitrine/policy"
)

// Pins returns for which guests the image is pinned, by their names. Errors: image.ErrNotFound, image.ErrForbidden.
func (s *Session) Pins(ctx context.Context, id image.ID) (pins []image.Pin, err error) {
	defer s.recordRefusal(ctx, events.ImageObject, string(id), &err)
	img, err := s.permitted(ctx, id, policy.GetImage, policy.PinImage)
	if err != nil {
		return nil, err
	}
	err = s.svc.db.View(ctx, func(tx metadata.Tx) error {
		pins, err = tx.Pins(img.Number)
		return err
	})
	return pins, err
}

// Pin keeps the image from being deleted for as long as the guest needs it, and returns the pin; one that is there stays as it
// is. Errors: image.ErrNotFound, image.ErrForbidden, image.ErrInvalid, image.ErrTooLarge when it has too many.
func (s *Session) Pin(ctx context.Context, id image.ID, guest string) (pin image.Pin, err error) {
	if err := image.CheckGuest(guest); err != nil {
		return pin, err
	}
	isGuests := func(p image.Pin) bool { return p.Guest == guest }
	err = s.changePins(ctx, id, guest, events.Pin, s.svc.db.Update, func(tx metadata.WriteTx, number int64) error {
		pins, err := tx.Pins(number)
		if err != nil {
			return err
		}
		if i := slices.IndexFunc(pins, isGuests); i >= 0 {
			pin = pins[i]
			return nil
		}
		if n := len(pins) + 1; n > image.MaxPins {
			return &image.QuotaError{Resource: "image_pins", Limit: image.MaxPins, Attempted: int64(n)}
		}
		pin = image.Pin{Guest: guest, CreatedAt: s.svc.timestamp()}
		return tx.AddPin(number, guest, pin.CreatedAt)
	})
	return pin, err
}

// Unpin ends a pin. Errors: image.ErrNotFound, also when there is none for that guest; image.ErrForbidden.
func (s *Session) Unpin(ctx context.Context, id image.ID, guest string) error {
	return s.changePins(ctx, id, guest, events.Unpin, s.svc.db.UpdateFreeing, func(tx metadata.WriteTx, number int64) error {
		err := tx.RemovePin(number, guest)
		if errors.Is(err, image.ErrNotFound) {
			return image.Errorf(image.ErrNotFound, "Image %s is not pinned for %q.", id, guest)
		}
		return err
	})
}

// changePins lets fn change the pins of an image in one update.
func (s *Session) changePins(ctx context.Context, id image.ID, guest string, action events.Action,
	update func(context.Context, func(metadata.WriteTx) error) error, fn func(tx metadata.WriteTx, number int64) error) (err error) {
	act := onImage(action, id)
	act.Guest = guest
	defer s.record(ctx, act, &err)
	return retry(ctx, func() error {
		seen, err := s.permitted(ctx, id, policy.GetImage, policy.PinImage)
		if err != nil {
			return err
		}
		return update(ctx, func(tx metadata.WriteTx) error {
			img, err := s.unchanged(tx, seen)
			if err != nil {
				return err
			}
			return fn(tx, img.Number)
		})
	})
}
