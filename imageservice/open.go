package imageservice

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/vitrine-image/vitrine/diskformat"
	"github.com/vitrine-image/vitrine/events"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/metadata"
	"github.com/vitrine-image/vitrine/policy"
)

// OpenOptions say how data is read.
type OpenOptions struct {
	Prefer []string // ids of the stores to try first, in this order
	Format string   // that the data shall have, "" for its own: raw, qcow2, or its own
}

// Data is an image and its bytes. Close the Reader, and tell by Sent what was made of it.
type Data struct {
	Image   *image.Image
	Format  string            // to which the data is converted, "" for as it was uploaded
	Reader  imagestore.Reader // of the data in that format, but for what is a Stream
	Stream  Stream            // the data where it cannot be read in any order, else nil
	session *Session          // whose it is
	store   string            // that the data is read from
}

// Open returns the bytes of an image from its best location that answers.
// Errors: image.ErrNoData before anything was uploaded, image.ErrForbidden for a deactivated image unless the caller is
// an admin, image.ErrDataMissing, image.ErrStoreOffline; image.ErrInvalid for a format that cannot be had, and when the data cannot be
// converted to it those of Data.Disk, and image.ErrUnavailable while many others are.
func (s *Session) Open(ctx context.Context, id image.ID, opts OpenOptions) (_ *Data, err error) {
	defer func() {
		if err != nil && !errors.Is(err, image.ErrNoData) {
			s.record(ctx, onImage(events.Download, id), &err)
		}
	}()
	for _, store := range opts.Prefer {
		if _, ok := s.svc.stores.Get(store); !ok || imagestore.Reserved(store) {
			return nil, image.Errorf(image.ErrInvalid, "There is no store %q", store)
		}
	}
	rules := []string{policy.GetImage, policy.DownloadImage}
	if len(opts.Prefer) > 0 {
		rules = append(rules, policy.DownloadFromStore)
	}
	img, err := s.permitted(ctx, id, rules...)
	if err != nil {
		return nil, err
	}
	s.shown(ctx, img)
	switch {
	case img.Status == image.Deactivated && !s.caller.IsAdmin():
		return nil, image.Errorf(image.ErrForbidden, "The requested image has been deactivated. Image data download is forbidden.")
	case img.Status != image.Active && img.Status != image.Deactivated:
		return nil, image.ErrNoData
	}
	r, loc, err := s.svc.openData(ctx, img, opts.Prefer)
	if err != nil {
		return nil, err
	}
	data := &Data{Image: img, Reader: s.svc.downloads.track(img.Number, r), session: s, store: loc.Store}
	if err := data.convert(ctx, opts.Format); err != nil {
		return nil, err
	}
	return data, nil
}

// openData tries the image's locations, the best first, and returns which it is. Errors: image.ErrStoreOffline when a copy may be reached later,
// image.ErrDataMissing, image.ErrNotFound when the image was deleted meanwhile.
func (s *Service) openData(ctx context.Context, img *image.Image, prefer []string) (imagestore.Reader, image.Location, error) {
	failed := error(image.Errorf(image.ErrDataMissing, "The data of image %s is missing: it lies in no store.", img.ID))
	for i, loc := range s.stores.Order(img.Locations, prefer) {
		r, err := s.openLocation(ctx, img, loc)
		if err == nil {
			return r, loc, nil
		}
		if ctx.Err() != nil {
			return nil, image.Location{}, ctx.Err()
		}
		if err := s.stillThere(ctx, img); err != nil {
			return nil, image.Location{}, err
		}
		s.log.ErrorContext(ctx, "image data cannot be read", "image_id", img.ID, "store", loc.Store, "error", err)
		if i == 0 || errors.Is(err, image.ErrStoreOffline) && !errors.Is(failed, image.ErrStoreOffline) {
			failed = explain(img.ID, loc.Store, err)
		}
	}
	return nil, image.Location{}, failed
}

