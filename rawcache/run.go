package rawcache

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

// A Source knows the images.
type Source interface {
	// Image returns an image as it is now. Error: image.ErrNotFound when it is gone, or has no disk that can be kept.
	Image(ctx context.Context, id image.ID) (Image, error)
	// Open opens the disk of an image, and tells the number of the copy in which it is. It keeps nobody from deleting the image.
	Open(ctx context.Context, id image.ID) (img Image, from uint64, d Disk, err error)
}

// look is how often Run looks at the free space.
const look = time.Minute

// Run makes files of the disks that are read often, one at a time, and removes those that are not needed or must give way, until ctx
// ends. It calls moved with the number of an image whose disk lies in a file from now on, or no more.
func (c *Cache) Run(ctx context.Context, source Source, moved func(ctx context.Context, number int64)) {
	r := &runner{Cache: c, source: source, moved: moved, since: time.Now()}
	r.adopt(ctx)
	tick := time.NewTicker(look)
	defer tick.Stop()
	for ctx.Err() == nil {
		r.tidy(ctx)
		if img, ok := c.hottest(); ok {
			r.keep(ctx, img)
			continue
		}
		select {
		case <-c.wake:
		case <-tick.C:
			r.makeRoom(ctx, 0)
		case <-ctx.Done():
		}
	}
}

// A runner is the goroutine of Run.
type runner struct {
	*Cache
	source Source
	moved  func(ctx context.Context, number int64)
	since  time.Time // it works without a pause since then
}

// Work goes on for a slice, and then pauses three times as long, so that guests hardly notice.
const (
	slice    = 5 * time.Millisecond
	pauses   = 3
	maxPause = time.Second
)

// step pauses if it is time to, and tidies up meanwhile. It fails when ctx ends, and when the file that is being made is for nothing.
func (r *runner) step(ctx context.Context) error {
	worked := time.Since(r.since)
	if worked < slice {
		return ctx.Err()
	}
	r.tidy(ctx)
	select {
	case <-time.After(min(worked*pauses, maxPause)):
	case <-ctx.Done():
		return ctx.Err()
	}
	r.since = time.Now()
	if r.making != nil {
		return r.making.reason
	}
	return nil
}

// tidy drops the files of images that have changed, and removes what was dropped.
func (r *runner) tidy(ctx context.Context) {
	r.mu.Lock()
	changed := r.changed
	r.changed = make(map[image.ID]bool)
	r.mu.Unlock()
	for id := range changed {
		r.check(ctx, id)
	}
	r.mu.Lock()
	broken := r.broken
	r.broken = nil
	r.mu.Unlock()
	for _, f := range broken {
		r.remove(ctx, f)
	}
}

var errGone = errors.New("the image, or the copy of its data, is gone")

// check drops the file of an image that the image has no more. One that is not in use yet never will be.
func (r *runner) check(ctx context.Context, id image.ID) {
	img, err := r.source.Image(ctx, id)
	if err != nil && !errors.Is(err, image.ErrNotFound) {
		return // whoever opens it asks again
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.all() {
		if f.id != id || err == nil && f.holds(img) {
			continue
		}
		if !r.drop(f, errGone) {
			f.reason = errGone
		}
	}
}

// remove removes a file that is in no table any more.
func (r *runner) remove(ctx context.Context, f *file) {
	r.moved(ctx, f.number)
	r.discard(f)
	level := slog.LevelWarn
	if errors.Is(f.reason, errGone) || errors.Is(f.reason, errRoom) {
		level = slog.LevelInfo
	}
	r.log.Log(ctx, level, "the disk of an image is no longer kept as a file", "image_id", f.id, "bytes", f.bytes, "reason", f.reason)
}

// adopt makes readable what a process before this one left, as far as it is what that process wrote.
func (r *runner) adopt(ctx context.Context) {
	for len(r.found) > 0 { // nobody else changes it
		f := r.found[0]
		number, err := r.verify(ctx, f)
		if ctx.Err() != nil {
			return
		}
		r.mu.Lock()
		r.found = r.found[1:]
		err = cmp.Or(err, f.reason) // the image may have changed meanwhile
		if f.number, f.reason = number, err; err == nil {
			r.files[f.disk] = f
			delete(r.heat, f.disk)
		}
		r.mu.Unlock()
		if err != nil {
			r.remove(ctx, f)
			continue
		}
		r.moved(ctx, number)
		r.log.Info("the disk of an image is still kept as a file", "image_id", f.id, "bytes", f.bytes)
	}
}

// verify compares a file with what was written, and returns the number of its image.
func (r *runner) verify(ctx context.Context, f *file) (number int64, err error) {
	img, err := r.source.Image(ctx, f.id)
	w := whole{f.File}
	switch {
	case errors.Is(err, image.ErrNotFound), err == nil && !f.holds(img):
		return 0, errGone
	case err != nil:
		return 0, err
	case w.Size() != img.Size:
		return img.Number, errSum
	}
	s := newSum(img.Size)
	err = blocks(ctx, w, r.step, func(off int64, block []byte) error { s.add(off, block); return nil })
	if err == nil && s.result() != f.sum {
		err = errSum
	}
	return img.Number, err
}

var errSum = errors.New("it does not hold what was written to it")
