//go:build ceph

package rbdstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/rbd"
)

// unfinishedClone begins the names of clones that are being made. No volume that anybody asks for has such a name.
const unfinishedClone = "vitrine~unfinished~"

// ClonePools implements imagestore.Cloner.
func (s *Store) ClonePools() []string { return slices.Clone(s.clonePools) }

// Clone implements imagestore.Cloner. The volume gets its name last: what has it is a whole clone of its whole size. A cluster that
// goes away in the middle leaves what a sweep removes.
func (s *Store) Clone(ctx context.Context, loc image.Location, want image.NewClone) (made image.Clone, err error) {
	if !slices.Contains(s.clonePools, want.Pool) {
		return made, image.Errorf(image.ErrForbidden, "Store %q makes no clones in pool %q: clone_pools in its configuration must name the pool.",
			s.id, want.Pool)
	}
	parent, err := s.openAt(ctx, loc)
	if err != nil {
		return made, err
	}
	defer s.images.put(parent)
	least := parent.img.Size()
	made = image.Clone{Store: s.id, Location: "rbd:" + want.Pool + "/" + want.Name, Size: cmp.Or(want.Size, least), Parent: parent.img.String()}
	if least == 0 { // librbd calls that invalid
		return made, image.Errorf(image.ErrConflict, "The image has no data: a clone of it cannot be made.")
	}
	if made.Size < least {
		return made, image.Errorf(image.ErrInvalid, "A clone of %d bytes is too small: the image has %d.", made.Size, least)
	}
	if err := ctx.Err(); err != nil {
		return made, err
	}
	ctx = context.WithoutCancel(ctx)
	pool, unnamed := s.cluster.Pool(want.Pool), unfinishedClone+string(image.NewID())
	if err = s.pool.Clone(ctx, parent.name, snapshot, pool, unnamed); err == nil {
		if err = s.finishClone(ctx, pool, unnamed, want.Name, made.Size); err != nil {
			s.discardClone(ctx, pool, unnamed)
		}
	}
	return made, s.cloneFailure(err, want)
}

// finishClone gives a clone its size and its name.
func (s *Store) finishClone(ctx context.Context, pool *rbd.Pool, unnamed, name string, size int64) error {
	img, err := pool.Open(ctx, unnamed, "", rbd.Writable)
	if err != nil {
		return err
	}
	if size != img.Size() {
		if err = img.Resize(ctx, size); errors.Is(err, rbd.ErrInvalid) {
			err = image.Errorf(image.ErrInvalid, "An image of %d bytes is more than Ceph can make.", size)
		}
	}
	if err = errors.Join(err, img.Close(ctx)); err != nil {
		return err
	}
	return pool.Rename(ctx, unnamed, name)
}

func (s *Store) discardClone(ctx context.Context, pool *rbd.Pool, unnamed string) {
	if err := unlessGone(pool.Remove(ctx, unnamed)); err != nil {
		s.log.Warn("could not remove a clone that was not finished", "path", unnamed, "error", err)
	}
}

// cloneFailure is failure for what concerns the pool of a clone.
func (s *Store) cloneFailure(err error, want image.NewClone) error {
	var told error
	switch {
	case err == nil || errors.Is(err, image.ErrInvalid):
		return err
	case errors.Is(err, rbd.ErrNoPool):
		told = image.Errorf(image.ErrConflict, "The cluster of store %q has no pool %q.", s.id, want.Pool)
	case errors.Is(err, rbd.ErrExists):
		told = image.Errorf(image.ErrConflict, "There is an image %q in pool %q already.", want.Name, want.Pool)
	case errors.Is(err, rbd.ErrDenied):
		told = image.Errorf(image.ErrForbidden, "client.%s may not make images in pool %q. Give it the right: %s", s.user, want.Pool, s.capsCommand())
	case errors.Is(err, rbd.ErrFull):
		told = image.Errorf(image.ErrStoreFull, "There is no space left in pool %q.", want.Pool)
	case errors.Is(err, rbd.ErrInvalid):
		told = image.Errorf(image.ErrConflict, "The image in store %q cannot be cloned: its snapshot %s is not protected.", s.id, snapshot)
	default:
		return s.failure(err)
	}
	return fmt.Errorf("%w (%w)", told, err)
}

// capsCommand returns the command that gives the store's user all rights that the store needs.
func (s *Store) capsCommand() string {
	var profiles []string
	for _, pool := range append([]string{s.name}, s.clonePools...) {
		profiles = append(profiles, "profile rbd pool="+pool)
	}
	all := strings.Join(profiles, ", ")
	return fmt.Sprintf("ceph auth caps client.%s mon 'profile rbd' osd '%s' mgr '%s'", s.user, all, all)
}

// sweepClones removes what the making of clones has left. What was not there for long another daemon may be making: it is a suspect.
func (s *Store) sweepClones(ctx context.Context, before map[string]time.Time) (removed int, err error) {
	var failed []error
	for _, pool := range s.clonePools {
		names, err := s.cluster.Pool(pool).List(ctx)
		for _, name := range names {
			if !strings.HasPrefix(name, unfinishedClone) || !s.convict(name, before) {
				continue
			}
			if err = unlessGone(s.cluster.Pool(pool).Remove(ctx, name)); err != nil {
				break
			}
			removed++
		}
		if err != nil {
			failed = append(failed, s.failure(err))
		}
	}
	return removed, errors.Join(failed...)
}
