package imageservice

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/metadata"
)

// A Finding is something about the data of images that an operator should know.
type Finding struct {
	Store   string
	Path    string   // where it lies, "" when it is missing
	ImageID image.ID // "" when no image is concerned
	Bytes   int64
	Problem string // such as "no image has this data", "symbolic link"
}

// Audit compares the stores with the records, and reports foreign files, data that no record names, and active or
// deactivated images whose data is not there. It changes nothing, and takes its time while others are served.
func (s *Service) Audit(ctx context.Context, report func(Finding)) error {
	p := s.newPace()
	var failed []error
	for _, e := range s.stores.Entries() {
		auditor, ok := e.Store.(imagestore.Auditor)
		if !ok {
			continue
		}
		err := auditor.Audit(ctx, func(f imagestore.Finding) error {
			if f.Foreign != "" {
				report(Finding{Store: e.ID, Path: f.Path, Bytes: f.Bytes, Problem: f.Foreign})
				return p.step(ctx)
			}
			known, err := s.knownLocation(ctx, e.ID, f.Location.URL)
			if err == nil && !known {
				report(Finding{Store: e.ID, Path: f.Path, Bytes: f.Bytes, Problem: "no image has this data"})
			}
			return cmp.Or(err, p.step(ctx)) // not before: what was listed may be deleted in a pause
		})
		if err != nil {
			failed = append(failed, fmt.Errorf("audit: %w", err))
		}
	}
	return errors.Join(append(failed, s.auditImages(ctx, p, report))...)
}

func (s *Service) knownLocation(ctx context.Context, store, url string) (known bool, err error) {
	err = s.db.View(ctx, func(tx metadata.Tx) error {
		known, err = tx.LocationExists(store, url) // of an upload, too: an object may have its name before its record says active
		if !known && err == nil {
			known, err = movedLocation(tx, store, url)
		}
		return err
	})
	return known, err
}

// movedLocation reports whether the image after which the object is named has it in this store, recorded when the
// store's directories were somewhere else.
func movedLocation(tx metadata.Tx, store, url string) (bool, error) {
	name := path.Base(url)
	id, ok := image.ParseID(name[:min(36, len(name))])
	if !ok {
		return false, nil
	}
	img, err := tx.Image(id)
	if errors.Is(err, image.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(img.Locations, func(l image.Location) bool {
		return l.Store == store && path.Base(l.URL) == name
	}), nil
}

// auditPage bounds what an audit of the images looks at in one transaction.
const auditPage = 64

func (s *Service) auditImages(ctx context.Context, p *pace, report func(Finding)) error {
	away := make(map[string]*offline)
	defer func() {
		for _, o := range away {
			if o.others > 0 {
				o.first.Problem += fmt.Sprintf(" (and the data of %d more images)", o.others)
			}
			report(o.first)
		}
	}()
	for after := int64(0); ; {
		var page []*image.Image
		err := s.db.View(ctx, func(tx metadata.Tx) (err error) {
			page, err = tx.EveryImage(after, auditPage)
			return err
		})
		if err != nil || len(page) == 0 {
			return err
		}
		after = page[len(page)-1].Number
		for _, img := range page {
			if err := p.step(ctx); err != nil {
				return err
			}
			if img.Status != image.Active && img.Status != image.Deactivated {
				continue
			}
			if err := s.auditImage(ctx, img, report, away); err != nil {
				return err
			}
		}
	}
}

// offline counts the images that one thing keeps from being read, a disk that is not mounted: it is told once.
type offline struct {
	first  Finding
	others int
}

// auditImage opens every copy of an image's data. It fails only when ctx ends.
func (s *Service) auditImage(ctx context.Context, img *image.Image, report func(Finding), away map[string]*offline) error {
	if len(img.Locations) == 0 && img.Status == image.Active { // a deactivated one may have lost what its examination refused
		report(Finding{ImageID: img.ID, Problem: "the image is active but has no data"})
	}
	for _, loc := range img.Locations {
		r, err := s.openLocation(ctx, img, loc)
		if err == nil {
			r.Close()
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !errors.Is(err, image.ErrStoreOffline) && !s.stillNamed(ctx, img, loc) {
			continue
		}
		f := Finding{Store: loc.Store, ImageID: img.ID, Problem: err.Error()}
		key := loc.Store + "\n" + f.Problem
		switch o, again := away[key]; {
		case !errors.Is(err, image.ErrStoreOffline):
			report(f)
		case again:
			o.others++
		default:
			away[key] = &offline{first: f}
		}
	}
	return nil
}

// stillNamed tells whether the record still has the location: the image, or this copy, may have been deleted meanwhile.
func (s *Service) stillNamed(ctx context.Context, img *image.Image, loc image.Location) bool {
	named := true
	err := s.db.View(ctx, func(tx metadata.Tx) error {
		now, err := tx.ImageByNumber(img.Number)
		if err == nil {
			named = slices.ContainsFunc(now.Locations, func(l image.Location) bool { return l.Store == loc.Store && l.URL == loc.URL })
		}
		return err
	})
	return named && !errors.Is(err, image.ErrNotFound) // if the database does not say, what the store said counts
}
