package imageservice

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/vitrine-image/vitrine/events"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/ingest"
	"github.com/vitrine-image/vitrine/internal/hashes"
	"github.com/vitrine-image/vitrine/internal/requestid"
	"github.com/vitrine-image/vitrine/metadata"
	"github.com/vitrine-image/vitrine/policy"
)

// LocationConfig says what callers may do with the locations of images.
type LocationConfig struct {
	Edit   bool // by edits, as the older API has it
	Verify bool // data that others stored is read once, hashed, and judged as a whole
}

// Locations returns where the data of an image lies. Their URLs may carry credentials: they are for other services.
// Errors: image.ErrNotFound, image.ErrForbidden.
func (s *Session) Locations(ctx context.Context, id image.ID) (_ []image.Location, err error) {
	defer s.record(ctx, onImage(events.ShowLocations, id), &err)
	img, err := s.permitted(ctx, id, policy.FetchImageLocation)
	if err != nil {
		return nil, err
	}
	return img.Locations, nil
}

// ShowsLocations returns whether the caller may see where the data of an image lies.
func (s *Session) ShowsLocations(ctx context.Context) func(*image.Image) bool {
	return func(img *image.Image) bool {
		return s.svc.policy.Allows(ctx, s.caller, policy.GetImageLocation, policy.ForImage(img, ""))
	}
}

// AddLocation gives a queued image the data at a URL, and returns once a task has that to do: it makes the image active, and then reads
// the data if that is configured. Errors, in the order in which they are looked for: image.ErrInvalid for sums that are none;
// image.ErrNotFound; image.ErrForbidden, also for a URL that only services may name; image.ErrConflict when the image is not queued;
// image.ErrInvalid when its formats are not set, and for a URL that no store takes; image.ErrConflict for the data of another image, see
// checkUnclaimed; image.ErrTooLarge over a quota.
func (s *Session) AddLocation(ctx context.Context, id image.ID, add image.NewLocation) (err error) {
	defer s.record(ctx, onImage(events.AddLocation, id), &err)
	if err := checkSums(add.Sums); err != nil {
		return err
	}
	var img *image.Image
	var task *image.Task
	err = retry(ctx, func() error {
		seen, err := s.permitted(ctx, id, policy.AddImageLocation)
		if err != nil {
			return err
		}
		if err := s.mayName(ctx, seen, add.URL); err != nil {
			return err
		}
		img = seen.Clone()
		if img.Status != image.Queued {
			return image.Errorf(image.ErrConflict, "Image %s is %s: a location can be added only while it is queued.", id, img.Status)
		}
		if err := img.SetStatus(image.Importing); err != nil {
			return err
		}
		if err := s.refuseSigned(ctx, seen); err != nil {
			return err
		}
		store, err := s.svc.adopterOf(ctx, add.URL)
		if err != nil {
			return err
		}
		task, err = s.newLocationTask(ctx, img, store, add.URL, image.LocationPlan{Sums: add.Sums, Verify: s.svc.locations.Verify})
		if err != nil {
			return err
		}
		img.SetProperty(image.PropertyImportTask, string(task.ID))
		img.UpdatedAt = task.CreatedAt
		quota, err := s.svc.quotaOf(ctx, img.Owner)
		if err != nil {
			return err
		}
		return s.svc.withRoom(ctx, img.Owner, func() error {
			return s.svc.db.Update(ctx, func(tx metadata.WriteTx) error {
				if _, err := s.unchanged(tx, seen); err != nil {
					return err
				}
				if err := s.svc.checkUnclaimed(tx, store, add.URL); err != nil {
					return err
				}
				if err := quota.admit(tx, img.Owner, image.Usage{Uploading: 1}); err != nil {
					return err
				}
				if err := tx.SaveTask(task); err != nil {
					return err
				}
				return tx.SaveImage(img)
			})
		})
	})
	if err != nil {
		return err
	}
	s.svc.tellTask(ctx, events.TaskCreate, task)
	s.svc.tellImage(ctx, events.ImageUpdate, img)
	s.svc.wakeImporter()
	return nil
}

// refuseSigned refuses locations for an image whose data has to be verified before anybody can read it. Error: image.ErrInvalid, and
// those of signature.Verifier.Check.
func (s *Session) refuseSigned(ctx context.Context, img *image.Image) error {
	check, err := s.svc.signatures.Check(ctx, s.caller.Token, img.Properties)
	if err == nil && check != nil {
		err = image.Errorf(image.ErrInvalid, "The image is signed: its data must be uploaded or imported, to be verified on its way in.")
	}
	return err
}

// checkSums refuses sums that nothing can have here. Error: image.ErrInvalid.
func checkSums(sums image.Sums) error {
	if err := sums.Check(); err != nil || sums.HashAlgo == "" {
		return err
	}
	if h := hashes.New(sums.HashAlgo); h == nil || len(sums.HashValue) != 2*h.Size() {
		return image.Errorf(image.ErrInvalid, "os_hash_value is no hash of the algorithm %q.", sums.HashAlgo)
	}
	return nil
}

// mayName refuses a URL of which only services are trusted to know what it is: others name what lies on the web. Error:
// image.ErrForbidden.
func (s *Session) mayName(ctx context.Context, img *image.Image, address string) error {
	scheme := schemeOf(address)
	onTheWeb := (scheme == "http" || scheme == "https") && len(s.svc.adopters(scheme)) > 0
	if onTheWeb || s.svc.policy.Allows(ctx, s.caller, policy.ServiceAPI, policy.ForImage(img, "")) {
		return nil
	}
	return image.Errorf(image.ErrForbidden, "Only services may add locations that are no http or https URLs of a store of that kind.")
}

