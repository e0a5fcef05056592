package imageservice

import (
	"cmp"
	"context"
	"slices"

	"github.com/vitrine-image/vitrine/events"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadata"
	"github.com/vitrine-image/vitrine/policy"
)

// Create records a new, queued image. Each edit adds a field or property; id may be empty for a random one.
// Errors: those of image.Image.Apply, image.ErrTooLarge over a quota, image.ErrConflict when the id exists or existed.
func (s *Session) Create(ctx context.Context, id image.ID, edits []image.Edit) (img *image.Image, err error) {
	id = cmp.Or(id, image.NewID())
	defer s.record(ctx, onImage(events.Create, id), &err)
	img, quota, err := s.newImage(ctx, id, edits)
	if err != nil {
		return nil, err
	}
	err = s.svc.db.Update(ctx, func(tx metadata.WriteTx) error {
		if err := quota.admit(tx, img.Owner, image.Usage{Images: 1}); err != nil {
			return err
		}
		return tx.CreateImage(img)
	})
	if err == nil {
		s.svc.tellImage(ctx, events.ImageCreate, img)
		s.shown(ctx, img)
	}
	return img, err
}

// newImage returns an image as the caller may record it, and the quota that it has to keep.
func (s *Session) newImage(ctx context.Context, id image.ID, edits []image.Edit) (*image.Image, Quota, error) {
	now := s.svc.timestamp()
	img := &image.Image{ID: id, Owner: s.caller.ProjectID, Status: image.Queued, Visibility: image.Shared,
		CreatedAt: now, UpdatedAt: now}
	blank := img.Clone()
	if err := s.svc.formats.Apply(img, edits); err != nil {
		return nil, Quota{}, err
	}
	if err := s.checkEdits(ctx, blank, img); err != nil {
		return nil, Quota{}, err
	}
	if err := s.svc.policy.Check(ctx, s.caller, policy.AddImage, policy.ForImage(img, "")); err != nil {
		return nil, Quota{}, err
	}
	if err := s.svc.checkQuotas(blank, img); err != nil {
		return nil, Quota{}, err
	}
	quota, err := s.svc.quotaOf(ctx, img.Owner)
	return img, quota, err
}

// Get returns an image. Errors: image.ErrNotFound, also for what the caller may not see.
func (s *Session) Get(ctx context.Context, id image.ID) (img *image.Image, err error) {
	defer s.recordRefusal(ctx, events.ImageObject, string(id), &err)
	img, err = s.permitted(ctx, id, policy.GetImage)
	if err == nil {
		s.shown(ctx, img)
	}
	return img, err
}

// List returns a page of the images that the caller sees. Errors: image.ErrForbidden, image.ErrInvalid for an unknown marker.
func (s *Session) List(ctx context.Context, q image.Query) (page []*image.Image, err error) {
	defer s.recordRefusal(ctx, events.ImageObject, "", &err)
	if err := s.svc.policy.Check(ctx, s.caller, policy.GetImages, policy.ForProject(s.caller.ProjectID)); err != nil {
		return nil, err
	}
	q.Caller = s.caller
	if !s.mayFilter(ctx, q) {
		return nil, nil
	}
	err = s.svc.db.View(ctx, func(tx metadata.Tx) error {
		page, err = tx.Images(q)
		return err
	})
	if err == nil {
		s.shown(ctx, page...)
	}
	return page, err
}

// mayFilter reports whether the caller may read every property that the query looks at: nobody has, for him, what he may
// not read.
func (s *Session) mayFilter(ctx context.Context, q image.Query) bool {
	rights := s.svc.protections.For(s.caller)
	return !slices.ContainsFunc(q.Filters, func(f image.Filter) bool {
		return f.Property != "" && !rights.May(ctx, policy.Read, f.Property)
	})
}

// Edit applies the edits in their order, all or none, and returns the image as it is then.
// Errors: those of image.Image.Apply, image.ErrNotFound, image.ErrForbidden, image.ErrTooLarge over a quota.
func (s *Session) Edit(ctx context.Context, id image.ID, edits []image.Edit) (*image.Image, error) {
	relocates := slices.ContainsFunc(edits, locates)
	if relocates {
		leave, err := s.svc.cloning.enter(ctx, id, aRemoval)
		if err != nil {
			return nil, err
		}
		defer leave()
	}
	var r *relocation
	img, err := s.changeAndSave(ctx, id, events.Change, policy.ModifyImage, func(seen, img *image.Image) (bool, error) {
		r = &relocation{Session: s, seen: seen}
		if err := r.apply(ctx, img, edits); err != nil {
			return false, err
		}
		if err := s.checkEdits(ctx, seen, img); err != nil {
			return false, err
		}
		return len(edits) > 0, s.svc.checkQuotas(seen, img)
	}, func(seen, img *image.Image, done *trace) error {
		if relocates {
			return r.save(ctx, img, done)
		}
		return s.save(ctx, seen, img, done)
	})
	if err != nil {
		return img, err
	}
	if relocates {
		r.tell(ctx, img)
	}
	s.shown(ctx, img)
	return img, nil
}

