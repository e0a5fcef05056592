package imageservice

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/metadata"
)

// deadAfter is how long an instance's heart may be silent before others clean up after it.
const deadAfter = time.Minute

// Beat tells other instances that this one lives. Call it more often than once in deadAfter.
func (s *Service) Beat(ctx context.Context) error {
	return s.db.UpdateFreeing(ctx, func(tx metadata.WriteTx) error { return tx.Beat(s.instance, s.timestamp()) })
}

// Leave ends this instance: nothing of it runs any more.
func (s *Service) Leave(ctx context.Context) error {
	return s.db.UpdateFreeing(ctx, func(tx metadata.WriteTx) error { return tx.RemoveInstance(s.instance) })
}

// BuryOthers forgets every other instance. Only a process that holds the database for itself may say that they are dead.
func (s *Service) BuryOthers(ctx context.Context) error {
	return s.db.UpdateFreeing(ctx, func(tx metadata.WriteTx) error {
		instances, err := tx.Instances()
		for name := range instances {
			if name != s.instance && err == nil {
				err = tx.RemoveInstance(name)
			}
		}
		return err
	})
}

// sweepUploads ends the reservations of uploads that nobody runs any more: those of dead instances, and those of this
// one that it could not clean up. It removes their objects and returns their images to queued.
func (s *Service) sweepUploads(ctx context.Context, in func(store string) bool) error {
	var uploads []image.Upload
	var instances map[string]time.Time
	err := s.db.View(ctx, func(tx metadata.Tx) (err error) {
		if uploads, err = tx.Uploads(); err == nil {
			instances, err = tx.Instances()
		}
		return err
	})
	if err != nil {
		return err
	}
	var failed []error
	for _, u := range uploads {
		beat, alive := instances[u.Instance]
		switch {
		case !in(u.Store):
		case u.Instance == s.instance && s.running(u.ID):
		case u.Instance != s.instance && alive && s.now().Sub(beat) < deadAfter:
		default:
			if err := s.settle(ctx, u, errSwept); err != nil {
				failed = append(failed, fmt.Errorf("upload of image %s: %w", u.ImageID, err))
				continue
			}
			s.log.Info("swept an upload that did not end", "image_id", u.ImageID, "store", u.Store)
		}
	}
	return errors.Join(failed...)
}

// errSwept is told when an upload was not ended by who ran it.
var errSwept = image.Errorf(image.ErrInterrupted, "The server ended before the data was stored.")

// settle ends a reservation that nobody works on, and tells why the data was not taken: unless the image became active through it, its object is removed, or
// noted as garbage if its store is away, and the image is queued again. A reservation that cannot be settled stays, so
// that it is tried again.
func (s *Service) settle(ctx context.Context, u image.Upload, why error) error {
	pending, err := s.claim(ctx, u)
	if err != nil || !pending {
		return err
	}
	u.Instance = s.instance
	left, err := s.removeObject(ctx, u)
	if err != nil {
		return err
	}
	var mine bool
	err = s.db.UpdateFreeing(ctx, func(tx metadata.WriteTx) (err error) {
		if mine, err = reserved(tx, u); err != nil || !mine {
			return err // this process was taken for dead meanwhile, and the image may have been uploaded anew
		}
		if left.URL != "" {
			g := image.Garbage{Number: u.Number, ImageID: u.ImageID, Location: left, Since: s.timestamp()}
			if err := tx.AddGarbage(g); err != nil {
				return err
			}
		}
		img, err := tx.ImageByNumber(u.Number)
		switch {
		case errors.Is(err, image.ErrNotFound): // deleted meanwhile
		case err != nil:
			return err
		case img.Status == image.Saving, img.Status == image.Uploading: // the latter while it was being staged
			if err := img.SetStatus(image.Queued); err != nil {
				return err
			}
			img.UpdatedAt = s.timestamp()
			if err := tx.SaveImage(img); err != nil {
				return err
			}
		}
		return tx.RemoveUpload(u.ID)
	})
	if err == nil && mine && u.Store != imagestore.Staging {
		s.tellFailed(ctx, u.ImageID, why)
	}
	return err
}

// claim makes the reservation this instance's, and reports whether it is still as u has it: who comes second must leave it
// to who came first. The write matters: a commit that reported failure may have reached the disk all the same, and only
// a later commit tells for good which of the two holds. Until then no byte may be removed.
func (s *Service) claim(ctx context.Context, u image.Upload) (pending bool, err error) {
	err = s.db.UpdateFreeing(ctx, func(tx metadata.WriteTx) error {
		pending, err = reserved(tx, u)
		if err != nil || !pending {
			return err
		}
		return tx.ClaimUpload(u.ID, s.instance)
	})
	return pending, err
}

// reserved reports whether the reservation is there and held by the instance that u names. It is not when the image became
// active through it, or when somebody else settled or claimed it.
func reserved(tx metadata.Tx, u image.Upload) (bool, error) {
	now, err := tx.Upload(u.Number)
	if errors.Is(err, image.ErrNotFound) {
		return false, nil
	}
	return err == nil && now.ID == u.ID && now.Instance == u.Instance, err
}

// removeObject removes what the upload may have left, or returns where it is if that cannot be done now.
func (s *Service) removeObject(ctx context.Context, u image.Upload) (left image.Location, err error) {
	store, ok := s.stores.Get(u.Store)
	if !ok {
		return left, image.Errorf(image.ErrStoreOffline, "Store %q is not configured any more", u.Store)
	}
	writer, ok := store.(imagestore.Writer)
	if !ok {
		return left, image.Errorf(image.ErrStoreReadOnly, "Store %q does not delete", u.Store)
	}
	loc := writer.Locate(objectOf(u))
	if loc.URL != "" && s.hangs(u.Store) {
		s.unswept(u.Store)
		return loc, nil
	}
	if err := s.ask(u.Store, func() error { return writer.Delete(ctx, loc) }); err != nil {
		s.unswept(u.Store)
		if ctx.Err() != nil || loc.URL == "" {
			return left, err
		}
		s.log.WarnContext(ctx, "the data of a failed upload stays for now", "image_id", u.ImageID, "store", u.Store, "error", err)
		return loc, nil
	}
	return left, nil
}

// changesPage bounds what TrimChanges drops in one transaction: other updates wait for it.
const changesPage = 2000

// TrimChanges drops the oldest changes, so that about keep of them stay.
func (s *Service) TrimChanges(ctx context.Context, keep int64) error {
	for more := true; more; {
		err := s.db.UpdateFreeing(ctx, func(tx metadata.WriteTx) error {
			last, err := tx.LastChange()
			if err == nil {
				more, err = tx.DropChanges(last-keep, changesPage)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// labelsPage bounds what DropLabels looks at in one transaction: other updates wait for it.
const labelsPage = 500

// DropLabels forgets names, tags and projects that no image has any more, but for about the newest keep of all that there
// ever were. Those that images have stay however many there are.
func (s *Service) DropLabels(ctx context.Context, keep int64) error {
	p := s.newPace()
	for after, last := int64(0), int64(1); last > 0; after = last {
		err := s.db.UpdateFreeing(ctx, func(tx metadata.WriteTx) (err error) {
			last, err = tx.DropLabels(after, keep, labelsPage)
			return err
		})
		if err == nil {
			err = p.step(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
