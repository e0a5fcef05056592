package imageservice

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"slices"

	"github.com/vitrine-image/vitrine/events"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/ingest"
	"github.com/vitrine-image/vitrine/internal/hashes"
	"github.com/vitrine-image/vitrine/metadata"
)

// What an importer does about a location, step by step; see importing.go.

// Adopt gives the image of a task its location and makes it active. Errors: those of find and checkUnclaimed, image.ErrGone.
func (s *Service) Adopt(ctx context.Context, task *image.Task, plan *image.ImportPlan) error {
	var done trace
	err := retry(ctx, func() error {
		seen, err := s.ImportedImage(ctx, task)
		if err != nil {
			return err
		}
		f, err := s.find(ctx, seen, plan.Stores[0], plan.URL)
		if err != nil {
			return err
		}
		quota, err := s.quotaOf(ctx, seen.Owner)
		if err != nil {
			return err
		}
		return s.withRoom(ctx, seen.Owner, func() error {
			return s.db.Update(ctx, func(tx metadata.WriteTx) error {
				done = trace{}
				img, err := tx.ImageByNumber(seen.Number)
				switch {
				case errors.Is(err, image.ErrNotFound):
					return errDeletedImporting
				case err != nil:
					return err
				case img.Owner != seen.Owner || img.DiskFormat != seen.DiskFormat || img.ContainerFormat != seen.ContainerFormat:
					return errChanged
				}
				if err := s.checkUnclaimed(tx, f.location.Store, f.location.URL); err != nil {
					return err
				}
				if err := quota.admit(tx, img.Owner, image.Usage{Bytes: f.size}); err != nil {
					return err
				}
				added := *plan
				location := *plan.Location
				location.Added, added.Location = true, &location
				if err := s.savePlan(tx, task.ID, &added); err != nil {
					return err
				}
				before := img.Status
				if err := adopt(img, f, plan.Location.Sums); err != nil {
					return err
				}
				delete(img.Properties, image.PropertyImportTask)
				img.UpdatedAt = s.timestamp()
				return done.save(tx, img, before)
			})
		})
	})
	if err != nil {
		return err
	}
	plan.Location.Added = true
	s.follow(ctx, done)
	s.tellImage(ctx, events.ImageActivate, done.img)
	return nil
}

// adopt makes the data that was found the image's, which has none.
func adopt(img *image.Image, f found, sums image.Sums) error {
	img.Locations = []image.Location{f.location}
	img.Size, img.VirtualSize = &f.size, f.virtual
	img.Checksum, img.HashAlgo, img.HashValue = sums.Checksum, sums.HashAlgo, sums.HashValue
	return img.SetStatus(image.Active)
}

// Examine reads the data at the location of a task as a whole, through watch, and notes its hashes with the image. Data that is unsafe,
// or is not what its sums say or the other copies are, is not the image's any more: then the error is image.ErrUnsupportedContent or
// image.ErrCorrupt, and an image that has no other data is deactivated. Other errors, such as those of the store, change nothing.
func (s *Service) Examine(ctx context.Context, task *image.Task, plan *image.ImportPlan, watch func(io.Reader) io.Reader) error {
	img, err := s.ImportedImage(ctx, task)
	if err != nil {
		return err
	}
	at := locationOf(img, plan)
	if at < 0 {
		return nil // it was removed meanwhile
	}
	r, err := s.openLocation(ctx, img, img.Locations[at])
	if err == nil {
		defer r.Close()
		err = s.examine(ctx, task, plan, img, r, watch)
	}
	if errors.Is(err, image.ErrUnsupportedContent) || errors.Is(err, image.ErrCorrupt) {
		return cmp.Or(s.disown(ctx, task, plan), err)
	}
	return readableAt(err)
}

// locationOf returns which of the image's locations the plan is about, -1 for none.
func locationOf(img *image.Image, plan *image.ImportPlan) int {
	return slices.IndexFunc(img.Locations, func(l image.Location) bool { return l.URL == plan.URL && slices.Contains(plan.Stores, l.Store) })
}

func (s *Service) examine(ctx context.Context, task *image.Task, plan *image.ImportPlan, img *image.Image, r imagestore.Reader,
	watch func(io.Reader) io.Reader) error {
	req := examined(img)
	req.Size = r.Size()
	body := watch(imagestore.Sequential(ctx, r))
	var sum hash.Hash
	if algo := plan.Location.Sums.HashAlgo; algo != "" {
		sum = hashes.New(algo)
		body = io.TeeReader(body, sum)
	}
	req.Body = body
	result, err := s.ingest.Examine(ctx, req)
	if err != nil {
		return err
	}
	want := plan.Location.Sums
	for _, is := range []struct{ name, want, have string }{{"MD5", want.Checksum, result.Checksum}, {want.HashAlgo, want.HashValue, sumText(sum)}} {
		if is.want != "" && is.want != is.have {
			return image.Errorf(image.ErrCorrupt, "The data is corrupt: its %s is %s, not %s.", is.name, is.have, is.want)
		}
	}
	return s.recordExamined(ctx, task, plan, result)
}

