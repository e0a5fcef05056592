package imageservice

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vitrine-image/vitrine/events"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/internal/requestid"
	"github.com/vitrine-image/vitrine/internal/signature"
	"github.com/vitrine-image/vitrine/metadata"
	"github.com/vitrine-image/vitrine/policy"
)

// How long an import may stand still before another one may take its place.
const (
	stuckPending    = 2 * time.Hour
	stuckProcessing = time.Hour
)

// Import asks for the data of an image, or for copies of it, and returns once a task has that to do.
// Errors, in the order in which they are looked for: image.ErrInvalid for a method that is not enabled; image.ErrNotFound;
// image.ErrConflict when the image's status or formats do not allow the method; image.ErrForbidden; image.ErrConflict while
// another import is under way, and for an unknown store; image.ErrInvalid for stores that cannot take the data, and for a URL
// that is refused, and for stores that want disks in several formats; image.ErrInvalid and image.ErrUnavailable for a signature that cannot be verified; image.ErrTooLarge over a quota.
func (s *Session) Import(ctx context.Context, id image.ID, imp image.Import) (err error) {
	defer s.record(ctx, onImage(events.Import, id), &err)
	if !slices.Contains(s.svc.imports.Methods, imp.Method) {
		return image.Errorf(image.ErrInvalid, "Unknown import method name '%s'.", imp.Method)
	}
	var stolen *image.Task
	var img *image.Image
	added := &image.Task{}
	err = retry(ctx, func() error {
		s.svc.tasks.dropToken(added.ID) // of the try before
		added = &image.Task{}
		seen, member, err := s.loadImport(ctx, id, imp)
		if err != nil {
			return err
		}
		rule := policy.ModifyImage
		if imp.Method == image.ImportCopy {
			rule = policy.CopyImage
		}
		if err := s.check(ctx, seen, member, rule); err != nil {
			return err
		}
		if err := s.svc.policy.Check(ctx, s.caller, policy.AddTask, policy.ForProject(s.caller.ProjectID)); err != nil {
			return err
		}
		if err := s.svc.checkLock(ctx, seen); err != nil {
			return err
		}
		stores, err := s.svc.storesFor(imp, seen)
		if err != nil {
			return err
		}
		if imp.Method != image.ImportCopy && (seen.HasRawView() || seen.ContainerFormat == "ova") {
			if _, err := s.svc.imports.Formats.Of(stores); err != nil {
				return err
			}
		}
		from, err := s.sourceOf(ctx, imp)
		if err != nil || len(stores) == 0 {
			return err
		}
		check, err := s.signatureOf(ctx, seen, imp)
		if err != nil {
			return err
		}
		task, err := s.newImport(ctx, seen, imp, from, stores, check)
		if err != nil {
			return err
		}
		if added = task; imp.Method == image.ImportDownload {
			s.svc.tasks.keepToken(added.ID, s.caller.Token)
		}
		quota, err := s.svc.quotaOf(ctx, seen.Owner)
		if err != nil {
			return err
		}
		return s.svc.withRoom(ctx, seen.Owner, func() error {
			return s.svc.db.Update(ctx, func(tx metadata.WriteTx) error {
				if img, err = s.unchanged(tx, seen); err != nil {
					return err
				}
				if stolen, err = s.svc.steal(tx, img); err != nil {
					return err
				}
				if err := quota.admit(tx, img.Owner, importUsage(img, stores)); err != nil {
					return err
				}
				return s.svc.begin(tx, img, task, imp, stores)
			})
		})
	})
	if err != nil {
		s.svc.tasks.dropToken(added.ID)
		return err
	}
	if added.ID == "" {
		return nil // every store has the data
	}
	if stolen != nil {
		s.svc.cancelTask(stolen.ID)
		s.svc.tellTask(ctx, events.TaskFailure, stolen)
	}
	s.svc.tellTask(ctx, events.TaskCreate, added)
	s.svc.tellImage(ctx, events.ImageUpdate, img)
	s.svc.wakeImporter()
	return nil
}

// importUsage is what is known to be needed before an import begins. The bytes of new data are reserved when they come: what
// is done to them may change their number.
func importUsage(img *image.Image, stores []string) (more image.Usage) {
	switch {
	case img.Status == image.Queued:
		more.Uploading = 1
	case img.Status == image.Active && img.Size != nil:
		more.Bytes = *img.Size * int64(len(stores))
	}
	return more
}

