package imageservice

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"

	"github.com/vitrine-image/vitrine/events"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadata"
	"github.com/vitrine-image/vitrine/policy"
)

// A relocation is what the edits of one request do to the locations of an image, as the older API has it.
type relocation struct {
	*Session
	seen  *image.Image // before all edits
	tasks []*image.Task
}

// locates reports whether an edit is one of locations.
func locates(e image.Edit) bool { return e.Name == image.EditLocations }

// apply carries out the edits in their order, those of locations and the others.
func (r *relocation) apply(ctx context.Context, img *image.Image, edits []image.Edit) error {
	for len(edits) > 0 {
		n := slices.IndexFunc(edits, locates)
		if n < 0 {
			n = len(edits)
		}
		if err := r.svc.formats.Apply(img, edits[:n]); err != nil {
			return err
		}
		if edits = edits[n:]; len(edits) == 0 {
			return nil
		}
		if err := r.relocate(ctx, img, edits[0]); err != nil {
			return err
		}
		edits = edits[1:]
	}
	return nil
}

// relocate carries out one edit of locations. Errors, in the order in which they are looked for: image.ErrForbidden where this is off,
// and by the rules; image.ErrConflict by the image's status; image.ErrForbidden for the last location; all others.
func (r *relocation) relocate(ctx context.Context, img *image.Image, e image.Edit) error {
	rule := policy.SetImageLocation
	if e.Op == image.EditRemove {
		rule = policy.DeleteImageLocation
	}
	if !r.svc.locations.Edit {
		return image.Errorf(image.ErrForbidden, "It's not allowed to update locations if locations are invisible.")
	}
	if err := r.svc.policy.Check(ctx, r.caller, rule, policy.ForImage(r.seen, "")); err != nil {
		return err
	}
	if img.Status != image.Active && (img.Status != image.Queued || e.Op == image.EditRemove) {
		return image.Errorf(image.ErrConflict, "It's not allowed to %s locations if image status is %s.", e.Op, img.Status)
	}
	switch e.Op {
	case image.EditAdd:
		add, err := image.ParseLocation(e.Value)
		if err != nil {
			return err
		}
		at, ok := position(e.Item, len(img.Locations)+1)
		if !ok {
			return image.Errorf(image.ErrInvalid, "Invalid position for adding a location.")
		}
		return r.add(ctx, img, add, at)
	case image.EditRemove:
		return r.remove(ctx, img, e.Item)
	}
	return r.replace(ctx, img, e.Value)
}

// position returns the place in a list of n that an item names: "-" is the last one.
func position(item string, n int) (int, bool) {
	if item == "-" {
		return n - 1, n > 0
	}
	at, err := strconv.ParseUint(item, 10, 31)
	return int(at), err == nil && int(at) < n
}

func (r *relocation) remove(ctx context.Context, img *image.Image, item string) error {
	if len(img.Locations) == 1 {
		return image.Errorf(image.ErrForbidden, "Cannot remove last location in the image.")
	}
	at, ok := position(item, len(img.Locations))
	if !ok {
		return image.Errorf(image.ErrInvalid, "Invalid position for removing a location.")
	}
	if err := r.svc.checkClones(ctx, img.ID, img.Locations[at:at+1]); err != nil {
		return err
	}
	img.Locations = slices.Delete(img.Locations, at, at+1)
	return nil
}

// replace gives the image its first locations, or orders those that it has and changes their metadata.
func (r *relocation) replace(ctx context.Context, img *image.Image, value any) error {
	list, ok := value.([]any)
	if !ok {
		return image.Errorf(image.ErrInvalid, "Invalid value for field 'locations': it must be a list of locations")
	}
	if len(list) == 0 {
		return image.Errorf(image.ErrForbidden, "Cannot remove last location in the image.")
	}
	before := img.Locations
	img.Locations = nil
	for _, v := range list {
		add, err := image.ParseLocation(v)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(before, func(l image.Location) bool { return l.URL == add.URL })
		switch {
		case len(before) == 0:
			if err := r.add(ctx, img, add, len(img.Locations)); err != nil {
				return err
			}
			continue
		case at < 0 || len(list) != len(before):
			return image.Errorf(image.ErrInvalid, "The image has locations, and they cannot be replaced by others: add and remove single ones.")
		}
		if err := r.unique(img, add.URL); err != nil {
			return err
		}
		loc, err := r.note(before[at], add.Metadata)
		if err != nil {
			return err
		}
		img.Locations = append(img.Locations, loc)
	}
	return nil
}

