//go:build ceph

package rbd

import (
	"context"

	"github.com/ceph/go-ceph/rados"
	"github.com/ceph/go-ceph/rbd"
)

// Clone makes an image in a pool of the same cluster that shares the data of a snapshot, which must be protected, until it is
// written to. It is of the kind that the configuration of Ceph names (rbd_default_clone_format), and has objects of the same
// size. Errors: ErrExists, ErrNoPool, ErrDenied, ErrFull; ErrNotFound for the image and the snapshot, ErrInvalid for one without
// protection.
func (p *Pool) Clone(ctx context.Context, image, snapshot string, into *Pool, name string) error {
	_, err := use(ctx, p.cluster, func(s *session) (struct{}, error) {
		from, err := s.pool(p.name)
		if err != nil {
			return struct{}{}, err
		}
		to, err := s.pool(into.name)
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, named("clone image "+p.name+"/"+image+"@"+snapshot, clone(from, image, snapshot, to, name), ErrNotFound)
	})
	return err
}

func clone(from *rados.IOContext, image, snapshot string, to *rados.IOContext, name string) error {
	options, err := optionsOf(to)
	if err != nil {
		return err
	}
	defer options.Destroy()
	return rbd.CloneImage(from, image, snapshot, to, name, options)
}
