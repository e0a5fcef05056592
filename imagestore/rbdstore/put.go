//go:build ceph

package rbdstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/rbd"
)

// The notes that images carry. librbd copies them to clones, so the name or the id of the image must fit, too.
const (
	noteUpload  = "vitrine_upload"  // the upload that made it, for ever
	noteDeleted = "vitrine_deleted" // its own id: it is in the trash, to be removed when nobody uses it
)

// uploadPrefix begins the name of an image while it is written; that of its upload follows.
const uploadPrefix = "vitrine-upload-"

// Put implements imagestore.Writer. The order is what makes it durable: all bytes, flush, snapshot, protection, and last
// the image gets the object's name. Errors besides those of the interface: image.ErrStoreReadOnly, image.ErrInvalid.
func (s *Store) Put(ctx context.Context, obj imagestore.Object, src imagestore.Source) (image.Location, error) {
	if err := obj.Check(); err != nil {
		return image.Location{}, fmt.Errorf("store %s: %w", s.id, err)
	}
	if obj.Upload == "" {
		return image.Location{}, fmt.Errorf("store %s: nobody knew whose image %s was: %w", s.id, obj.Name, image.ErrInvalid)
	}
	fsid, err := s.identity(ctx)
	if err != nil {
		return image.Location{}, err
	}
	w, err := s.begin(ctx, obj, src.Size())
	if err != nil {
		return image.Location{}, err
	}
	if err = w.fill(ctx, src); err == nil {
		err = w.publish(ctx)
	}
	if err != nil {
		w.discard(ctx, err)
		return image.Location{}, err
	}
	return s.location(fsid, obj), nil
}

// begin makes a new image, unless there is one of the object's name. It must not end in the middle, or nobody watched the image.
func (s *Store) begin(ctx context.Context, obj imagestore.Object, size int64) (*writer, error) {
	if err := s.checkFree(ctx, obj); err != nil {
		return nil, err
	}
	whole := context.WithoutCancel(ctx)
	w := &writer{store: s, object: obj, name: uploadPrefix + obj.Upload, size: size, end: size}
	if size < 0 {
		w.end = s.objectSize
	}
	if err := s.pool.Create(whole, w.name, w.end, s.objectSize); err != nil {
		return nil, s.refusal(err)
	}
	img, err := s.pool.Open(whole, w.name, "", rbd.Writable)
	if err == nil {
		w.img = img
		err = img.Note(whole, noteUpload, obj.Upload)
	}
	if err != nil {
		w.discard(ctx, err)
		return nil, s.failure(err)
	}
	return w, nil
}

// checkFree refuses an object of whose name there is an image already. Error: image.ErrConflict.
func (s *Store) checkFree(ctx context.Context, obj imagestore.Object) error {
	img, err := s.pool.Open(ctx, obj.Name, "", rbd.Unnoticed)
	switch {
	case errors.Is(err, rbd.ErrNotFound):
		return ctx.Err()
	case err != nil:
		return s.failure(err)
	}
	return cmp.Or(img.Close(ctx), s.taken(obj))
}

// taken says what is in the way of an upload. It may be a Glance's, or that of a database that was lost: it is not ours to remove.
func (s *Store) taken(obj imagestore.Object) error {
	s.log.Warn("an upload found an image of its name in the pool, and left it", "image_id", obj.ImageID, "path", s.path(obj.Name))
	return image.Errorf(image.ErrConflict, "Store %q holds data under the name of image %s that no record names, and keeps it. An administrator "+
		"can make it the image's by adding its location, or remove it; or upload the data as another image.", s.id, obj.ImageID)
}

// fill writes all of src.
func (w *writer) fill(ctx context.Context, src imagestore.Source) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w.start(cancel)
	err := w.copy(ctx, src)
	if err != nil {
		cancel(err) // writes under way need not be waited for
	}
	if failed := w.wait(); failed != nil {
		return w.store.failure(failed)
	}
	return err
}

func (w *writer) copy(ctx context.Context, src imagestore.Source) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		b, err := src.Next(ctx)
		if err == io.EOF {
			return w.finish(ctx)
		}
		if err != nil {
			return err
		}
		if w.size >= 0 && int64(len(b)) > w.size-w.offset {
			return fmt.Errorf("store %s: more came than the %d bytes announced: %w", w.store.id, w.size, image.ErrInvalid)
		}
		if err := w.write(ctx, b); err != nil {
			return err
		}
	}
}

// publish makes the bytes durable, and the object's. It does not end in the middle.
func (w *writer) publish(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	for _, step := range []func() error{
		func() error {
			if w.offset == w.end {
				return nil
			}
			return w.img.Resize(ctx, w.offset)
		},
		func() error { return w.img.Flush(ctx) },
		func() error { return w.img.Snapshot(ctx, snapshot) },
		func() error { return w.img.Protect(ctx, snapshot) },
		func() error { return w.verify(ctx) },
		func() error { return w.img.Close(ctx) }, // librbd aborts the process when an image that it has open is renamed
	} {
		if err := step(); err != nil {
			return w.store.failure(err)
		}
	}
	err := w.store.pool.Rename(ctx, w.name, w.object.Name)
	switch {
	case errors.Is(err, rbd.ErrExists):
		return w.store.taken(w.object)
	case err != nil:
		return w.store.failure(err)
	}
	return nil
}

// verify opens the snapshot. In a pool that has just become full librbd makes one without its object map, says nothing, and
// never opens it. Errors: rbd.ErrFull.
func (w *writer) verify(ctx context.Context) error {
	img, err := w.store.pool.Open(ctx, w.name, snapshot, rbd.Unnoticed)
	if errors.Is(err, rbd.ErrNotFound) {
		return fmt.Errorf("%w: the snapshot is incomplete: %w", rbd.ErrFull, err)
	}
	if err != nil {
		return err
	}
	return img.Close(ctx)
}

// discard removes the image of a write that failed with cause. If the cluster is away, a sweep does it later, and nobody waits for one
// timeout after the other.
func (w *writer) discard(ctx context.Context, cause error) {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	away := errors.Is(cause, rbd.ErrAway)
	if away {
		stop() // it closes by itself
	}
	var err error
	if w.img != nil {
		err = w.img.Close(ctx) // ends when no call can write to the image any more
	}
	switch {
	case away:
		err = cause
	case err == nil:
		err = w.store.discard(ctx, w.object.Name, w.object.Upload) // it may have its name, and nobody was told
	}
	if err != nil {
		w.store.unfinished.Store(true)
		w.store.log.Warn("could not remove the image of a failed write", "path", w.store.path(w.name), "error", err)
	}
}
