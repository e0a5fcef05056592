package filestore

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/vitrine-image/vitrine/image"
	"golang.org/x/sys/unix"
)

// errnos are what the file system says, in our words.
var errnos = []struct {
	err  error
	kind error
}{
	{unix.ENOSPC, image.ErrStoreFull},
	{unix.EDQUOT, image.ErrStoreFull},
	{unix.EFBIG, image.ErrStoreFull}, // a file system or limit that takes no larger files
	{unix.EROFS, image.ErrStoreReadOnly},
	{fs.ErrPermission, image.ErrStoreOffline},
	{fs.ErrClosed, image.ErrStoreOffline}, // the directory was given up meanwhile
	{unix.ESTALE, image.ErrStoreOffline},
	{unix.ENOTCONN, image.ErrStoreOffline},
	{unix.ENODEV, image.ErrStoreOffline},
}

// failure wraps an error of the file system that r is on, and takes the directory offline if it is gone.
func (s *Store) failure(d *directory, r *root, err error) error {
	s.lost(d, r, err)
	for _, e := range errnos {
		if errors.Is(err, e.err) {
			return fmt.Errorf("store %s: %w: %w", s.id, e.kind, err)
		}
	}
	return fmt.Errorf("store %s: %w", s.id, err)
}
