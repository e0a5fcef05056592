//go:build ceph

package rbd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"syscall"

	"github.com/ceph/go-ceph/rados"
	"github.com/ceph/go-ceph/rbd"
)

// A Mode says what an image is opened for.
type Mode int

const (
	// Watched is for reading, and tells the cluster of it: others find the image in use. The user needs the rights to write.
	Watched Mode = iota
	// Unnoticed is for reading by users who may do nothing else.
	Unnoticed
	// Writable is for writing.
	Writable
)

// An Image is an open image, or a snapshot of one. It is safe for concurrent use; close it.
type Image struct {
	pool     *Pool
	session  *session
	name     string
	snapshot string
	mode     Mode
	opened   state // of a snapshot when it was opened

	size   int64
	stripe int64 // bytes in a row that lie in one object

	mu   sync.RWMutex // held for reading by every call that uses img
	img  *rbd.Image   // nil when closed
	once sync.Once
}

// A state is what tells whether a snapshot is still the same, with all its data.
type state struct {
	image     string // id
	snapshot  uint64 // id
	protected bool
}

// Open opens an image, or the snapshot of it if one is named. Errors: ErrNotFound, ErrNoPool; ErrDenied when the user's
// rights do not allow the mode.
func (p *Pool) Open(ctx context.Context, name, snapshot string, mode Mode) (*Image, error) {
	return p.open(ctx, name, snapshot, mode, func(io *rados.IOContext) (*rbd.Image, error) {
		if mode == Unnoticed {
			return rbd.OpenImageReadOnly(io, name, snapshot)
		}
		return rbd.OpenImage(io, name, snapshot)
	})
}

// OpenTrashed opens an image in the trash for writing.
func (p *Pool) OpenTrashed(ctx context.Context, id string) (*Image, error) {
	return p.open(ctx, id, "", Writable, func(io *rados.IOContext) (*rbd.Image, error) { return rbd.OpenImageById(io, id, "") })
}

func (p *Pool) open(ctx context.Context, name, snapshot string, mode Mode, open func(*rados.IOContext) (*rbd.Image, error)) (*Image, error) {
	s, err := p.cluster.acquire(ctx)
	if err != nil {
		return nil, err
	}
	i := &Image{pool: p, session: s, name: name, snapshot: snapshot, mode: mode}
	return call(ctx, p.cluster, func() (*Image, error) {
		io, err := s.pool(p.name)
		if err == nil {
			i.img, err = open(io)
			err = named("open image "+i.String(), err, ErrNotFound)
		}
		if err == nil {
			err = i.learn()
		}
		if err != nil {
			err = p.cluster.judge(s, err)
			i.close()
			return nil, err
		}
		return i, nil
	}, func() { p.cluster.release(s) }, func(i *Image) { i.close() })
}

// learn asks what does not change while the image is open.
func (i *Image) learn() error {
	info, err := i.img.Stat()
	if err != nil {
		return named("ask for the size of image "+i.String(), err, ErrNotFound)
	}
	stripe, err := i.img.GetStripeUnit()
	i.size, i.stripe = int64(info.Size), int64(stripe)
	if err == nil && i.snapshot != "" {
		i.opened, err = stateOf(i.img, i.snapshot)
	}
	return named("look at image "+i.String(), err, ErrNotFound)
}

func stateOf(img *rbd.Image, snapshot string) (s state, err error) {
	if s.image, err = img.GetId(); err != nil {
		return s, err
	}
	snapshots, err := img.GetSnapshotNames()
	if err != nil {
		return s, err
	}
	at := slices.IndexFunc(snapshots, func(info rbd.SnapInfo) bool { return info.Name == snapshot })
	if at < 0 {
		return s, rbd.ErrNotFound
	}
	s.snapshot = snapshots[at].Id
	s.protected, err = img.GetSnapshot(snapshot).IsProtected()
	return s, err
}

// String returns the name of the image, with that of the snapshot behind an @.
func (i *Image) String() string {
	s := i.pool.name + "/" + i.name
	if i.snapshot != "" {
		s += "@" + i.snapshot
	}
	return s
}

// ID returns what tells the image from all others that the pool has or had.
func (i *Image) ID(ctx context.Context) (string, error) {
	return with(ctx, i, "ask for the id of image", (*rbd.Image).GetId)
}

