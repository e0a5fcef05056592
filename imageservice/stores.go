package imageservice

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/metadata"
	"github.com/vitrine-image/vitrine/policy"
)

// StoreInfo is what clients may know of a store.
type StoreInfo struct {
	ID          string
	Description string
	Default     bool
	ReadOnly    bool
	Weight      int
	Type        string         // of the backend, such as "file"
	Properties  map[string]any // how it is configured, as far as operators may know
}

// Stores returns the configured stores, sorted by id, without those that are reserved.
func (s *Service) Stores() []StoreInfo {
	var infos []StoreInfo
	for _, e := range s.stores.Entries() {
		if imagestore.Reserved(e.ID) {
			continue
		}
		_, writes := e.Store.(imagestore.Writer)
		infos = append(infos, StoreInfo{ID: e.ID, Description: e.Description, Default: e.Default, ReadOnly: !writes, Weight: e.Weight,
			Type: e.Type, Properties: e.Properties})
	}
	return infos
}

// StoresDetail returns the stores to who may know how they are configured. Error: image.ErrForbidden.
func (s *Session) StoresDetail(ctx context.Context) ([]StoreInfo, error) {
	if err := s.svc.policy.Check(ctx, s.caller, policy.StoresInfoDetail, policy.ForProject(s.caller.ProjectID)); err != nil {
		return nil, err
	}
	return s.svc.Stores(), nil
}

// SweepStores removes from every store what writes left that never got a name. Call it before the first upload.
func (s *Service) SweepStores(ctx context.Context) error {
	var failed []error
	for _, e := range s.stores.Entries() {
		sweeper, ok := e.Store.(imagestore.Sweeper)
		if !ok {
			continue
		}
		removed, err := sweeper.Sweep(ctx)
		if err != nil {
			failed = append(failed, fmt.Errorf("store %s: %w", e.ID, err))
		}
		if removed > 0 {
			s.log.Info("removed unfinished files", "store", e.ID, "files", removed)
		}
	}
	return errors.Join(failed...)
}

// A Finding is something about the data of images that an operator should know.
type Finding struct {
	Store   string
	Path    string   // where it lies, "" when it is missing
	ImageID image.ID // "" when no image is concerned
	Bytes   int64
	Problem string // such as "no image has this data", "symbolic link"
}

// Audit compares the stores with the records, and reports foreign files, data that no record names, and active images
// whose data is not there. It changes nothing.
func (s *Service) Audit(ctx context.Context, report func(Finding)) error {
	var failed []error
	for _, e := range s.stores.Entries() {
		auditor, ok := e.Store.(imagestore.Auditor)
		if !ok {
			continue
		}
		err := auditor.Audit(ctx, func(f imagestore.Finding) error {
			if f.Foreign != "" {
				report(Finding{Store: e.ID, Path: f.Path, Bytes: f.Bytes, Problem: f.Foreign})
				return nil
			}
			known, err := s.knownLocation(ctx, e.ID, f.Location.URL)
			if err == nil && !known {
				report(Finding{Store: e.ID, Path: f.Path, Bytes: f.Bytes, Problem: "no image has this data"})
			}
			return err
		})
		if err != nil {
			failed = append(failed, fmt.Errorf("audit store %s: %w", e.ID, err))
		}
	}
	return errors.Join(append(failed, s.auditImages(ctx, report))...)
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
const auditPage = 256

func (s *Service) auditImages(ctx context.Context, report func(Finding)) error {
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
		var page []metadata.Entry
		var images []*image.Image
		err := s.db.View(ctx, func(tx metadata.Tx) (err error) {
			images = nil
			if page, err = tx.TreeImages(metadata.Dir{}, after, auditPage); err != nil {
				return err
			}
			for _, e := range page {
				img, err := tx.ImageByNumber(e.Number)
				if err != nil {
					return err
				}
				images = append(images, img)
			}
			return nil
		})
		if err != nil || len(page) == 0 {
			return err
		}
		after = page[len(page)-1].Number
		for _, img := range images {
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

// auditImage opens every copy of an active image's data. It fails only when ctx ends.
func (s *Service) auditImage(ctx context.Context, img *image.Image, report func(Finding), away map[string]*offline) error {
	if len(img.Locations) == 0 {
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
		if !errors.Is(err, image.ErrStoreOffline) && s.stillThere(ctx, img) != nil {
			return nil
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
