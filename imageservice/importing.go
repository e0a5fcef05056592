package imageservice

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"slices"

	"github.com/vitrine-image/vitrine/events"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/ingest"
	"github.com/vitrine-image/vitrine/internal/signature"
	"github.com/vitrine-image/vitrine/metadata"
)

// What an importer does step by step. Each step is recorded in one transaction together with what of the plan is done, and
// refuses to act on a task that is another's by then.

// ImportedImage returns the image of a task. Error: image.ErrGone when it was deleted.
func (s *Service) ImportedImage(ctx context.Context, task *image.Task) (img *image.Image, err error) {
	err = s.db.View(ctx, func(tx metadata.Tx) error {
		img, err = tx.Image(task.ImageID)
		return err
	})
	if errors.Is(err, image.ErrNotFound) {
		err = errDeletedImporting
	}
	return img, err
}

var errDeletedImporting = image.Errorf(image.ErrGone, "The image was deleted while it was being imported.")

// OpenStaged opens what lies in the staging area for the image.
func (s *Service) OpenStaged(ctx context.Context, img *image.Image) (imagestore.Reader, error) {
	var staged image.Staged
	err := s.db.View(ctx, func(tx metadata.Tx) (err error) {
		staged, err = tx.Staged(img.Number)
		return err
	})
	if errors.Is(err, image.ErrNotFound) {
		return nil, image.Errorf(image.ErrDataMissing, "No data of image %s is staged.", img.ID)
	}
	if err != nil {
		return nil, err
	}
	store, _ := s.staging()
	r, err := store.Open(ctx, staged.Location)
	if err == nil && r.Size() != staged.Size {
		r.Close()
		err = image.Errorf(image.ErrDataMissing, "The staged data of image %s has %d bytes instead of %d.", img.ID, r.Size(), staged.Size)
	}
	return r, err
}

// OpenImported opens the best copy of the image's data.
func (s *Service) OpenImported(ctx context.Context, img *image.Image) (imagestore.Reader, error) {
	r, _, err := s.openData(ctx, img, nil)
	return r, err
}

// Judged reports whether the data of an image was looked at when it came. What was adopted, or lies in a store that takes no data, was
// put there by others, who may have named its hash, too.
func (s *Service) Judged(img *image.Image) bool {
	return !slices.ContainsFunc(img.Locations, func(l image.Location) bool {
		store, _ := s.stores.Get(l.Store)
		_, writes := store.(imagestore.Writer)
		return !writes || l.Metadata[image.MetadataAdopted] != ""
	})
}

