package imageservice

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vitrine-image/vitrine/events"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/metadata"
	"github.com/vitrine-image/vitrine/policy"
)

// closing is how long the kernel may take to tell the mount that a file was closed: close(2) does not wait for it, so
// who closes a file and then deletes its image is ahead of the news.
const closing = 500 * time.Millisecond

// Delete removes an image: first the record, then the bytes; the id is never used again. An upload under way ends.
// Errors: image.ErrForbidden when it is protected, image.ErrInUse when it is open through the mount (unless the
// service puts such images into the trash), cloned or pinned, image.ErrInvalid when its status does not allow it.
func (s *Session) Delete(ctx context.Context, id image.ID) (err error) {
	defer s.record(ctx, onImage(events.Delete, id), &err)
	var number int64
	var done trace
	err = retry(ctx, func() error {
		seen, err := s.permitted(ctx, id, policy.DeleteImage)
		if err != nil {
			return err
		}
		if seen.Protected {
			return image.Errorf(image.ErrForbidden, "Image %s is protected and cannot be deleted.", id)
		}
		leave, err := s.svc.cloning.enter(ctx, id, aRemoval)
		if err != nil {
			return err
		}
		defer leave()
		if err := s.svc.checkClones(ctx, id, seen.Locations); err != nil {
			return err
		}
		if number = seen.Number; !s.svc.trash {
			s.svc.holds.waitIdle(ctx, number, closing)
		}
		done, err = s.deleteRecord(ctx, seen)
		return err
	})
	if err != nil {
		return err
	}
	s.svc.follow(ctx, done)
	s.svc.tellImage(ctx, events.ImageDelete, done.img)
	s.svc.stopUploads(context.WithoutCancel(ctx), number)
	s.svc.cancelTasksOf(id)
	s.svc.collectOf(context.WithoutCancel(ctx), number, id)
	return nil
}

// checkClones refuses to remove data that has clones. A store that cannot tell now keeps such data by itself.
// Error: image.ErrInUse.
func (s *Service) checkClones(ctx context.Context, id image.ID, locations []image.Location) error {
	users, err := s.clonesOf(ctx, id, locations)
	if err == nil && len(users) > 0 {
		err = &image.InUseError{ID: id, Users: users}
	}
	return err
}

// clonesOf returns the clones of data as far as its stores can tell now.
func (s *Service) clonesOf(ctx context.Context, id image.ID, locations []image.Location) (found []string, err error) {
	for _, loc := range locations {
		store, _ := s.stores.Get(loc.Store)
		c, ok := store.(imagestore.Cloneable)
		if !ok {
			continue
		}
		var clones []string
		err := s.ask(loc.Store, func() (err error) {
			ctx, stop := s.hurried(ctx, loc.Store)
			defer stop()
			clones, err = c.Clones(ctx, loc)
			return err
		})
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			s.log.WarnContext(ctx, "cannot tell whether data has clones", "image_id", id, "store", loc.Store, "error", err)
		}
		found = append(found, clones...)
	}
	return found, nil
}

// deleteRecord deletes the record that the caller saw unless somebody holds the image or needs it. Who opens it meanwhile waits, and then finds it gone;
// he must not wait longer, for the kernel may wait for him before it forgets the file.
func (s *Session) deleteRecord(ctx context.Context, seen *image.Image) (done trace, err error) {
	opens, end, err := s.svc.holds.beginDelete(ctx, seen.Number)
	if err != nil {
		return done, err
	}
	defer end()
	err = s.svc.db.UpdateFreeing(ctx, func(tx metadata.WriteTx) error {
		img, err := s.unchanged(tx, seen)
		if err != nil {
			return err
		}
		pins, err := tx.Pins(img.Number)
		if err != nil {
			return err
		}
		users := image.PinUsers(pins)
		if opens > 0 && !s.svc.trash {
			users = append(users, fmt.Sprintf("open through the mount (%d)", opens))
		}
		if len(users) > 0 {
			return &image.InUseError{ID: img.ID, Users: users}
		}
		if err := img.SetStatus(image.Deleted); err != nil {
			return image.Errorf(image.ErrInvalid, "%s", err)
		}
		img.UpdatedAt = s.svc.timestamp()
		return done.save(tx, img, seen.Status)
	})
	return done, err
}

// stopUploads ends the uploads of a deleted image that run in this process; they remove what they wrote.
func (s *Service) stopUploads(ctx context.Context, number int64) {
	var u image.Upload
	err := s.db.View(ctx, func(tx metadata.Tx) (err error) {
		u, err = tx.Upload(number)
		return err
	})
	if err != nil {
		if !errors.Is(err, image.ErrNotFound) {
			s.log.WarnContext(ctx, "the upload of a deleted image goes on to its end", "error", err)
		}
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if cancel := s.uploads[u.ID]; cancel != nil {
		cancel(errDeleted)
	}
}

var errDeleted = image.Errorf(image.ErrGone, "The image was deleted while its data was being uploaded.")
