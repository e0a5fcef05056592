package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/commandline"
)

// An ambiguous name is that of several images.
type ambiguous struct {
	name   string
	images []*image.Image
	more   bool
}

func (e *ambiguous) Error() string {
	more := ""
	if e.more {
		more = "more than "
	}
	return fmt.Sprintf("%s%d images are called %q", more, len(e.images), e.name)
}

// candidates is how many images of the same name are shown at most.
const candidates = 20

// find returns the image that the argument means: the one with this id, or else the only one with this name. Hidden
// images are found by their name if no other image has it. Errors: image.ErrNotFound, *ambiguous.
func (a *app) find(ctx context.Context, ref string) (*image.Image, error) {
	c, err := a.client()
	if err != nil {
		return nil, err
	}
	if id, ok := image.ParseID(ref); ok {
		img, err := c.Get(ctx, id)
		if err == nil || !errors.Is(err, image.ErrNotFound) {
			return img, onImage(ref, err)
		}
	}
	for _, hidden := range []bool{false, true} {
		images, more, err := c.Page(ctx, image.Query{Hidden: hidden, Limit: candidates,
			Filters: []image.Filter{{Field: image.FieldName, Op: image.OpEqual, Strings: []string{ref}}}})
		switch {
		case err != nil:
			return nil, onImage(ref, err)
		case len(images) > 1:
			return nil, commandline.UsageError{Err: &hinted{&ambiguous{ref, images, more}, "give the id of one"}}
		case len(images) == 1:
			return images[0], nil
		}
	}
	return nil, image.Errorf(image.ErrNotFound, "there is no image with the name or id %q", ref)
}

// onImage says which image an error is about.
func onImage(ref string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("image %q: %w", ref, err)
}