// Receive stores the data of req, of which Store and Object are set here, in a store or the staging area, and records that with
// the plan. What is stored besides other copies must be equal to them. The image becomes active with the last of the plan's
// stores, or with the first one if others may fail. The plan's signature is verified with the first data that comes: what is made
// of that afterwards has other bytes. When it fails nothing is left.
func (s *Service) Receive(ctx context.Context, task *image.Task, plan *image.ImportPlan, storeID string, req ingest.Request) error {
	img, err := s.ImportedImage(ctx, task)
	if err != nil {
		return err
	}
	store, _ := s.stores.Get(storeID)
	writer, ok := store.(imagestore.Writer)
	if !ok {
		return image.Errorf(image.ErrStoreReadOnly, "Store %q takes no new data, or is not configured any more.", storeID)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	res := image.Upload{ID: rand.Text(), Number: img.Number, ImageID: img.ID, Store: storeID, Instance: s.instance, Bytes: req.Size,
		Reserved: min(max(req.Size, 0), maxReserved)}
	s.remember(res.ID, cancel)
	defer s.forget(res.ID)
	if req.Signature, err = signature.Resume(plan.Signature); err != nil {
		return err
	}
	if img, err = s.reserveImport(ctx, task, &res, writer); err != nil {
		return err
	}
	if storeID != imagestore.Staging {
		s.tellData(ctx, events.ImagePrepare, img, storeID)
	}
	req.Admit = s.admission(res.ID)
	req.Encrypted, req.NoSums = img.Encrypted(), storeID == imagestore.Staging
	req.Store, req.StoreID, req.Object = writer, storeID, objectOf(res)
	if req.MaxSize == 0 {
		req.MaxSize = s.limits.ImageSize
	}
	result, err := s.ingest.Copy(ctx, req)
	done := *plan
	done.Staged, done.Signature = plan.Staged || storeID == imagestore.Staging, nil
	switch {
	case errors.Is(err, image.ErrConflict):
		err = inTheWay(res, err)
	case err == nil && storeID == imagestore.Staging:
		err = s.recordFetched(ctx, task, &done, res, result)
	case err == nil:
		err = s.recordCopy(ctx, task, &done, res, req, result)
	}
	if err == nil {
		*plan = done
		s.log.InfoContext(ctx, "image data imported", "image_id", img.ID, "task_id", task.ID, "store", storeID, "bytes", result.Size)
		return nil
	}
	if cause := context.Cause(ctx); cause == errDeleted {
		err = errDeletedImporting
	}
	s.warnOfStore(ctx, res, err)
	return s.abandon(context.WithoutCancel(ctx), res, err)
}

// reserveImport records where the bytes will go, if the quota of the image's project has room for them, and returns the image.
func (s *Service) reserveImport(ctx context.Context, task *image.Task, res *image.Upload, store imagestore.Writer) (img *image.Image, err error) {
	plain := store.Locate(imagestore.Object{ImageID: res.ImageID, Name: string(res.ImageID)})
	err = retry(ctx, func() error {
		seen, err := s.ImportedImage(ctx, task)
		if err != nil {
			return err
		}
		quota, err := s.quotaOf(ctx, seen.Owner)
		if err != nil {
			return err
		}
		err = s.withRoom(ctx, seen.Owner, func() error {
			return s.db.Update(ctx, func(tx metadata.WriteTx) error {
				if _, err := s.ownTask(tx, task.ID); err != nil {
					return err
				}
				img, err = tx.ImageByNumber(res.Number)
				switch {
				case errors.Is(err, image.ErrNotFound):
					return errDeletedImporting
				case err != nil:
					return err
				case img.Owner != seen.Owner:
					return errChanged
				}
				if err := quota.admit(tx, img.Owner, usageOf(res.Store, max(res.Bytes, 0))); err != nil {
					return err
				}
				res.Started = s.timestamp()
				if res.Object, err = objectName(tx, *res, plain); err != nil {
					return err
				}
				return tx.AddUpload(*res)
			})
		})
		if err == nil && res.Bytes < 0 && quota.limits(res.Store) {
			s.watchGrowth(*res, img.Owner)
		}
		return err
	})
	return img, err
}

// savePlan records how far the plan has come.
func (s *Service) savePlan(tx metadata.WriteTx, id image.ID, plan *image.ImportPlan) error {
	task, err := s.ownTask(tx, id)
	if err != nil {
		return err
	}
	task.UpdatedAt = s.timestamp()
	return cmp.Or(task.SetPlan(plan), tx.SaveTask(task))
}

// recordFetched records what now lies in the staging area; what lay there before becomes garbage.
func (s *Service) recordFetched(ctx context.Context, task *image.Task, plan *image.ImportPlan, res image.Upload, result ingest.Result) error {
	return s.db.Update(ctx, func(tx metadata.WriteTx) error {
		img, err := reservedImage(tx, res)
		if err != nil {
			return err
		}
		return cmp.Or(s.savePlan(tx, task.ID, plan), tx.RemoveUpload(res.ID),
			tx.SaveStaged(image.Staged{Number: img.Number, ImageID: img.ID, Location: result.Location, Size: result.Size, Since: s.timestamp()}))
	})
}

// recordCopy records a copy in a store. An image that is being imported may be edited meanwhile: it must still be declared to be what
// its data was judged as.
func (s *Service) recordCopy(ctx context.Context, task *image.Task, plan *image.ImportPlan, res image.Upload, req ingest.Request, result ingest.Result) error {
	var done trace
	var activated bool
	err := s.db.Update(ctx, func(tx metadata.WriteTx) error {
		done = trace{}
		img, err := reservedImage(tx, res)
		if err != nil {
			return err
		}
		if err := s.savePlan(tx, task.ID, plan); err != nil {
			return err
		}
		if err := addCopy(img, result); err != nil {
			return err
		}
		img = plan.Declared(img)
		if img.Status == image.Importing && (img.DiskFormat != req.DiskFormat || img.ContainerFormat != req.ContainerFormat) {
			return image.Errorf(image.ErrConflict, "The format of the image was changed while its data was being imported. Import it again.")
		}
		img.DropListed(image.PropertyImporting, res.Store)
		before := img.Status
		complete := !slices.ContainsFunc(plan.Stores, func(id string) bool { return !img.Has(id) })
		if img.Status == image.Importing && (complete || plan.AllowFailure) {
			if err := img.SetStatus(image.Active); err != nil {
				return err
			}
			for name, value := range plan.Properties {
				img.SetProperty(name, value)
			}
			if plan.Received != nil {
				if err := tx.SaveContentSum(img.Number, *plan.Received); err != nil {
					return err
				}
			}
			img.MinRAM = cmp.Or(img.MinRAM, plan.MinRAM)
		}
		img.UpdatedAt = s.timestamp()
		activated = before != img.Status
		if err := tx.RemoveUpload(res.ID); err != nil {
			return err
		}
		return done.save(tx, img, before)
	})
	if err == nil {
		s.follow(ctx, done)
		s.tellData(ctx, events.ImageUpload, done.img, res.Store)
		if activated {
			s.tellImage(ctx, events.ImageActivate, done.img)
		}
	}
	return err
}

// addCopy adds a location, and what is known of the data with the first one. Error: image.ErrCorrupt when the copies differ.
func addCopy(img *image.Image, result ingest.Result) error {
	if len(img.Locations) == 0 {
		img.Size, img.VirtualSize = &result.Size, result.VirtualSize
		img.Checksum, img.HashAlgo, img.HashValue = result.Checksum, result.HashAlgo, result.HashValue
	} else if img.Size != nil && *img.Size != result.Size ||
		img.HashAlgo == result.HashAlgo && img.HashValue != result.HashValue || img.Checksum != "" && img.Checksum != result.Checksum {
		return image.Errorf(image.ErrCorrupt, "The data in store %q is corrupt: it is not what was uploaded.", img.Locations[0].Store)
	}
	if img.HashValue == "" { // of data at a location that was not examined
		img.Checksum, img.HashAlgo, img.HashValue = result.Checksum, result.HashAlgo, result.HashValue
	}
	img.Locations = append(img.Locations, result.Location)
	return nil
}

// EndImport ends a task: with success, or for the reason that message tells. An image that did not become active is queued again,
// or deleted if the task was to make it, and what is staged of it, and what was stored of an import that failed, is removed.
func (s *Service) EndImport(ctx context.Context, task *image.Task, plan *image.ImportPlan, failed bool, message string) error {
	var done trace
	var now *image.Task
	err := s.db.UpdateFreeing(ctx, func(tx metadata.WriteTx) (err error) {
		done = trace{}
		if now, err = s.endTask(tx, task, failed, message); err != nil {
			return err
		}
		img, err := tx.Image(task.ImageID)
		if errors.Is(err, image.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		before := img.Status
		if err := s.conclude(img, now, plan, failed); err != nil {
			return err
		}
		return cmp.Or(tx.RemoveStaged(img.Number), done.save(tx, img, before))
	})
	if err != nil {
		return err
	}
	s.tasks.dropToken(task.ID)
	s.tellEnd(ctx, now)
	if done.img != nil {
		s.follow(ctx, done)
		name := events.ImageUpdate
		if done.img.Status == image.Deleted {
			name = events.ImageDelete
		}
		s.tellImage(ctx, name, done.img)
		s.collectOf(ctx, done.img.Number, task.ImageID)
	}
	return nil
}

// conclude brings the image to where its import left it.
func (s *Service) conclude(img *image.Image, task *image.Task, plan *image.ImportPlan, failed bool) error {
	if img.Properties[image.PropertyImportTask] == string(task.ID) {
		delete(img.Properties, image.PropertyImportTask)
	}
	img.DropListed(image.PropertyImporting, plan.Stores...)
	img.UpdatedAt = s.timestamp()
	if failed {
		img.Locations = slices.DeleteFunc(img.Locations, func(l image.Location) bool { return slices.Contains(plan.Stores, l.Store) })
	}
	for _, id := range plan.Stores {
		if !img.Has(id) {
			img.AddListed(image.PropertyFailedImport, id)
		}
	}
	if img.Status == image.Importing {
		img.Locations = nil
		if err := img.SetStatus(image.Queued); err != nil || task.Type != image.TaskImport {
			return err
		}
		return img.SetStatus(image.Deleted)
	}
	return nil
}
