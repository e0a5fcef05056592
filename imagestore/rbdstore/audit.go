//go:build ceph

package rbdstore

import (
	"context"
	"errors"
	"strings"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/rbd"
)

// Audit implements imagestore.Auditor. Images whose upload is under way are no findings.
func (s *Store) Audit(ctx context.Context, found func(imagestore.Finding) error) error {
	fsid, err := s.identity(ctx)
	if err != nil {
		return err
	}
	names, err := s.pool.List(ctx)
	if err != nil {
		return s.failure(err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, uploadPrefix) {
			continue
		}
		f, err := s.inspect(ctx, fsid, name)
		if errors.Is(err, rbd.ErrNotFound) {
			continue
		}
		if err != nil {
			return s.failure(err)
		}
		if err := found(f); err != nil {
			return err
		}
	}
	return nil
}

// inspect tells what an image is: data, whoever put it there, or foreign.
func (s *Store) inspect(ctx context.Context, fsid, name string) (f imagestore.Finding, err error) {
	img, err := s.pool.Open(ctx, name, "", rbd.Unnoticed)
	if err != nil {
		return f, err
	}
	defer img.Close(ctx)
	f.Path, f.Bytes, f.Foreign = s.path(name), img.Size(), "RBD image without the snapshot "+snapshot
	snapshots, err := img.Snapshots(ctx)
	for _, sn := range snapshots {
		if sn.Name == snapshot {
			f.Location, f.Bytes, f.Foreign = image.Location{Store: s.id, URL: s.url(fsid, name)}, sn.Size, ""
		}
	}
	return f, err
}

// path returns the name under which Ceph's commands know an image.
func (s *Store) path(name string) string { return s.name + "/" + name }

// Space implements imagestore.Measured, with the pool's copies and quota taken into account.
func (s *Store) Space(ctx context.Context) (imagestore.Space, error) {
	space, err := s.pool.Space(ctx)
	if err != nil {
		return imagestore.Space{}, s.failure(err)
	}
	return imagestore.Space(space), nil
}
