//go:build ceph

package rbdstore

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/rbd"
)

// idleTime is how long an image stays open when its last reader has gone: opening costs some ten milliseconds.
const idleTime = 30 * time.Second

// A cache holds the images that are open for reading.
type cache struct {
	mu      sync.Mutex
	closed  bool
	named   map[string]*opened // what the next reader of an image gets
	all     map[*opened]bool   // these, and those that others still read
	running sync.WaitGroup     // what opens and closes in the background
}

// An opened image serves all its readers.
type opened struct {
	name  string
	ready chan struct{} // closed when img or err is there
	img   *rbd.Image
	err   error

	users int         // guarded by cache.mu, as is idle
	idle  *time.Timer // closes the image, when users is 0

	mu      sync.Mutex // not held while the cluster is asked
	version string     // of the locations that are about it, once one was found to be
	known   bool
	extents []imagestore.Extent // which ranges hold data, if known
}

// get returns an image that is open at its snapshot; put it back.
func (s *Store) get(ctx context.Context, name string) (*opened, error) {
	o, err := s.images.enter(name, s.openImage)
	if err != nil {
		return nil, err
	}
	select {
	case <-o.ready:
		err = o.err
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		s.images.put(o)
		return nil, err
	}
	return o, nil
}

// openImage opens an image with a watch, so that nobody removes it, or without where the user may not have one. It does
// so for all who wait, and ends within the store's timeout.
func (s *Store) openImage(o *opened) {
	ctx := context.Background()
	if !s.unnoticed.Load() {
		if o.img, o.err = s.pool.Open(ctx, o.name, snapshot, rbd.Watched); !errors.Is(o.err, rbd.ErrDenied) {
			return
		}
	}
	if o.img, o.err = s.pool.Open(ctx, o.name, snapshot, rbd.Unnoticed); o.err == nil {
		s.unnoticed.Store(true)
	}
}

// enter counts a user of an image, which open opens if it is the first.
func (c *cache) enter(name string, open func(*opened)) (*opened, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, rbd.ErrClosed
	}
	o := c.named[name]
	if o == nil {
		o = &opened{name: name, ready: make(chan struct{})}
		c.named[name], c.all[o] = o, true
		c.running.Go(func() {
			if open(o); o.err != nil {
				c.drop(o)
			}
			close(o.ready)
		})
	}
	if o.users++; o.idle != nil {
		o.idle.Stop()
		o.idle = nil
	}
	return o, nil
}

// put gives an image back. It stays open for a while, unless it was dropped, as one is that could not be opened.
func (c *cache) put(o *opened) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if o.users--; o.users > 0 || !c.all[o] {
		return
	}
	if c.named[o.name] == o {
		o.idle = time.AfterFunc(idleTime, func() { c.expire(o) })
		return
	}
	c.remove(o)
	c.running.Go(o.close)
}

// expire closes an image that is still idle.
func (c *cache) expire(o *opened) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if o.users == 0 && c.all[o] {
		c.remove(o)
		c.running.Go(o.close)
	}
}

// drop lets the next reader open the image anew; those who have it keep it.
func (c *cache) drop(o *opened) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.named[o.name] == o {
		delete(c.named, o.name)
	}
}

// forget drops an image, and closes it if nobody reads it.
func (c *cache) forget(name string) {
	c.mu.Lock()
	o := c.named[name]
	delete(c.named, name)
	idle := o != nil && o.users == 0
	if idle {
		c.remove(o)
	}
	c.mu.Unlock()
	if idle {
		o.close()
	}
}

// remove takes an image out; the caller holds mu, and closes the image.
func (c *cache) remove(o *opened) {
	if c.named[o.name] == o {
		delete(c.named, o.name)
	}
	delete(c.all, o)
	if o.idle != nil {
		o.idle.Stop()
	}
}

// close closes everything, and lets nothing be opened any more.
func (c *cache) close() {
	c.mu.Lock()
	c.closed = true
	for o := range c.all {
		c.remove(o)
		c.running.Go(o.close)
	}
	c.mu.Unlock()
	c.running.Wait()
}

// close closes the image once it is open.
func (o *opened) close() {
	<-o.ready
	if o.err == nil {
		_ = o.img.Close(context.Background()) // only a context that ends makes it fail
	}
}
