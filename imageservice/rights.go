package imageservice

import (
	"errors"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadata"
)

// visible returns the image if the caller may know of it, and image.ErrNotFound otherwise.
func (s *Session) visible(tx metadata.Tx, id image.ID) (*image.Image, error) {
	img, err := tx.Image(id)
	if err != nil {
		return nil, notFound(id, err)
	}
	var failed error
	isMember := func() bool {
		member, err := tx.IsMember(img.Number, s.caller.ProjectID)
		failed = err
		return member
	}
	if !s.caller.CanSee(img, isMember) {
		if failed != nil {
			return nil, failed
		}
		return nil, notFound(id, image.ErrNotFound)
	}
	return img, nil
}

// writable returns the image if the caller may change it: its owner's project and admins may.
// Errors: image.ErrNotFound when he may not even see it, image.ErrForbidden.
func (s *Session) writable(tx metadata.Tx, id image.ID) (*image.Image, error) {
	img, err := s.visible(tx, id)
	if err != nil {
		return nil, err
	}
	if s.caller.Anonymous || !s.caller.IsAdmin() && img.Owner != s.caller.ProjectID {
		return nil, image.Errorf(image.ErrForbidden, "You are not permitted to change image %s.", id)
	}
	return img, nil
}

// checkEdits refuses what only admins may do: give an image away, or make it public.
func (s *Session) checkEdits(before, after *image.Image) error {
	if s.caller.IsAdmin() {
		return nil
	}
	if after.Owner != before.Owner {
		return image.Errorf(image.ErrForbidden, "You are not permitted to set the owner of an image to another project.")
	}
	if after.Visibility == image.Public && before.Visibility != image.Public {
		return image.Errorf(image.ErrForbidden, "You are not permitted to make an image public.")
	}
	return nil
}

func notFound(id image.ID, err error) error {
	if errors.Is(err, image.ErrNotFound) {
		return image.Errorf(image.ErrNotFound, "No image found with ID %s", id)
	}
	return err
}
