//go:build ceph

package rbd

import (
	"context"

	"github.com/ceph/go-ceph/rbd"
)

// Snapshot makes a snapshot. Errors: ErrExists.
func (i *Image) Snapshot(ctx context.Context, name string) error {
	return i.do(ctx, "make snapshot "+name+" of image", func(img *rbd.Image) error {
		_, err := img.CreateSnapshot(name)
		return err
	})
}

// Protect keeps a snapshot from being removed, so that it can be cloned.
func (i *Image) Protect(ctx context.Context, name string) error {
	return i.do(ctx, "protect snapshot "+name+" of image", func(img *rbd.Image) error { return img.GetSnapshot(name).Protect() })
}

// Unprotect takes that back. Errors: ErrBusy when it has clones, in whichever pool.
func (i *Image) Unprotect(ctx context.Context, name string) error {
	return i.do(ctx, "unprotect snapshot "+name+" of image", func(img *rbd.Image) error { return img.GetSnapshot(name).Unprotect() })
}

// RemoveSnapshot removes a snapshot that is not protected. Errors: ErrBusy when it is.
func (i *Image) RemoveSnapshot(ctx context.Context, name string) error {
	return i.do(ctx, "remove snapshot "+name+" of image", func(img *rbd.Image) error { return img.GetSnapshot(name).Remove() })
}

// A SnapshotInfo tells about a snapshot.
type SnapshotInfo struct {
	Name      string
	Size      int64
	Protected bool
}

// Snapshots returns the snapshots of the image, the oldest first.
func (i *Image) Snapshots(ctx context.Context) ([]SnapshotInfo, error) {
	return with(ctx, i, "list the snapshots of image", func(img *rbd.Image) (list []SnapshotInfo, err error) {
		snapshots, err := img.GetSnapshotNames()
		for _, s := range snapshots {
			info := SnapshotInfo{Name: s.Name, Size: int64(s.Size)}
			if err == nil {
				info.Protected, err = img.GetSnapshot(s.Name).IsProtected()
			}
			list = append(list, info)
		}
		return list, err
	})
}

// Children returns the clones of a snapshot, as pool/image. Errors: ErrDenied when some lie in pools that the user may
// not read.
func (i *Image) Children(ctx context.Context, snapshot string) ([]string, error) {
	return with(ctx, i, "list the clones of image", func(img *rbd.Image) (names []string, err error) {
		id, err := img.GetId()
		if err != nil {
			return nil, err
		}
		io, err := i.session.pool(i.pool.name)
		if err != nil {
			return nil, err
		}
		at, err := rbd.OpenImageByIdReadOnly(io, id, snapshot)
		if err != nil {
			return nil, err
		}
		defer at.Close()
		pools, images, err := at.ListChildren()
		for n := range min(len(pools), len(images)) {
			names = append(names, pools[n]+"/"+images[n])
		}
		return names, err
	})
}
