package filestore

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/vitrine-image/vitrine/image"
	"golang.org/x/sys/unix"
)

// refusals are the answers of a file system that works and takes no more, in our words.
var refusals = []struct {
	err  error
	kind error
}{
	{unix.ENOSPC, image.ErrStoreFull},
	{unix.EDQUOT, image.ErrStoreFull},
	{unix.EFBIG, image.ErrStoreFull}, // a file system or limit that takes no larger files
	{unix.EROFS, image.ErrStoreReadOnly},
}

// exhausted say that this process or machine cannot open anything now. They tell nothing of the store.
var exhausted = []error{unix.EMFILE, unix.ENFILE, unix.ENOMEM, fs.ErrClosed} // the last: the directory was given up meanwhile

// unreachable say that the store cannot be worked on now, perhaps only in this place.
var unreachable = append([]error{fs.ErrPermission, unix.ESTALE, unix.ENOTCONN, unix.ENODEV, unix.EIO, unix.ETIMEDOUT}, exhausted...)

func isOneOf(err error, list []error) bool {
	return slices.ContainsFunc(list, func(e error) bool { return errors.Is(err, e) })
}

// failure wraps an error that work in the directory d met, whose root was r, and takes the directory offline if it is gone.
func (s *Store) failure(d *directory, r *root, err error) error {
	for _, e := range refusals {
		if errors.Is(err, e.err) {
			return fmt.Errorf("store %s: %w: %w", s.id, e.kind, err)
		}
	}
	if s.gone(d, r) || isOneOf(err, unreachable) {
		return fmt.Errorf("store %s: %w: %w", s.id, image.ErrStoreOffline, err)
	}
	return fmt.Errorf("store %s: %w", s.id, err)
}

// unreadable wraps an error at looking for one object or opening it. As long as the directory itself can be read, only this
// object is lost, whatever the reason: its file is missing, is no file, may not be read, or lies on bad blocks.
func (s *Store) unreadable(d *directory, r *root, err error) error {
	kind := image.ErrDataMissing
	if isOneOf(err, exhausted) || s.gone(d, r) {
		kind = image.ErrStoreOffline
	}
	return fmt.Errorf("store %s: %w: %w", s.id, kind, err)
}