// add gives the image one more location, which becomes active by its first.
func (r *relocation) add(ctx context.Context, img *image.Image, add image.NewLocation, at int) error {
	if n := len(img.Locations) + 1; r.svc.limits.Locations >= 0 && n > r.svc.limits.Locations {
		return &image.QuotaError{Resource: "image_location_quota", Limit: int64(r.svc.limits.Locations), Attempted: int64(n)}
	}
	if err := cmp.Or(r.unique(img, add.URL), r.checkSums(img, add.Sums)); err != nil {
		return err
	}
	if img.Status == image.Queued {
		if err := r.refuseSigned(ctx, img); err != nil {
			return err
		}
	}
	store, err := r.svc.adopterOf(ctx, add.URL)
	if err != nil {
		return err
	}
	if err := r.mayName(ctx, r.seen, add.URL); err != nil {
		return err
	}
	f, err := r.svc.find(ctx, img, store, add.URL)
	if err != nil {
		if errors.Is(err, image.ErrDataMissing) {
			err = wrapped(image.ErrInvalid, "Nothing can be read at the location.", err)
		}
		return err
	}
	if f.location, err = r.note(f.location, add.Metadata); err != nil {
		return err
	}
	if img.Status == image.Queued {
		err = adopt(img, f, add.Sums)
	} else if img.Size != nil && *img.Size != f.size {
		err = image.Errorf(image.ErrInvalid, "There are %d bytes at the location, and the image has %d.", f.size, *img.Size)
	} else {
		img.Locations = slices.Insert(img.Locations, at, f.location)
	}
	if err != nil || !r.svc.locations.Verify {
		return err
	}
	task, err := r.newLocationTask(ctx, img, store, add.URL, image.LocationPlan{Trust: add.Sums != image.Sums{}, Added: true, Verify: true})
	r.tasks = append(r.tasks, task)
	return err
}

// unique refuses a URL that the image has already. Error: image.ErrInvalid.
func (r *relocation) unique(img *image.Image, address string) error {
	if slices.ContainsFunc(img.Locations, func(l image.Location) bool { return l.URL == address }) {
		return image.Errorf(image.ErrInvalid, "The image has this location already.")
	}
	return nil
}

// checkSums refuses sums that are none, or that the image cannot take. Errors: image.ErrInvalid, image.ErrConflict.
func (r *relocation) checkSums(img *image.Image, sums image.Sums) error {
	switch {
	case sums == image.Sums{}:
		return nil
	case img.Status == image.Queued && sums.HashAlgo == r.svc.ingest.HashAlgo():
		return checkSums(sums)
	case img.Status == image.Queued:
		return image.Errorf(image.ErrInvalid, "os_hash_algo must be %s here.", r.svc.ingest.HashAlgo())
	case sums.HashAlgo == img.HashAlgo && sums.HashValue == img.HashValue && (sums.Checksum == "" || sums.Checksum == img.Checksum):
		return nil
	}
	return image.Errorf(image.ErrConflict, "The validation_data is not what is known of the image's data.")
}

// note writes down what an operator says of a location.
func (r *relocation) note(loc image.Location, metadata map[string]string) (image.Location, error) {
	if named, have := metadata["store"]; have && named != loc.Store {
		return loc, image.Errorf(image.ErrInvalid, "The location is one of store %q, not of %q.", loc.Store, named)
	}
	noted := make(map[string]string)
	maps.Copy(noted, metadata)
	delete(noted, "store")
	for name, value := range loc.Metadata {
		if image.IsBookkeeping(name) {
			noted[name] = value
		}
	}
	loc.Metadata = noted
	if len(noted) == 0 {
		loc.Metadata = nil
	}
	return loc, nil
}

// save records the image, and what is still to be done about its new locations, if the quota has room for them. Errors besides that of
// the quota: those of checkUnclaimed.
func (r *relocation) save(ctx context.Context, img *image.Image, done *trace) error {
	quota, err := r.svc.quotaOf(ctx, img.Owner)
	if err != nil {
		return err
	}
	more := image.Usage{Bytes: img.StoredBytes() - r.seen.StoredBytes()}
	return r.svc.withRoom(ctx, img.Owner, func() error {
		return r.svc.db.Update(ctx, func(tx metadata.WriteTx) error {
			*done = trace{}
			if _, err := r.unchanged(tx, r.seen); err != nil {
				return err
			}
			if err := quota.admit(tx, img.Owner, more); err != nil {
				return err
			}
			for _, loc := range img.Locations {
				if slices.ContainsFunc(r.seen.Locations, func(l image.Location) bool { return l.URL == loc.URL }) {
					continue
				}
				if err := r.svc.checkUnclaimed(tx, loc.Store, loc.URL); err != nil {
					return err
				}
			}
			for _, task := range r.tasks {
				if err := tx.SaveTask(task); err != nil {
					return err
				}
			}
			return done.save(tx, img, r.seen.Status)
		})
	})
}

// tell says what became of the image, and has done what is to follow.
func (r *relocation) tell(ctx context.Context, img *image.Image) {
	if r.seen.Status != img.Status {
		r.svc.tellImage(ctx, events.ImageActivate, img)
	}
	for _, task := range r.tasks {
		r.svc.tellTask(ctx, events.TaskCreate, task)
	}
	r.svc.wakeImporter()
	r.svc.collectOf(context.WithoutCancel(ctx), img.Number, img.ID)
}