// loadImport returns an image that the method can be used on now, and the caller's project if it is shared with it.
func (s *Session) loadImport(ctx context.Context, id image.ID, imp image.Import) (img *image.Image, member string, err error) {
	staged := true
	err = s.svc.db.View(ctx, func(tx metadata.Tx) error {
		if img, member, err = s.load(tx, id); err != nil {
			return err
		}
		if imp.Method == image.ImportStaged {
			_, err = tx.Staged(img.Number)
			if staged = err == nil; errors.Is(err, image.ErrNotFound) {
				err = nil
			}
		}
		return err
	})
	if err != nil {
		return nil, "", err
	}
	want := map[string]image.Status{image.ImportStaged: image.Uploading, image.ImportCopy: image.Active}[imp.Method]
	if want == "" {
		want = image.Queued
	}
	switch {
	case img.Status != want:
		return nil, "", image.Errorf(image.ErrConflict, "Image %s is %s: it must be %s for the import method %s.", id, img.Status, want, imp.Method)
	case !staged:
		return nil, "", image.Errorf(image.ErrConflict, "The data of image %s is still being staged.", id)
	case imp.Method == image.ImportDownload: // which brings the formats with it
		return img, member, checkSource(imp)
	case img.ContainerFormat == "":
		return nil, "", image.Errorf(image.ErrConflict, "'container_format' needs to be set before import")
	case img.DiskFormat == "":
		return nil, "", image.Errorf(image.ErrConflict, "'disk_format' needs to be set before import")
	}
	return img, member, nil
}

// lockHolder returns the task that holds the image's lock, nil if none does any more.
func (s *Service) lockHolder(tx metadata.Tx, img *image.Image) (*image.Task, error) {
	id, locked := img.Properties[image.PropertyImportTask]
	if !locked {
		return nil, nil
	}
	task, err := tx.Task(image.ID(id))
	if errors.Is(err, image.ErrNotFound) || err == nil && task.Status.Ended() {
		return nil, nil
	}
	return task, err
}

// checkLock refuses an import while there is another one that does not stand still. Error: image.ErrConflict.
func (s *Service) checkLock(ctx context.Context, img *image.Image) error {
	return s.db.View(ctx, func(tx metadata.Tx) error {
		task, err := s.lockHolder(tx, img)
		if err != nil || task == nil {
			return err
		}
		limit := stuckProcessing
		if task.Status == image.TaskPending {
			limit = stuckPending
		}
		if s.now().Sub(task.UpdatedAt) < limit {
			return image.Errorf(image.ErrConflict, "Image %s has an import under way: task %s.", img.ID, task.ID)
		}
		return nil
	})
}

// steal ends the task that holds the lock, and returns it; nil if there is none.
func (s *Service) steal(tx metadata.WriteTx, img *image.Image) (*image.Task, error) {
	task, err := s.lockHolder(tx, img)
	if err != nil || task == nil {
		return nil, err
	}
	task.Message = "The task stood still for too long, and another import took its place."
	if err := task.SetStatus(image.TaskFailure, s.timestamp(), s.imports.keepTasks()); err != nil {
		return nil, err
	}
	return task, tx.SaveTask(task)
}

