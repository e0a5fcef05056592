package rawcache

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vitrine-image/vitrine/image"
)

// syncEvery is how much is written before it must be on the disk, so that the end is no burst.
const syncEvery = 64 << 20

var (
	errRoom = errors.New("there is no room")
	errCold = errors.New("it is not read as much as it holds")
)

// keep makes a file of the disk of an image.
func (r *runner) keep(ctx context.Context, img Image) {
	began := time.Now()
	r.since = began
	f, err := r.copy(ctx, img)
	r.mu.Lock()
	r.making = nil
	switch h := r.heat[img.Disk]; {
	case err == nil:
		if old := r.files[f.disk]; old != nil {
			r.drop(old, errGone)
		}
		r.files[f.disk] = f
		r.taken += f.bytes
		delete(r.heat, img.Disk)
	case errors.Is(err, errGone), errors.Is(err, image.ErrNotFound):
		delete(r.heat, img.Disk)
	case h != nil && !errors.Is(err, errCold):
		h.again = time.Now().Add(later)
	}
	r.mu.Unlock()
	switch {
	case err == nil:
		r.moved(ctx, f.number)
		r.log.Info("the disk of an image is kept as a file, as it is read often", "image_id", img.ID, "bytes", f.bytes, "duration", time.Since(began))
	case ctx.Err() == nil && !errors.Is(err, errCold):
		r.log.Info("the disk of an image is not kept as a file, though it is read often", "image_id", img.ID, "reason", err)
	}
}

// copy makes the file, which is complete and on the disk then.
func (r *runner) copy(ctx context.Context, asked Image) (*file, error) {
	img, from, disk, err := r.source.Open(ctx, asked.ID)
	if err != nil {
		return nil, err
	}
	defer disk.Close()
	if img.Disk != asked.Disk {
		return nil, errGone
	}
	r.mu.Lock()
	r.making = &file{id: img.ID, disk: img.Disk, from: from}
	r.mu.Unlock()
	r.check(ctx, img.ID) // what happened before anybody could tell
	need := int64(0)
	if err := ranges(ctx, disk, func(start, end int64) error { need += end - start; return r.step(ctx) }); err != nil {
		return nil, err
	}
	if !r.stillHot(img, need) {
		return nil, errCold
	}
	if !r.makeRoom(ctx, need) {
		return nil, fmt.Errorf("%w for its %d bytes", errRoom, need)
	}
	written, err := r.write(ctx, img, disk)
	if err == nil {
		err = r.making.reason
	}
	name := fileName(img.ID, img.Disk, from, written)
	if err == nil {
		err = r.root.Rename(newName, name)
	}
	if err == nil {
		err = r.dir.Sync()
	}
	if err != nil {
		r.root.Remove(newName)
		r.root.Remove(name)
		return nil, err
	}
	f := r.reopen(name)
	if f == nil {
		return nil, fmt.Errorf("the file %s is gone at once", name)
	}
	f.number = img.Number
	return f, nil
}

// stillHot tells whether a disk is hot that holds so many bytes.
func (r *runner) stillHot(img Image, data int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.heat[img.Disk]
	if h == nil {
		return false
	}
	h.data = data
	return h.isHot(time.Now())
}

// write writes the disk to a new file, and returns its sum.
func (r *runner) write(ctx context.Context, img Image, disk Disk) (written uint64, err error) {
	out, err := r.root.OpenFile(newName, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o400)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if err := out.Truncate(img.Size); err != nil {
		return 0, err
	}
	s, unsynced := newSum(img.Size), 0
	err = blocks(ctx, disk, r.step, func(off int64, block []byte) error {
		s.add(off, block)
		if _, err := out.WriteAt(block, off); err != nil {
			return err
		}
		if unsynced += len(block); unsynced < syncEvery {
			return nil
		}
		unsynced = 0
		if free, err := r.spare(); err != nil || free < 0 {
			return errors.Join(err, errRoom)
		}
		return out.Sync()
	})
	if err == nil {
		err = out.Sync()
	}
	return s.result(), err
}

// spare returns how many bytes the file system has to spare.
func (c *Cache) spare() (int64, error) {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(c.dir.Fd()), &fs); err != nil {
		return 0, err
	}
	return int64(fs.Bavail)*fs.Frsize - c.reserve, nil
}

// makeRoom removes the files that were read longest ago, and that nobody has open, until there is room for so many bytes more. It
// removes none if that would not do, unless nothing more is to come.
func (r *runner) makeRoom(ctx context.Context, need int64) bool {
	spare, err := r.spare()
	if err != nil {
		return false
	}
	r.mu.Lock()
	missing := max(r.taken+need-r.size, need-spare)
	idle := slices.Collect(maps.Values(r.files))
	idle = slices.DeleteFunc(idle, func(f *file) bool { return f.pins > 1 })
	slices.SortFunc(idle, func(a, b *file) int { return a.used.Compare(b.used) })
	n := 0
	for ; n < len(idle) && missing > 0; n++ {
		missing -= idle[n].bytes
	}
	if missing > 0 && need > 0 {
		r.mu.Unlock()
		return false
	}
	for _, f := range idle[:n] {
		delete(r.files, f.disk)
		f.reason = errRoom
	}
	r.mu.Unlock()
	for _, f := range idle[:n] {
		r.remove(ctx, f)
	}
	return true
}