// Version tells an image that was opened at a snapshot, and that snapshot, from later ones of their names.
func (i *Image) Version() string { return fmt.Sprintf("%s@%d", i.opened.image, i.opened.snapshot) }

// Size returns the number of bytes that it had when it was opened.
func (i *Image) Size() int64 { return i.size }

// Close lets go of the image when all its calls have come to their end, and waits for that until ctx ends.
func (i *Image) Close(ctx context.Context) error {
	done := make(chan struct{})
	i.pool.cluster.calls.Go(func() {
		i.close()
		close(done)
	})
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// close closes the handle. That it could not is for nobody to act on: the handle is gone in any case.
func (i *Image) close() {
	i.once.Do(func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		if i.img != nil {
			_ = i.img.Close()
			i.img = nil
		}
		i.pool.cluster.release(i.session)
	})
}

// with calls fn with the open handle, within the bounds of call.
func with[T any](ctx context.Context, i *Image, act string, fn func(*rbd.Image) (T, error)) (T, error) {
	c := i.pool.cluster
	return call(ctx, c, func() (T, error) {
		i.mu.RLock()
		defer i.mu.RUnlock()
		if i.img == nil {
			var none T
			return none, ErrClosed
		}
		v, err := fn(i.img)
		return v, i.judge(act, err)
	}, func() {}, nil)
}

// judge looks at an error of a call.
func (i *Image) judge(act string, err error) error {
	c := i.pool.cluster
	err = c.judge(i.session, named(act+" "+i.String(), err, ErrNotFound))
	if i.mode == Writable && errors.Is(err, ErrReadOnly) {
		// Its lock is held by a handle that this client closed while the cluster was away. Another client can break it.
		c.retire(i.session)
	}
	return err
}

// do is with for what returns nothing.
func (i *Image) do(ctx context.Context, act string, fn func(*rbd.Image) error) error {
	_, err := with(ctx, i, act, func(img *rbd.Image) (struct{}, error) { return struct{}{}, fn(img) })
	return err
}

// WriteAt writes all of b, which must stay as it is until the call has ended, also after ctx did: give away what is
// not needed any more. That it succeeds proves nothing before Flush.
func (i *Image) WriteAt(ctx context.Context, b []byte, off int64) error {
	return i.do(ctx, "write to image", func(img *rbd.Image) error {
		n, err := img.WriteAt(b, off)
		if err == io.EOF || err == nil && n < len(b) {
			return io.ErrShortWrite
		}
		return err
	})
}

// Resize changes the size. What was beyond is lost, what is new reads as zeros. Errors: ErrInvalid for what no image can have.
func (i *Image) Resize(ctx context.Context, size int64) error {
	return i.do(ctx, "resize image", func(img *rbd.Image) error { return img.Resize(uint64(size)) })
}

// Flush returns when all that was written is durable.
func (i *Image) Flush(ctx context.Context) error {
	return i.do(ctx, "flush image", (*rbd.Image).Flush)
}

// Note keeps a text with the image, "" removes it.
func (i *Image) Note(ctx context.Context, key, text string) error {
	return i.do(ctx, "note "+key+" at image", func(img *rbd.Image) error {
		if text == "" {
			return img.RemoveMetadata(key)
		}
		return img.SetMetadata(key, text)
	})
}

// Noted returns a text kept with the image, "" if there is none.
func (i *Image) Noted(ctx context.Context, key string) (string, error) {
	return with(ctx, i, "look for "+key+" at image", func(img *rbd.Image) (string, error) {
		text, err := img.GetMetadata(key)
		if code(err) == syscall.ENOENT {
			return "", nil
		}
		return text, err
	})
}

// Watchers returns how many others have the image open for writing or watched, and how many times this Cluster has,
// including this one.
func (i *Image) Watchers(ctx context.Context) (others, own int, err error) {
	type counts struct{ others, own int }
	n, err := with(ctx, i, "list the watchers of image", func(img *rbd.Image) (n counts, err error) {
		me := int64(i.session.conn.GetInstanceID())
		list, err := img.ListWatchers()
		for _, w := range list {
			if w.Id == me {
				n.own++
			} else {
				n.others++
			}
		}
		return n, err
	})
	return n.others, n.own, err
}