// AddTag gives the image a tag; a tag that it has already is no error.
func (s *Session) AddTag(ctx context.Context, id image.ID, tag string) error {
	if err := image.CheckTag(tag); err != nil {
		return err
	}
	_, err := s.change(ctx, id, events.Change, policy.ModifyImage, func(img *image.Image) (bool, error) {
		at, have := slices.BinarySearch(img.Tags, tag)
		if have {
			return false, nil
		}
		before := img.Clone()
		img.Tags = slices.Insert(img.Tags, at, tag)
		return true, cmp.Or(img.CheckText(), s.svc.checkQuotas(before, img))
	})
	return err
}

// RemoveTag takes a tag away. Errors: image.ErrNotFound also when the image has no such tag.
func (s *Session) RemoveTag(ctx context.Context, id image.ID, tag string) error {
	_, err := s.change(ctx, id, events.Change, policy.ModifyImage, func(img *image.Image) (bool, error) {
		at, have := slices.BinarySearch(img.Tags, tag)
		if !have {
			return false, image.Errorf(image.ErrNotFound, "Image %s has no tag %q", id, tag)
		}
		img.Tags = slices.Delete(img.Tags, at, at+1)
		return true, nil
	})
	return err
}

// Deactivate stops downloads for all but admins. Errors: image.ErrForbidden when the image is not active.
func (s *Session) Deactivate(ctx context.Context, id image.ID) error {
	return s.switchTo(ctx, id, events.Deactivate, policy.Deactivate, image.Deactivated)
}

// Reactivate allows downloads again. Errors: image.ErrForbidden when the image is not deactivated.
func (s *Session) Reactivate(ctx context.Context, id image.ID) error {
	return s.switchTo(ctx, id, events.Reactivate, policy.Reactivate, image.Active)
}

// switchTo changes the status if the rule allows it, which has the name of the verb.
func (s *Session) switchTo(ctx context.Context, id image.ID, action events.Action, verb string, to image.Status) error {
	_, err := s.change(ctx, id, action, verb, func(img *image.Image) (bool, error) {
		if img.Status != image.Active && img.Status != image.Deactivated {
			return false, image.Errorf(image.ErrForbidden, "Not allowed to %s an image in status '%s'", verb, img.Status)
		}
		if img.Status == to {
			return false, nil
		}
		if len(img.Locations) == 0 { // of data that was refused when it was examined
			return false, image.Errorf(image.ErrForbidden, "Image %s has no data any more: not allowed to %s it.", id, verb)
		}
		return true, img.SetStatus(to)
	})
	return err
}

// change loads an image with which the rule allows the caller to do so, lets fn change it, and saves it if fn says that it
// did. fn is called again when somebody else changed the image meanwhile. The action is what it is in the audit log.
func (s *Session) change(ctx context.Context, id image.ID, action events.Action, rule string, fn func(*image.Image) (bool, error)) (*image.Image, error) {
	return s.changeAndSave(ctx, id, action, rule, func(_, img *image.Image) (bool, error) { return fn(img) },
		func(seen, img *image.Image, done *trace) error { return s.save(ctx, seen, img, done) })
}

// save records an image that was seen before.
func (s *Session) save(ctx context.Context, seen, img *image.Image, done *trace) error {
	return s.svc.db.Update(ctx, func(tx metadata.WriteTx) error {
		*done = trace{}
		if _, err := s.unchanged(tx, seen); err != nil {
			return err
		}
		return done.save(tx, img, seen.Status)
	})
}

// changeAndSave is like change, with another way to save.
func (s *Session) changeAndSave(ctx context.Context, id image.ID, action events.Action, rule string, fn func(seen, img *image.Image) (bool, error),
	save func(seen, img *image.Image, done *trace) error) (img *image.Image, err error) {
	act := onImage(action, id)
	defer s.record(ctx, act, &err)
	var done trace
	err = retry(ctx, func() error {
		seen, err := s.permitted(ctx, id, rule)
		if err != nil {
			return err
		}
		img = seen.Clone()
		changed, err := fn(seen, img)
		if s.svc.audit != nil {
			act.Changes = events.Changes(seen, img) // also what is refused
		}
		if err != nil || !changed {
			return err
		}
		img.UpdatedAt = s.svc.timestamp()
		return save(seen, img, &done)
	})
	if err == nil && done.img != nil {
		s.svc.follow(ctx, done)
		s.svc.tellImage(ctx, events.ImageUpdate, done.img)
	}
	return img, err
}

// checkQuotas refuses properties and tags that are added beyond a limit. What an image has already it keeps when the limit
// is lowered, and may give away in parts.
func (s *Service) checkQuotas(before, after *image.Image) error {
	if n := countProperties(after); s.limits.Properties >= 0 && n > s.limits.Properties {
		for name := range after.Properties {
			if _, had := before.Properties[name]; !had {
				return &image.QuotaError{Resource: "image_property_quota", Limit: int64(s.limits.Properties), Attempted: int64(n)}
			}
		}
	}
	if n := len(after.Tags); s.limits.Tags >= 0 && n > s.limits.Tags {
		for _, tag := range after.Tags {
			if !slices.Contains(before.Tags, tag) {
				return &image.QuotaError{Resource: "image_tag_quota", Limit: int64(s.limits.Tags), Attempted: int64(n)}
			}
		}
	}
	return nil
}

// countProperties counts those that are not the server's own.
func countProperties(img *image.Image) (n int) {
	for name := range img.Properties {
		if !image.IsBookkeeping(name) {
			n++
		}
	}
	return n
}