func sumText(h hash.Hash) string {
	if h == nil {
		return ""
	}
	return hex.EncodeToString(h.Sum(nil))
}

// recordExamined notes what is known of the data now. Error: image.ErrCorrupt when the image's is other data.
func (s *Service) recordExamined(ctx context.Context, task *image.Task, plan *image.ImportPlan, result ingest.Result) error {
	return s.changeLocated(ctx, task, plan, func(img *image.Image, _ int) error {
		if img.VirtualSize == nil {
			img.VirtualSize = result.VirtualSize
		}
		if plan.Location.Trust {
			return nil
		}
		known := image.Sums{Checksum: img.Checksum, HashAlgo: img.HashAlgo, HashValue: img.HashValue}
		if known.Checksum != "" && known.Checksum != result.Checksum || known.HashAlgo == result.HashAlgo && known.HashValue != result.HashValue {
			return image.Errorf(image.ErrCorrupt, "The data is corrupt: it is not that of the image's other locations.")
		}
		img.Checksum = result.Checksum
		if img.HashAlgo == "" {
			img.HashAlgo, img.HashValue = result.HashAlgo, result.HashValue
		}
		return nil
	})
}

// changeLocated lets change do something to the image of a task, if it still has the plan's location, which is the one at the place.
func (s *Service) changeLocated(ctx context.Context, task *image.Task, plan *image.ImportPlan, change func(img *image.Image, at int) error) error {
	var done trace
	err := s.db.UpdateFreeing(ctx, func(tx metadata.WriteTx) error {
		done = trace{}
		if _, err := s.ownTask(tx, task.ID); err != nil {
			return err
		}
		img, err := tx.Image(task.ImageID)
		if errors.Is(err, image.ErrNotFound) {
			return errDeletedImporting
		}
		if err != nil {
			return err
		}
		at, before := locationOf(img, plan), img.Status
		if at < 0 {
			return nil
		}
		img.UpdatedAt = s.timestamp()
		loc := img.Locations[at]
		if err := cmp.Or(change(img, at), done.save(tx, img, before)); err != nil {
			return err
		}
		if locationOf(img, plan) < 0 {
			return tx.KeepData(loc) // it stays whose it was
		}
		return nil
	})
	if err != nil || done.img == nil {
		return err
	}
	s.follow(ctx, done)
	s.tellImage(ctx, events.ImageUpdate, done.img)
	s.collectOf(ctx, done.img.Number, done.img.ID)
	return nil
}

// disown takes a location from the image of a task; the data stays there. An image that has no other keeps its status of one that had data, so that its id
// never stands for other data, and can be deleted.
func (s *Service) disown(ctx context.Context, task *image.Task, plan *image.ImportPlan) error {
	return s.changeLocated(ctx, task, plan, func(img *image.Image, at int) error {
		img.Locations = slices.Delete(img.Locations, at, at+1)
		if len(img.Locations) == 0 && img.Status == image.Active {
			return img.SetStatus(image.Deactivated)
		}
		return nil
	})
}

// EndLocation ends a task about a location, for the reason that message tells. An image that did not get it is queued again.
func (s *Service) EndLocation(ctx context.Context, task *image.Task, failed bool, message string) error {
	var now *image.Task
	var img *image.Image
	err := s.db.UpdateFreeing(ctx, func(tx metadata.WriteTx) (err error) {
		img = nil
		if now, err = s.endTask(tx, task, failed, message); err != nil {
			return err
		}
		had, err := tx.Image(task.ImageID)
		if errors.Is(err, image.ErrNotFound) || err == nil && had.Properties[image.PropertyImportTask] != string(task.ID) {
			return nil
		}
		if err != nil {
			return err
		}
		img = had
		delete(img.Properties, image.PropertyImportTask)
		img.UpdatedAt = s.timestamp()
		return cmp.Or(img.SetStatus(image.Queued), tx.SaveImage(img))
	})
	if err != nil {
		return err
	}
	s.tellEnd(ctx, now)
	if img != nil {
		s.tellImage(ctx, events.ImageUpdate, img)
	}
	return nil
}

// endTask records the end of a task that is this process's, and returns it as it is then.
func (s *Service) endTask(tx metadata.WriteTx, task *image.Task, failed bool, message string) (*image.Task, error) {
	now, err := s.ownTask(tx, task.ID)
	if err != nil {
		return nil, err
	}
	status := image.TaskSuccess
	if failed {
		status = image.TaskFailure
	}
	if err := now.SetStatus(status, s.timestamp(), s.imports.keepTasks()); err != nil {
		return nil, err
	}
	now.Message = message
	if now.Type == image.TaskImport && !failed {
		now.Result = json.RawMessage(`{"image_id":"` + task.ImageID + `"}`)
	}
	return now, tx.SaveTask(now)
}

// tellEnd tells of a task that has ended.
func (s *Service) tellEnd(ctx context.Context, task *image.Task) {
	name := events.TaskSuccess
	if task.Status == image.TaskFailure {
		name = events.TaskFailure
	}
	s.tellTask(ctx, name, task)
}
