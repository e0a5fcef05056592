//go:build ceph

package rbdstore

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/rbd"
)

// Delete implements imagestore.Writer, for the image that the location is about and no other one of its name. What
// somebody reads, through this daemon or another one, goes to the trash, where he goes on reading it. What has clones, or
// snapshots of others, does so if the store is configured that way. What was adopted by a user who may only read stays.
// Errors besides those of the interface: image.ErrInUse.
func (s *Store) Delete(ctx context.Context, loc image.Location) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	name, err := s.resolve(ctx, loc)
	if err != nil {
		return err
	}
	s.images.forget(name)
	// It does not end in the middle: an image without its snapshot would be lost and take space.
	version := loc.Metadata[image.MetadataVersion]
	err = s.discard(context.WithoutCancel(ctx), name, version)
	var inUse *image.InUseError
	switch {
	case err == nil, errors.As(err, &inUse):
		return err
	case adopted(version) && errors.Is(err, rbd.ErrDenied):
		s.log.Warn("an image that others made stays: the user may only read", "path", s.path(name))
		return nil
	}
	return s.failure(err)
}

// discard removes the image of a name that a version tells of, and what its upload may have left before it had the name.
func (s *Store) discard(ctx context.Context, name, version string) error {
	err := s.remove(ctx, name, version)
	if err == nil && version != "" && !adopted(version) {
		err = s.remove(ctx, uploadPrefix+version, "")
	}
	return err
}

// Clones implements imagestore.Cloneable. Snapshots of others count as well.
func (s *Store) Clones(ctx context.Context, loc image.Location) ([]string, error) {
	if s.trashInUse {
		return nil, nil
	}
	name, err := s.resolve(ctx, loc)
	if err != nil {
		return nil, err
	}
	img, err := s.pool.Open(ctx, name, "", rbd.Unnoticed)
	if err != nil {
		return nil, s.failure(err)
	}
	defer img.Close(ctx)
	is, err := isOf(ctx, img, loc.Metadata[image.MetadataVersion])
	var users []string
	if err == nil && is {
		users, err = s.users(ctx, img)
	}
	if err != nil {
		return nil, s.failure(err)
	}
	return users, nil
}

// remove removes the image that a version tells of, or moves it to the trash. One that is gone is no error.
func (s *Store) remove(ctx context.Context, name, version string) error {
	uploading := strings.HasPrefix(name, uploadPrefix)
	img, err := s.pool.Open(ctx, name, "", rbd.Writable)
	if errors.Is(err, rbd.ErrNotFound) && uploading {
		// A creation that did not come to its end leaves a name without an image.
		return unlessGone(s.pool.Remove(ctx, name))
	}
	if err != nil {
		return unlessGone(err)
	}
	defer img.Close(ctx)
	if is, err := isOf(ctx, img, version); err != nil || !is {
		return err
	}
	others, own, err := img.Watchers(ctx)
	if err != nil {
		return err
	}
	if uploading && others+own > 1 {
		// Its writer has died, but holds it for half a minute more: anything done to it would wait for that.
		s.unfinished.Store(true)
		s.log.Info("left an unfinished image for the sweep", "path", s.path(name))
		return nil
	}
	users, err := s.users(ctx, img)
	if err != nil {
		return err
	}
	if len(users) > 0 && !s.trashInUse {
		return &image.InUseError{ID: image.ID(name), Users: users}
	}
	if len(users) > 0 || others > 0 || own > 1 {
		return s.trash(ctx, img, name)
	}
	return s.removeUnused(ctx, img, name)
}

// users tells what keeps the image besides readers: snapshots of others, and the clones that the user may see, or that there
// are some.
func (s *Store) users(ctx context.Context, img *rbd.Image) (users []string, err error) {
	snapshots, err := img.Snapshots(ctx)
	if err != nil {
		return nil, err
	}
	for _, sn := range snapshots {
		if sn.Name != snapshot {
			users = append(users, "has the snapshot "+sn.Name)
			continue
		}
		clones, err := img.Children(ctx, snapshot)
		if errors.Is(err, rbd.ErrDenied) {
			users, err = append(users, "cloned in a pool that client."+s.user+" may not read"), nil
		}
		if err = unlessGone(err); err != nil { // one that cannot be opened, as verify says, has no clones
			return nil, err
		}
		for _, c := range clones {
			users = append(users, "cloned as "+c)
		}
	}
	return users, nil
}

// removeUnused removes an image for which nobody was found. Who comes meanwhile sends it to the trash after all.
func (s *Store) removeUnused(ctx context.Context, img *rbd.Image, name string) error {
	err := dropSnapshots(ctx, img)
	if errors.Is(err, rbd.ErrBusy) {
		if !s.trashInUse {
			return &image.InUseError{ID: image.ID(name), Users: []string{"cloned"}}
		}
		return s.trash(ctx, img, name)
	}
	if err == nil {
		err = img.Close(ctx)
	}
	if err == nil {
		err = s.pool.Remove(ctx, name)
	}
	if errors.Is(err, rbd.ErrBusy) || errors.Is(err, rbd.ErrSnapshots) {
		again, err := s.pool.Open(ctx, name, "", rbd.Writable)
		if err != nil {
			return err
		}
		defer again.Close(ctx)
		return s.trash(ctx, again, name)
	}
	return unlessGone(err)
}

// unlessGone returns err, unless what should go was gone.
func unlessGone(err error) error {
	if errors.Is(err, rbd.ErrNotFound) {
		return nil
	}
	return err
}

// dropSnapshots removes the snapshot. Errors: rbd.ErrBusy when it has clones.
func dropSnapshots(ctx context.Context, img *rbd.Image) error {
	snapshots, err := img.Snapshots(ctx)
	if err != nil {
		return err
	}
	for _, sn := range snapshots {
		if sn.Name != snapshot {
			return fmt.Errorf("image %s has the snapshot %s: %w", img, sn.Name, rbd.ErrBusy)
		}
		if sn.Protected {
			if err := img.Unprotect(ctx, sn.Name); err != nil {
				return err
			}
		}
		if err := img.RemoveSnapshot(ctx, sn.Name); err != nil {
			return err
		}
	}
	return nil
}

// trash moves an image to the trash, with the note by which emptyTrash knows it.
func (s *Store) trash(ctx context.Context, img *rbd.Image, name string) error {
	id, err := img.ID(ctx)
	if err == nil {
		err = img.Note(ctx, noteDeleted, id)
	}
	if err == nil {
		err = img.Close(ctx)
	}
	if err == nil {
		err = s.pool.Trash(ctx, name, 0)
	}
	return err
}