// storesFor returns the ids of the stores that get the data, none if those that were asked for have it.
func (s *Service) storesFor(imp image.Import, img *image.Image) ([]string, error) {
	switch {
	case imp.AllStores && (imp.Store != "" || len(imp.Stores) > 0):
		return nil, image.Errorf(image.ErrInvalid, "All_stores parameter can't be used with x-image-meta-store header or stores parameter")
	case imp.Store != "" && len(imp.Stores) > 0 && !slices.Equal(imp.Stores, []string{imp.Store}): // openstacksdk says it in both ways
		return nil, image.Errorf(image.ErrInvalid, "Stores parameter and x-image-meta-store header can't be both specified")
	}
	copying := imp.Method == image.ImportCopy
	var ids []string
	if imp.AllStores {
		for _, e := range s.stores.Entries() {
			if _, writes := e.Store.(imagestore.Writer); writes && !imagestore.Reserved(e.ID) && !(copying && img.Has(e.ID)) {
				ids = append(ids, e.ID)
			}
		}
		return ids, nil
	}
	wanted := imp.Stores
	if imp.Store != "" {
		wanted = []string{imp.Store}
	}
	if len(wanted) == 0 {
		wanted = []string{s.stores.Default()}
	}
	for _, id := range wanted {
		store, ok := s.stores.Get(id)
		if !ok || imagestore.Reserved(id) {
			return nil, image.Errorf(image.ErrConflict, "There is no store %q.", id)
		}
		if _, writes := store.(imagestore.Writer); !writes {
			return nil, image.Errorf(image.ErrInvalid, "Store %q takes no new data.", id)
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	for _, id := range ids {
		if copying && img.Has(id) {
			return nil, image.Errorf(image.ErrInvalid, "Image %s is already present at store '%s'", img.ID, id)
		}
	}
	if imp.AllowFailure && len(s.Stores()) < 2 {
		return nil, image.Errorf(image.ErrInvalid, "All_stores_must_succeed can only be set to false where there are several stores.")
	}
	return ids, nil
}

// A source is where the data of an import comes from. It is nothing if the data is here.
type source struct {
	url     string
	missing string // why there is none, which the task will say
}

// sourceOf finds the source. Errors: image.ErrInvalid when the filter of outgoing requests refuses the URL, those of FindRegion.
func (s *Session) sourceOf(ctx context.Context, imp image.Import) (source, error) {
	switch imp.Method {
	case image.ImportURL:
		err := s.svc.imports.CheckURL(ctx, imp.URL)
		if errors.Is(err, image.ErrInvalid) {
			err = image.Errorf(image.ErrInvalid, "%s", err) // its own type is not known above
		}
		return source{url: imp.URL}, err
	case image.ImportDownload:
		url, err := s.svc.imports.FindRegion(ctx, s.caller, imp.Region, cmp.Or(imp.Interface, "public"))
		if errors.Is(err, image.ErrInvalid) { // Glance asks the catalog later, and clients wait for its task
			return source{missing: err.Error()}, nil
		}
		return source{url: url}, err
	}
	return source{}, nil
}

// signatureOf returns how the data is to be verified, nil if it is not: copies are of what was verified when it came. It is asked
// now, as long as the caller's token is known.
func (s *Session) signatureOf(ctx context.Context, img *image.Image, imp image.Import) (*signature.Check, error) {
	if imp.Method == image.ImportCopy {
		return nil, nil
	}
	return s.svc.signatures.Check(ctx, s.caller.Token, img.Properties)
}

// checkSource refuses to look for an image of another region if it is not said which. Error: image.ErrInvalid.
func checkSource(imp image.Import) error {
	switch {
	case imp.Method != image.ImportDownload:
	case imp.Region == "":
		return image.Errorf(image.ErrInvalid, "The import method glance-download needs a glance_region.")
	case imp.Source == "":
		return image.Errorf(image.ErrInvalid, "The import method glance-download needs a glance_image_id: the image id does not look like a UUID.")
	}
	return nil
}

// newImport returns the task of an import.
func (s *Session) newImport(ctx context.Context, img *image.Image, imp image.Import, from source, stores []string, check *signature.Check) (*image.Task, error) {
	method := map[string]string{"name": imp.Method}
	switch imp.Method {
	case image.ImportURL:
		method["uri"] = imp.URL
	case image.ImportDownload:
		method["glance_region"], method["glance_image_id"] = imp.Region, string(imp.Source)
		method["glance_service_interface"] = cmp.Or(imp.Interface, "public")
	}
	input, err := json.Marshal(map[string]any{
		"image_id":   img.ID,
		"backend":    stores,
		"import_req": map[string]any{"method": method, "stores": stores, "all_stores_must_succeed": !imp.AllowFailure},
	})
	if err != nil {
		return nil, err
	}
	now := s.svc.timestamp()
	task := &image.Task{ID: image.NewID(), Type: image.TaskImageImport, Status: image.TaskPending, Owner: s.caller.ProjectID,
		UserID: s.caller.UserID, RequestID: requestid.From(ctx), ImageID: img.ID, Input: input, CreatedAt: now, UpdatedAt: now}
	return task, task.SetPlan(&image.ImportPlan{Method: imp.Method, URL: from.url, Missing: from.missing, Source: imp.Source, Stores: stores, AllowFailure: imp.AllowFailure,
		Roles: s.caller.Roles, Staged: imp.Method == image.ImportStaged, Signature: check.Record()})
}

// begin records that the import has begun.
func (s *Service) begin(tx metadata.WriteTx, img *image.Image, task *image.Task, imp image.Import, stores []string) error {
	switch imp.Method {
	case image.ImportCopy:
	case image.ImportDownload:
		img.Status = image.Importing // from queued, without the formats that come with the data
	default:
		if err := img.SetStatus(image.Importing); err != nil {
			return err
		}
	}
	img.SetProperty(image.PropertyImportTask, string(task.ID))
	img.AddListed(image.PropertyImporting, stores...)
	img.DropListed(image.PropertyFailedImport, stores...)
	img.UpdatedAt = s.timestamp()
	if err := tx.SaveTask(task); err != nil {
		return fmt.Errorf("store the task of an import: %w", err)
	}
	return tx.SaveImage(img)
}

// TaskAdded gets a value when a task was stored that an importer should take.
func (s *Service) TaskAdded() <-chan struct{} { return s.tasks.added }

func (s *Service) wakeImporter() {
	select {
	case s.tasks.added <- struct{}{}:
	default:
	}
}