func schemeOf(address string) string {
	scheme, _, _ := strings.Cut(address, ":")
	return strings.ToLower(scheme)
}

// adopters returns the stores that may know URLs of a scheme. One that reads local disks is none, whatever it says of itself: the data
// of an image must never be a file that somebody else keeps here.
func (s *Service) adopters(scheme string) (found []imagestore.Entry) {
	for _, e := range s.stores.Entries() {
		if a, ok := e.Store.(imagestore.Adopter); ok && !e.Local && !imagestore.Reserved(e.ID) && slices.Contains(a.Schemes(), scheme) {
			found = append(found, e)
		}
	}
	return found
}

// adopterOf returns the id of the store that a URL is of. Error: image.ErrInvalid.
func (s *Service) adopterOf(ctx context.Context, address string) (string, error) {
	if _, err := url.Parse(address); err != nil {
		return "", image.Errorf(image.ErrInvalid, "The location is no URL.")
	}
	scheme := schemeOf(address)
	refused := error(image.Errorf(image.ErrInvalid, "No store takes locations of the scheme %q.", scheme))
	for _, e := range s.adopters(scheme) {
		err := e.Store.(imagestore.Adopter).CheckURL(ctx, address)
		if err == nil {
			return e.ID, nil
		}
		refused = err
	}
	return "", refused
}

// checkUnclaimed refuses a URL at which the data of another image lies, or of one that was deleted, in a store that deletes data: who
// has one image could read or delete another one. Error: image.ErrConflict.
func (s *Service) checkUnclaimed(tx metadata.Tx, storeID, address string) error {
	store, _ := s.stores.Get(storeID)
	if _, deletes := store.(imagestore.Writer); !deletes {
		return nil
	}
	claimed, err := tx.URLExists(address)
	if err == nil && claimed {
		err = image.Errorf(image.ErrConflict, "The data at the location is that of an image, or being removed: it cannot be another one's.")
	}
	return err
}

// newLocationTask returns a task about a location. What clients are shown of it does not have the URL, which may carry credentials.
func (s *Session) newLocationTask(ctx context.Context, img *image.Image, store, address string, plan image.LocationPlan) (*image.Task, error) {
	input, err := json.Marshal(map[string]any{"image_id": img.ID, "backend": []string{store}, "validation_data": plan.Sums})
	if err != nil {
		return nil, err
	}
	now := s.svc.timestamp()
	task := &image.Task{ID: image.NewID(), Type: image.TaskLocationImport, Status: image.TaskPending, Owner: s.caller.ProjectID,
		UserID: s.caller.UserID, RequestID: requestid.From(ctx), ImageID: img.ID, Input: input, CreatedAt: now, UpdatedAt: now}
	return task, task.SetPlan(&image.ImportPlan{Method: image.LocationMethod, URL: address, Stores: []string{store}, Location: &plan})
}

// found is what is known of data before it is read as a whole.
type found struct {
	location image.Location
	size     int64
	virtual  *int64
}

// find looks at the data at a URL: that it can be read, how large it is, and that it begins as the image's format does.
// Errors: those of Adopter.Adopt, image.ErrTooLarge, image.ErrUnsupportedContent.
func (s *Service) find(ctx context.Context, img *image.Image, storeID, address string) (f found, err error) {
	store, _ := s.stores.Get(storeID)
	adopter, ok := store.(imagestore.Adopter)
	if !ok {
		return f, image.Errorf(image.ErrStoreOffline, "Store %q is not configured any more, or takes no locations.", storeID)
	}
	if f.location, err = adopter.Adopt(ctx, address); err != nil {
		return f, readableAt(err)
	}
	f.location.Metadata = maps.Clone(f.location.Metadata)
	if f.location.Metadata == nil {
		f.location.Metadata = make(map[string]string)
	}
	f.location.Metadata[image.MetadataAdopted] = "yes"
	r, err := adopter.Open(ctx, f.location)
	if err != nil {
		return f, readableAt(err)
	}
	defer r.Close()
	if f.size = r.Size(); s.limits.ImageSize > 0 && f.size > s.limits.ImageSize {
		return f, &image.QuotaError{Resource: "image_size_cap", Limit: s.limits.ImageSize, Attempted: f.size}
	}
	begin := make([]byte, min(f.size, ingest.HeaderSize))
	if n, err := r.ReadAt(ctx, begin, 0); err != nil && (err != io.EOF || n < len(begin)) {
		return f, readableAt(err)
	}
	f.virtual, err = s.ingest.Header(examined(img), begin, f.size)
	return f, err
}

// examined returns what data is judged as.
func examined(img *image.Image) ingest.Request {
	return ingest.Request{DiskFormat: img.DiskFormat, ContainerFormat: img.ContainerFormat, Encrypted: img.Encrypted()}
}

// readableAt gives an error of a store a text for who named the URL. It does not tell more of the network than he may know.
func readableAt(err error) error {
	var written *image.Error
	switch {
	case errors.As(err, &written):
		return err
	case errors.Is(err, image.ErrStoreOffline):
		return wrapped(image.ErrStoreOffline, "The location cannot be reached now.", err)
	case errors.Is(err, image.ErrDataMissing):
		return wrapped(image.ErrDataMissing, "The data is missing: nothing can be read at the location.", err)
	}
	return err
}
