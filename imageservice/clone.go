package imageservice

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/vitrine-image/vitrine/events"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/policy"
)

// Clone makes a volume that shares the data of an image until it is written to, where the configuration of the image's store allows
// that. Errors, in the order in which they are looked for: image.ErrInvalid for what is asked for; image.ErrNotFound;
// image.ErrForbidden; image.ErrConflict when the image is not active, is no raw disk, or lies in no store that makes clones; those
// of imagestore.Cloner.
func (s *Session) Clone(ctx context.Context, id image.ID, want image.NewClone) (made image.Clone, err error) {
	if err := want.Check(); err != nil {
		return made, err
	}
	if _, ok := s.svc.stores.Get(want.Store); want.Store != "" && (!ok || imagestore.Reserved(want.Store)) {
		return made, image.Errorf(image.ErrInvalid, "There is no store %q.", want.Store)
	}
	act := onImage(events.Clone, id)
	act.Volume = want.Pool + "/" + want.Name
	defer s.record(ctx, act, &err)
	leave, err := s.svc.cloning.enter(ctx, id, aClone)
	if err != nil {
		return made, err
	}
	defer leave()
	img, err := s.permitted(ctx, id, policy.GetImage, policy.DownloadImage, policy.CloneImage)
	if err != nil {
		return made, err
	}
	switch {
	case img.Status != image.Active:
		return made, image.Errorf(image.ErrConflict, "Image %s is %s: only active images can be cloned.", id, img.Status)
	case !img.IsRawDisk():
		return made, image.Errorf(image.ErrConflict, "Image %s has the formats %s and %s, and a clone is what was uploaded: no guest would find a disk in it. "+
			"Upload it as a raw image; the mount shows it as one, disk.raw.", id, img.DiskFormat, img.ContainerFormat)
	}
	store, loc, err := s.svc.clonerOf(img, want)
	if err != nil {
		return made, err
	}
	made, err = store.Clone(ctx, loc, want)
	if errors.Is(err, image.ErrStoreOffline) || errors.Is(err, image.ErrDataMissing) {
		err = explain(id, loc.Store, err)
	}
	return made, err
}

// clonerOf returns the store that is to make a clone and where it has the image: one that may do so in the pool, if there is one.
// Error: image.ErrConflict.
func (s *Service) clonerOf(img *image.Image, want image.NewClone) (cloner imagestore.Cloner, at image.Location, err error) {
	for _, loc := range s.stores.Order(img.Locations, nil) {
		c, ok := s.cloner(loc.Store)
		if !ok || want.Store != "" && want.Store != loc.Store {
			continue
		}
		if cloner == nil || slices.Contains(c.ClonePools(), want.Pool) && !slices.Contains(cloner.ClonePools(), want.Pool) {
			cloner, at = c, loc
		}
	}
	if cloner != nil {
		return cloner, at, nil
	}
	could := want.Store
	for _, e := range s.stores.Entries() {
		if c, ok := s.cloner(e.ID); ok && could == "" && slices.Contains(c.ClonePools(), want.Pool) {
			could = e.ID
		}
	}
	if _, ok := s.cloner(could); !ok {
		return nil, at, image.Errorf(image.ErrConflict, "Clones are made by stores of the type rbd that have pool %q among their clone_pools, and this "+
			"server has none for image %s.", want.Pool, img.ID)
	}
	return nil, at, image.Errorf(image.ErrConflict, "Image %s has no copy in store %q. vitrine image import --copy --store %s %s makes one.", img.ID, could, could, img.ID)
}

func (s *Service) cloner(store string) (imagestore.Cloner, bool) {
	found, _ := s.stores.Get(store)
	c, ok := found.(imagestore.Cloner)
	return c, ok
}

// A cloning keeps the making of clones and the removal of the data apart that they share: a removal sees every clone that was
// made before it, and who clones later finds the data gone. Clones that others make beside this service the store looks after.
type cloning struct {
	mu     sync.Mutex
	images map[image.ID]*turns // of those that somebody has entered
}

type turns struct {
	weights *semaphore.Weighted
	users   int // that have entered or wait
}

func newCloning() *cloning { return &cloning{images: make(map[image.ID]*turns)} }

// The weights of those who enter.
const (
	aClone   = 1
	aRemoval = math.MaxInt64
)

// enter waits for the turn of a clone or a removal, which is over when leave is called.
func (c *cloning) enter(ctx context.Context, id image.ID, weight int64) (leave func(), err error) {
	c.mu.Lock()
	t := c.images[id]
	if t == nil {
		t = &turns{weights: semaphore.NewWeighted(aRemoval)}
		c.images[id] = t
	}
	t.users++
	c.mu.Unlock()
	forget := func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if t.users--; t.users == 0 {
			delete(c.images, id)
		}
	}
	if err := t.weights.Acquire(ctx, weight); err != nil {
		forget()
		return nil, err
	}
	return func() {
		t.weights.Release(weight)
		forget()
	}, nil
}
