//go:build ceph

package rbdstore

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/rbd"
)

var _ imagestore.Adopter = (*Store)(nil)

// Schemes implements imagestore.Adopter.
func (s *Store) Schemes() []string { return []string{strings.TrimSuffix(scheme, "://")} }

// CheckURL implements imagestore.Adopter. It takes the URLs that Put gives, whatever the image is called. Errors besides that of the
// interface: image.ErrStoreOffline.
func (s *Store) CheckURL(ctx context.Context, url string) error {
	_, err := s.named(ctx, url)
	return err
}

// named returns the image that a URL names which somebody gives.
func (s *Store) named(ctx context.Context, url string) (name string, err error) {
	fsid, err := s.identity(ctx)
	if err != nil {
		return "", err
	}
	name, err = s.resolve(ctx, image.Location{Store: s.id, URL: url})
	if errors.Is(err, image.ErrDataMissing) || err == nil && s.url(fsid, name) != url {
		return "", image.Errorf(image.ErrInvalid, "The location is none of store %q: those are %s<fsid>/%s/<image>/%s.", s.id, scheme, quote(s.name), snapshot)
	}
	return name, err
}

// Adopt implements imagestore.Adopter. The image must be finished, as its snapshot tells, which is protected if it is not yet. It goes
// when its location is deleted, as one that was uploaded does.
func (s *Store) Adopt(ctx context.Context, url string) (loc image.Location, err error) {
	name, err := s.named(ctx, url)
	if err != nil {
		return loc, err
	}
	finished, protected, err := s.state(ctx, name)
	if err != nil {
		return loc, s.failure(err)
	}
	if !finished || strings.HasPrefix(name, uploadPrefix) {
		return loc, image.Errorf(image.ErrInvalid, "The RBD image at the location is not finished: it has no snapshot %q.", snapshot)
	}
	if !protected {
		err = s.protect(ctx, name)
	}
	if errors.Is(err, rbd.ErrDenied) {
		return loc, image.Errorf(image.ErrInvalid, "The snapshot at the location is not protected, and client.%s may not do so.", s.user)
	}
	if err != nil {
		return loc, s.failure(err)
	}
	img, err := s.pool.Open(ctx, name, snapshot, rbd.Unnoticed)
	if err != nil {
		return loc, s.failure(err)
	}
	return image.Location{Store: s.id, URL: url, Metadata: map[string]string{image.MetadataVersion: img.Version()}}, img.Close(ctx)
}

// state tells whether an image has its snapshot, and whether that is protected.
func (s *Store) state(ctx context.Context, name string) (finished, protected bool, err error) {
	img, err := s.pool.Open(ctx, name, "", rbd.Unnoticed)
	if err != nil {
		return false, false, err
	}
	defer img.Close(ctx)
	snapshots, err := img.Snapshots(ctx)
	at := slices.IndexFunc(snapshots, func(sn rbd.SnapshotInfo) bool { return sn.Name == snapshot })
	return at >= 0, at >= 0 && snapshots[at].Protected, err
}

func (s *Store) protect(ctx context.Context, name string) error {
	img, err := s.pool.Open(ctx, name, "", rbd.Writable)
	if err != nil {
		return err
	}
	defer img.Close(ctx)
	return img.Protect(ctx, snapshot)
}