// stillThere tells whether data is missing because the image was deleted. Errors: image.ErrNotFound.
func (s *Service) stillThere(ctx context.Context, img *image.Image) error {
	err := s.db.View(ctx, func(tx metadata.Tx) error {
		_, err := tx.ImageByNumber(img.Number)
		return err
	})
	if errors.Is(err, image.ErrNotFound) {
		return notFound(img.ID, err)
	}
	return nil // if the database does not say, the store's error counts
}

// explain gives an error of a store the text that a client is told.
func explain(id image.ID, store string, err error) error {
	var written *image.Error
	switch {
	case errors.As(err, &written):
		return err
	case errors.Is(err, image.ErrStoreOffline):
		return wrapped(image.ErrStoreOffline,
			fmt.Sprintf("The data of image %s cannot be reached now: store %q is offline, or not configured any more.", id, store), err)
	}
	return wrapped(image.ErrDataMissing,
		fmt.Sprintf("The data of image %s is missing from store %q, or cannot be read there. %s", id, store, howToRestore), err)
}

// wrapped returns an error with a text for a person, and the cause for the log.
func wrapped(kind error, text string, cause error) error {
	return fmt.Errorf("%w (%w)", image.Errorf(kind, "%s", text), cause)
}

const howToRestore = "Restore it from a backup, or delete the image and upload it again."

// openLocation opens one copy.
func (s *Service) openLocation(ctx context.Context, img *image.Image, loc image.Location) (imagestore.Reader, error) {
	store, ok := s.stores.Get(loc.Store)
	if !ok {
		return nil, fmt.Errorf("store %s is not configured any more: %w", loc.Store, image.ErrStoreOffline)
	}
	r, err := store.Open(ctx, loc)
	if err != nil {
		return nil, err
	}
	if img.Size != nil && r.Size() != *img.Size {
		r.Close()
		return nil, image.Errorf(image.ErrDataMissing, "The data of image %s is missing or damaged: store %q holds %d bytes where %d were uploaded. %s",
			img.ID, loc.Store, r.Size(), *img.Size, howToRestore)
	}
	return r, nil
}

// keepToItself leaves out the locations in which somebody else could change an image, once it has been examined, into one that leads
// hypervisors to other files: to a backing file, or to an extent. Error: image.ErrForbidden when no location is left.
func (s *Service) keepToItself(img *image.Image) error {
	if img.DiskFormat == diskformat.Raw || img.DiskFormat == diskformat.ISO || len(img.Locations) == 0 {
		return nil
	}
	entries := s.stores.Entries()
	img.Locations = slices.DeleteFunc(img.Locations, func(l image.Location) bool {
		return slices.ContainsFunc(entries, func(e imagestore.Entry) bool { return e.ID == l.Store && e.Changeable })
	})
	if len(img.Locations) == 0 {
		return image.Errorf(image.ErrForbidden, "Image %s cannot be opened as a file: others may change its data, and a %s image could then lead to "+
			"files of this machine. Copy it into another store, or trust the store that it lies in.", img.ID, img.DiskFormat)
	}
	return nil
}

// openHeld opens the data of an active image that is allowed, and marks the image as in use until the Reader is closed.
// The location is that of the data.
func (s *Service) openHeld(ctx context.Context, number int64, allow func(*image.Image) error) (img *image.Image, r imagestore.Reader, loc image.Location, err error) {
	if err := s.holds.hold(ctx, number); err != nil {
		return nil, nil, loc, err
	}
	defer func() {
		if err != nil {
			s.holds.release(number)
		}
	}()
	err = s.db.View(ctx, func(tx metadata.Tx) (err error) {
		img, err = tx.ImageByNumber(number)
		if err == nil && img.Status != image.Active {
			err = image.ErrNotFound
		}
		return err
	})
	if err == nil {
		err = allow(img)
	}
	if err == nil {
		r, loc, err = s.openData(ctx, img, nil)
	}
	if err != nil {
		return nil, nil, loc, err
	}
	return img, hold(r, func() { s.holds.release(number) }), loc, nil
}
