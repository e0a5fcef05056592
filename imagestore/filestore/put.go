package filestore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"golang.org/x/sys/unix"
)

// The steps of a write and a deletion, by the names under which tests make them fail.
const (
	stepMakeShard     = "make the shard"
	stepSyncRoot      = "sync the store's directory"
	stepCreateUnnamed = "create the file without a name"
	stepCreateNamed   = "create the file in tmp"
	stepAdopt         = "link the source in tmp"
	stepClone         = "clone the source"
	stepWrite         = "write"
	stepSize          = "set the size"
	stepSyncFile      = "sync the file"
	stepLink          = "link the file"
	stepRename        = "rename the file"
	stepSyncShard     = "sync the shard"
	stepUnlink        = "unlink the file"
)

// step does one step.
func (s *Store) step(name string, do func() error) error {
	if s.fault != nil {
		return s.fault(name, do)
	}
	return do()
}

// Put implements imagestore.Writer. The order is what makes it durable: all bytes, fsync of the file, its name, fsync
// of the directory with the name (and before, of the one with a new shard). Errors besides those of the interface:
// image.ErrStoreReadOnly, image.ErrInvalid for an object whose name does not begin with its image's id.
func (s *Store) Put(ctx context.Context, obj imagestore.Object, src imagestore.Source) (image.Location, error) {
	p, err := objectPath(obj)
	if err != nil {
		return image.Location{}, fmt.Errorf("store %s: %w", s.id, err)
	}
	release, err := s.claim(obj.Name)
	if err != nil {
		return image.Location{}, err
	}
	defer release()
	if held, err := s.find(p); held != nil && err == nil {
		return image.Location{}, s.conflict(obj.Name)
	}
	w, err := s.begin(obj.Name, src.Size())
	if err != nil {
		return image.Location{}, err
	}
	defer w.close()
	if err := w.fill(ctx, src); err != nil {
		return image.Location{}, err
	}
	if err := w.publish(p); err != nil {
		return image.Location{}, err
	}
	return s.location(w.dir, p), nil
}

// begin opens a file in the directory with the highest priority that takes size bytes, -1 for an unknown number.
func (s *Store) begin(name string, size int64) (*writer, error) {
	var errs []error
	for _, d := range s.dirs {
		w, err := s.beginIn(d, shardOf(name), size)
		if err == nil {
			return w, nil
		}
		errs = append(errs, err)
	}
	// If one is full and another offline, waiting helps as well as making room: say both, and full first.
	for _, err := range errs {
		if errors.Is(err, image.ErrStoreFull) {
			return nil, err
		}
	}
	return nil, errs[0]
}

func (s *Store) beginIn(d *directory, shard string, size int64) (*writer, error) {
	r, err := s.online(d)
	if err != nil {
		return nil, err
	}
	w := &writer{store: s, dir: d, root: r, size: size, cached: s.reread}
	if err := w.reserve(); err != nil {
		return nil, err
	}
	if err := w.open(shard); err != nil {
		w.close()
		return nil, s.failure(d, r, err)
	}
	return w, nil
}

// open opens the shard and a new file.
func (w *writer) open(shard string) (err error) {
	w.shard, err = w.store.openShard(w.dir, w.root, shard)
	if notExist(err) { // somebody removes empty directories
		w.dir.forget(shard)
		w.shard, err = w.store.openShard(w.dir, w.root, shard)
	}
	if err == nil {
		w.file, err = w.store.createTemporary(w.root, w.shard)
	}
	return err
}

// openShard opens a shard, which is made durably if this process does not know it.
func (s *Store) openShard(d *directory, r *root, shard string) (*root, error) {
	if err := s.makeShard(d, r, shard); err != nil {
		return nil, err
	}
	return r.sub(shard)
}

// makeShard makes a shard and lets its name survive a power cut. That it exists already does not tell so: the write that
// made it may not have come to its fsync.
func (s *Store) makeShard(d *directory, r *root, shard string) error {
	n := hexByte(shard)
	d.mu.Lock()
	known := d.root == r && d.shards[n]
	d.mu.Unlock()
	if known {
		return nil
	}
	if err := s.step(stepMakeShard, func() error { return r.mkdir(shard) }); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := s.step(stepSyncRoot, r.sync); err != nil {
		return err
	}
	d.mu.Lock()
	d.shards[n] = d.root == r
	d.mu.Unlock()
	return nil
}

// publish makes the bytes durable under the object's name. When it fails, the name is gone again.
func (w *writer) publish(p string) error {
	s := w.store
	name := p[len("xx/"):]
	if err := s.step(stepSyncFile, w.file.f.Sync); err != nil {
		return s.failure(w.dir, w.root, err)
	}
	err := s.link(w.file, w.shard, name)
	if errors.Is(err, fs.ErrExist) {
		return s.conflict(name)
	}
	if err == nil {
		err = s.step(stepSyncShard, w.shard.sync)
	}
	if err == nil && !s.attached(w.dir, w.root) { // somebody took the directory away, and what lies in it with it
		err = unix.ESTALE
	}
	if err != nil {
		w.unpublish(name)
		return s.failure(w.dir, w.root, err)
	}
	return nil
}

// unpublish takes the name away if it is this write's: a link can have happened although it was reported to have failed.
func (w *writer) unpublish(name string) {
	same, err := w.file.is(w.shard, name)
	if err == nil && same {
		err = w.store.step(stepUnlink, func() error { return w.shard.unlink(name) })
	}
	if err == nil && same {
		err = w.shard.sync()
	}
	if err != nil && !notExist(err) {
		w.store.log.Warn("could not remove the object of a failed write", "path", w.shard.path(name), "error", err)
	}
}

// fill writes all of src.
func (w *writer) fill(ctx context.Context, src imagestore.Source) error {
	if f, ok := src.(imagestore.FileSource); ok {
		w.takeFile(f)
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		b, err := src.Next(ctx)
		if err == io.EOF {
			return w.finish()
		}
		if err != nil {
			return err
		}
		if w.size >= 0 && int64(len(b)) > w.size-w.offset {
			return fmt.Errorf("store %s: more came than the %d bytes announced: %w", w.store.id, w.size, image.ErrInvalid)
		}
		if err := w.write(b); err != nil {
			return w.store.failure(w.dir, w.root, err)
		}
	}
}
