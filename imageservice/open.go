package imageservice

import (
	"context"
	"errors"
	"fmt"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/metadata"
)

// OpenOptions say how data is read.
type OpenOptions struct {
	Prefer []string // ids of the stores to try first, in this order
}

// Data is an image and its bytes. Close the Reader.
type Data struct {
	Image  *image.Image
	Reader imagestore.Reader
}

// Open returns the bytes of an image from its best location that answers.
// Errors: image.ErrNoData before anything was uploaded, image.ErrForbidden for a deactivated image unless the caller is
// an admin, image.ErrDataMissing, image.ErrStoreOffline.
func (s *Session) Open(ctx context.Context, id image.ID, opts OpenOptions) (*Data, error) {
	for _, store := range opts.Prefer {
		if _, ok := s.svc.stores.Get(store); !ok {
			return nil, image.Errorf(image.ErrInvalid, "There is no store %q", store)
		}
	}
	img, err := s.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	switch {
	case img.Status == image.Deactivated && !s.caller.IsAdmin():
		return nil, image.Errorf(image.ErrForbidden, "The requested image has been deactivated. Image data download is forbidden.")
	case img.Status != image.Active && img.Status != image.Deactivated:
		return nil, image.ErrNoData
	}
	r, err := s.svc.openData(ctx, img, opts.Prefer)
	if err != nil {
		return nil, err
	}
	return &Data{Image: img, Reader: r}, nil
}

// openData tries the image's locations, the best first.
func (s *Service) openData(ctx context.Context, img *image.Image, prefer []string) (imagestore.Reader, error) {
	var failed []error
	for _, loc := range s.stores.Order(img.Locations, prefer) {
		r, err := s.openLocation(ctx, img, loc)
		if err == nil {
			return r, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		s.log.ErrorContext(ctx, "image data cannot be read", "image_id", img.ID, "store", loc.Store, "error", err)
		failed = append(failed, err)
	}
	for _, err := range failed {
		if errors.Is(err, image.ErrStoreOffline) {
			return nil, image.Errorf(image.ErrStoreOffline, "The data of image %s cannot be reached now.", img.ID)
		}
	}
	return nil, fmt.Errorf("%w: image %s: %w", image.ErrDataMissing, img.ID, errors.Join(failed...))
}

func (s *Service) openLocation(ctx context.Context, img *image.Image, loc image.Location) (imagestore.Reader, error) {
	store, ok := s.stores.Get(loc.Store)
	if !ok {
		return nil, image.Errorf(image.ErrStoreOffline, "store %q is not configured", loc.Store)
	}
	r, err := store.Open(ctx, loc)
	if err != nil {
		return nil, err
	}
	if img.Size != nil && r.Size() != *img.Size {
		r.Close()
		return nil, image.Errorf(image.ErrDataMissing, "%d bytes are there of %d", r.Size(), *img.Size)
	}
	return r, nil
}

// openHeld opens the data of an active image and marks the image as in use until the Reader is closed.
func (s *Service) openHeld(ctx context.Context, number int64) (imagestore.Reader, error) {
	if err := s.holds.hold(ctx, number); err != nil {
		return nil, err
	}
	var img *image.Image
	err := s.db.View(ctx, func(tx metadata.Tx) (err error) {
		img, err = tx.ImageByNumber(number)
		if err == nil && img.Status != image.Active {
			err = image.ErrNotFound
		}
		return err
	})
	if err != nil {
		s.holds.release(number)
		return nil, err
	}
	r, err := s.openData(ctx, img, nil)
	if err != nil {
		s.holds.release(number)
		return nil, err
	}
	return hold(r, func() { s.holds.release(number) }), nil
}
