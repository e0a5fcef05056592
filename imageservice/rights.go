package imageservice

import (
	"context"
	"errors"
	"reflect"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadata"
	"github.com/vitrine-image/vitrine/policy"
)

// What a caller may see is decided by the database: who owns an image and whom it is shared with. What he may do with it
// is decided by the rules of package policy, which may ask a server on the network: never inside a transaction. So a verb
// loads the image, asks, works out what should become of it, and saves that if the image is still what it was.

// load returns the image if the caller may know of it, and the caller's project if the image is shared with it.
// Errors: image.ErrNotFound.
func (s *Session) load(tx metadata.Tx, id image.ID) (img *image.Image, member string, err error) {
	img, err = tx.Image(id)
	if err != nil {
		return nil, "", notFound(id, err)
	}
	var failed error
	isMember := func() bool {
		is, err := tx.IsMember(img.Number, s.caller.ProjectID)
		if failed = err; is {
			member = s.caller.ProjectID
		}
		return is
	}
	if !s.caller.CanSee(img, isMember) {
		if failed != nil {
			return nil, "", failed
		}
		return nil, "", notFound(id, image.ErrNotFound)
	}
	return img, member, nil
}

// permitted returns the image if the caller may know of it, and the rules allow him what he wants to do with it.
// Errors: image.ErrNotFound when he may not even see it, image.ErrForbidden.
func (s *Session) permitted(ctx context.Context, id image.ID, rules ...string) (*image.Image, error) {
	var img *image.Image
	var member string
	err := s.svc.db.View(ctx, func(tx metadata.Tx) (err error) {
		img, member, err = s.load(tx, id)
		return err
	})
	if err != nil {
		return nil, err
	}
	return img, s.check(ctx, img, member, rules...)
}

// check asks the rules about an image that the caller knows of; see permitted.
func (s *Session) check(ctx context.Context, img *image.Image, member string, rules ...string) error {
	target := policy.ForImage(img, member)
	for _, rule := range rules {
		err := s.svc.policy.Check(ctx, s.caller, rule, target)
		if err == nil {
			continue
		}
		if !s.svc.policy.Allows(ctx, s.caller, policy.GetImage, target) {
			return notFound(img.ID, image.ErrNotFound)
		}
		return err
	}
	return nil
}

// errChanged says that an image is not any more what was asked about.
var errChanged = errors.New("the image was changed meanwhile")

// unchanged returns the image as the database has it now, if it is what the caller saw. Errors: errChanged, and those of load.
func (s *Session) unchanged(tx metadata.Tx, seen *image.Image) (*image.Image, error) {
	img, _, err := s.load(tx, seen.ID)
	if err == nil && !reflect.DeepEqual(img, seen) {
		return nil, errChanged
	}
	return img, err
}

// retry calls try until the image does not change under it. Somebody succeeds each time, so this ends.
func retry(ctx context.Context, try func() error) error {
	for {
		err := try()
		if !errors.Is(err, errChanged) {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// checkEdits asks for the rights that single edits need: only admins give images away, and what is published needs a rule.
func (s *Session) checkEdits(ctx context.Context, before, after *image.Image) error {
	if after.Owner != before.Owner && !s.caller.IsAdmin() {
		return image.Errorf(image.ErrForbidden, "You are not permitted to set the owner of an image to another project.")
	}
	if after.Visibility != before.Visibility {
		rule := map[image.Visibility]string{image.Public: policy.PublicizeImage, image.Community: policy.CommunitizeImage}[after.Visibility]
		if rule != "" {
			if err := s.svc.policy.Check(ctx, s.caller, rule, policy.ForImage(after, "")); err != nil {
				return err
			}
		}
	}
	return s.checkProperties(ctx, before, after)
}

// checkProperties asks the property protections about what the edits do.
func (s *Session) checkProperties(ctx context.Context, before, after *image.Image) error {
	rights := s.svc.protections.For(s.caller)
	for name, value := range after.Properties {
		was, had := before.Properties[name]
		switch {
		case !had:
			if err := rights.Check(ctx, policy.Create, name); err != nil {
				return err
			}
		case was != value:
			if err := rights.Check(ctx, policy.Update, name); err != nil {
				return err
			}
		}
	}
	for name := range before.Properties {
		if _, has := after.Properties[name]; !has {
			if err := rights.Check(ctx, policy.Delete, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// shown leaves out what the caller may not read of images that are his to keep.
func (s *Session) shown(ctx context.Context, images ...*image.Image) {
	rights := s.svc.protections.For(s.caller)
	for _, img := range images {
		img.Properties = rights.Readable(ctx, img.Properties)
	}
}

func notFound(id image.ID, err error) error {
	if errors.Is(err, image.ErrNotFound) {
		return image.Errorf(image.ErrNotFound, "No image found with ID %s", id)
	}
	return err
}
