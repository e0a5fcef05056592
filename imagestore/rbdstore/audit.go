//go:build ceph

package rbdstore

import (
	"context"
	"errors"

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
		f := imagestore.Finding{Path: s.path(name), Foreign: "RBD image that is no object"}
		if imagestore.IsObjectName(name) {
			size, kind, err := s.inspect(ctx, name)
			if errors.Is(err, rbd.ErrNotFound) || err == nil && kind == unfinished {
				continue
			}
			if err != nil {
				return s.failure(err)
			}
			if f.Bytes, f.Foreign = size, kind; kind == "" {
				f.Location = s.location(fsid, name)
			}
		}
		if err := found(f); err != nil {
			return err
		}
	}
	return nil
}

const unfinished = "unfinished"

// inspect returns the size of an object, or why an image is none.
func (s *Store) inspect(ctx context.Context, name string) (size int64, kind string, err error) {
	img, err := s.pool.Open(ctx, name, "", rbd.Unnoticed)
	if err != nil {
		return 0, "", err
	}
	defer img.Close(ctx)
	if text, err := img.Noted(ctx, noteUnfinished); err != nil || text != "" {
		return 0, unfinished, err
	}
	snapshots, err := img.Snapshots(ctx)
	for _, sn := range snapshots {
		if sn.Name == snapshot {
			return sn.Size, "", err
		}
	}
	return img.Size(), "RBD image without the snapshot " + snapshot, err
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
