package imageservice

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vitrine-image/vitrine/events"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/ingest"
	"github.com/vitrine-image/vitrine/metadata"
	"github.com/vitrine-image/vitrine/policy"
)

// ImportConfig says how images are imported.
type ImportConfig struct {
	Methods []string // those that are enabled, of image.ImportMethods; none needs no staging area
	// CheckURL judges a URL that somebody wants to be fetched; needed for image.ImportURL. Errors: image.ErrInvalid, with the
	// reason as its text.
	CheckURL func(ctx context.Context, rawURL string) error
	// FindRegion returns where the Image API of another region is; needed for image.ImportDownload. Errors: image.ErrInvalid
	// when there is none, image.ErrUnavailable.
	FindRegion func(ctx context.Context, caller image.Caller, region, iface string) (url string, err error)
	Formats    image.StoreFormats // to which disks are converted
	KeepTasks  time.Duration      // how long a task is kept that has ended, 0 for two days
}

func (c *ImportConfig) keepTasks() time.Duration { return cmp.Or(c.KeepTasks, 48*time.Hour) }

// checkImports refuses a configuration that cannot work.
func (s *Service) checkImports() error {
	for _, method := range s.imports.Methods {
		if !slices.Contains(image.ImportMethods(), method) {
			return fmt.Errorf("imageservice: %q is no import method", method)
		}
	}
	if s.imports.CheckURL == nil && slices.Contains(s.imports.Methods, image.ImportURL) {
		return errors.New("imageservice: nobody says which URLs may be fetched")
	}
	if s.imports.FindRegion == nil && slices.Contains(s.imports.Methods, image.ImportDownload) {
		return errors.New("imageservice: nobody says where other regions are")
	}
	if _, ok := s.staging(); !ok && len(s.imports.Methods) > 0 {
		return errors.New("imageservice: there are import methods, and no store to stage data in")
	}
	return nil
}

// staging returns the store in which data waits.
func (s *Service) staging() (imagestore.Writer, bool) {
	store, _ := s.stores.Get(imagestore.Staging)
	writer, ok := store.(imagestore.Writer)
	return writer, ok
}

// ImportMethods returns the import methods that are enabled.
func (s *Service) ImportMethods() []string { return slices.Clone(s.imports.Methods) }

// Stage keeps the data of a queued image until it is imported; what is in it nobody looks at before. When it returns nil the
// data survives a power cut; when it fails, the image is queued again and the bytes are gone.
// Errors: image.ErrNotFound also when images cannot be imported so, else those of Upload.
func (s *Session) Stage(ctx context.Context, id image.ID, up Upload) (err error) {
	act := onImage(events.Stage, id)
	defer s.record(ctx, act, &err)
	if !slices.Contains(s.svc.imports.Methods, image.ImportStaged) {
		return image.Errorf(image.ErrNotFound, "The import method %s is not enabled: data cannot be staged.", image.ImportStaged)
	}
	size, err := s.svc.announcedSize(up)
	if err != nil {
		return err
	}
	store, _ := s.svc.staging()
	act.Bytes, err = s.take(ctx, id, up.Body, intake{rule: policy.ModifyImage, status: image.Uploading, storeID: imagestore.Staging, store: store, size: size})
	return err
}

// recordStaged records that the data waits in the staging area, which made it durable before.
func (s *Service) recordStaged(ctx context.Context, res image.Upload, result ingest.Result) error {
	var img *image.Image
	err := s.db.Update(ctx, func(tx metadata.WriteTx) (err error) {
		if img, err = reservedImage(tx, res); err != nil {
			return err
		}
		img.Size, img.UpdatedAt = &result.Size, s.timestamp()
		return cmp.Or(tx.RemoveUpload(res.ID),
			tx.SaveStaged(image.Staged{Number: img.Number, ImageID: img.ID, Location: result.Location, Size: result.Size, Since: img.UpdatedAt}),
			tx.SaveImage(img))
	})
	if err == nil {
		s.tellImage(ctx, events.ImageUpdate, img)
	}
	return err
}

// reservedImage returns the image of a reservation that still is what res has. Errors: errDeleted, errTakenOver.
func reservedImage(tx metadata.Tx, res image.Upload) (*image.Image, error) {
	img, err := tx.ImageByNumber(res.Number)
	if errors.Is(err, image.ErrNotFound) {
		return nil, errDeleted
	}
	if err != nil {
		return nil, err
	}
	if mine, err := reserved(tx, res); err != nil || !mine {
		return nil, cmp.Or(err, errTakenOver)
	}
	return img, nil
}
