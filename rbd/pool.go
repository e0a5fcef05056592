//go:build ceph

package rbd

import (
	"context"
	"encoding/json"
	"fmt"
	"math/bits"
	"time"

	"github.com/ceph/go-ceph/rados"
	"github.com/ceph/go-ceph/rbd"
)

// A Pool is one pool of a cluster.
type Pool struct {
	cluster *Cluster
	name    string
}

// Pool returns a pool by its name. Whether it exists shows when it is used.
func (c *Cluster) Pool(name string) *Pool { return &Pool{c, name} }

// features are what a new image has: clones of it can be made and made independent; what of it exists is known.
const features = rbd.FeatureLayering | rbd.FeatureExclusiveLock | rbd.FeatureObjectMap | rbd.FeatureFastDiff | rbd.FeatureDeepFlatten

// trashObject is the list of what is in the trash. librbd moves there what it removes, and makes the list when it needs
// it first, which fails (with ENOENT) in a pool that is full: then nothing could be removed to make room.
const trashObject = "rbd_trash"

// in calls fn with the pool's context.
func in[T any](ctx context.Context, p *Pool, act string, fn func(*rados.IOContext) (T, error)) (T, error) {
	return use(ctx, p.cluster, func(s *session) (T, error) {
		io, err := s.pool(p.name)
		if err != nil {
			var none T
			return none, err
		}
		v, err := fn(io)
		return v, named(act, err, ErrNotFound)
	})
}

// do is in for what returns nothing.
func (p *Pool) do(ctx context.Context, act string, fn func(*rados.IOContext) error) error {
	_, err := in(ctx, p, act, func(io *rados.IOContext) (struct{}, error) { return struct{}{}, fn(io) })
	return err
}

// Create makes an image of zeros whose data lies in objects of the given number of bytes, a power of two.
// Errors: ErrExists.
func (p *Pool) Create(ctx context.Context, name string, size, objectSize int64) error {
	return p.do(ctx, "create image "+name, func(io *rados.IOContext) error {
		options, err := optionsOf(io)
		if err != nil {
			return err
		}
		defer options.Destroy()
		if err := options.SetUint64(rbd.ImageOptionOrder, uint64(bits.TrailingZeros64(uint64(objectSize)))); err != nil {
			return err
		}
		return rbd.CreateImage(io, name, uint64(size), options)
	})
}

// optionsOf returns those of a new image in a pool, which it prepares. Destroy them.
func optionsOf(io *rados.IOContext) (*rbd.ImageOptions, error) {
	if err := io.Create(trashObject, rados.CreateIdempotent); err != nil {
		return nil, err
	}
	options := rbd.NewRbdImageOptions()
	if err := options.SetUint64(rbd.ImageOptionFeatures, features); err != nil {
		options.Destroy()
		return nil, err
	}
	return options, nil
}

// List returns the names of all images, without those in the trash.
func (p *Pool) List(ctx context.Context) ([]string, error) {
	return in(ctx, p, "list pool "+p.name, rbd.GetImageNames)
}

// Rename gives an image another name, in one step for all who look for either. Close the image before: librbd aborts the process when
// one that it has open for writing is renamed. Errors: ErrNotFound, ErrExists when another image has that name.
func (p *Pool) Rename(ctx context.Context, from, to string) error {
	return p.do(ctx, "rename image "+from+" to "+to, func(io *rados.IOContext) error { return rbd.GetImage(io, from).Rename(to) })
}

// Remove removes an image that nobody has open. Errors: ErrNotFound, ErrBusy, ErrSnapshots.
func (p *Pool) Remove(ctx context.Context, name string) error {
	return p.do(ctx, "remove image "+name, func(io *rados.IOContext) error { return rbd.RemoveImage(io, name) })
}

// Trash moves an image to the trash, from which it can be removed when the delay is over. Those who have it open, and
// its clones, do not notice.
func (p *Pool) Trash(ctx context.Context, name string, delay time.Duration) error {
	return p.do(ctx, "move image "+name+" to the trash", func(io *rados.IOContext) error { return rbd.GetImage(io, name).Trash(delay) })
}

// A Trashed is an image in the trash.
type Trashed struct{ ID, Name string }

// Trashed returns what is in the trash.
func (p *Pool) Trashed(ctx context.Context) ([]Trashed, error) {
	return in(ctx, p, "list the trash of pool "+p.name, func(io *rados.IOContext) (list []Trashed, err error) {
		infos, err := rbd.GetTrashList(io)
		for _, t := range infos {
			list = append(list, Trashed{t.Id, t.Name})
		}
		return list, err
	})
}

// RemoveTrashed removes an image from the trash for good. Errors: as Remove.
func (p *Pool) RemoveTrashed(ctx context.Context, id string) error {
	return p.do(ctx, "remove image "+id+" from the trash", func(io *rados.IOContext) error { return rbd.TrashRemove(io, id, false) })
}

// Space is what a pool has, in bytes of data, with its copies and its quota taken into account.
type Space struct{ Total, Free int64 }

// Space asks the monitors for the pool's space.
func (p *Pool) Space(ctx context.Context) (Space, error) {
	return use(ctx, p.cluster, func(s *session) (Space, error) {
		if _, err := s.pool(p.name); err != nil {
			return Space{}, err
		}
		answer, _, err := s.conn.MonCommand([]byte(`{"prefix":"df","detail":"detail","format":"json"}`))
		if err != nil {
			return Space{}, named("ask for the space of pool "+p.name, err, ErrNotFound)
		}
		return spaceOf(p.name, answer)
	})
}

// spaceOf reads the answer to the command df.
func spaceOf(pool string, answer []byte) (Space, error) {
	var df struct {
		Pools []struct {
			Name  string
			Stats struct {
				Stored     int64
				MaxAvail   int64 `json:"max_avail"`
				QuotaBytes int64 `json:"quota_bytes"`
			}
		}
	}
	if err := json.Unmarshal(answer, &df); err != nil {
		return Space{}, fmt.Errorf("the answer to ceph df: %w", err)
	}
	for _, p := range df.Pools {
		if p.Name != pool {
			continue
		}
		s := Space{Total: p.Stats.Stored + p.Stats.MaxAvail, Free: p.Stats.MaxAvail}
		if q := p.Stats.QuotaBytes; q > 0 && q < s.Total {
			s = Space{Total: q, Free: max(0, q-p.Stats.Stored)}
		}
		return s, nil
	}
	return Space{}, fmt.Errorf("the answer to ceph df: %w: %s", ErrNoPool, pool)
}
