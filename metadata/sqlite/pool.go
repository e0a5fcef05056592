package sqlite

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/vitrine-image/vitrine/image"
)

// A pool lends connections. The one given back last is lent first, so that few of them keep warm caches when there is
// little to do.
type pool struct {
	open  func() (*conn, error)
	slots chan struct{} // holds one for each connection lent

	mu     sync.Mutex
	idle   []*conn
	closed bool
}

func newPool(size int, open func() (*conn, error)) *pool {
	return &pool{open: open, slots: make(chan struct{}, size)}
}

// get waits for a connection. Give it back with put.
func (p *pool) get(ctx context.Context) (*conn, error) {
	select {
	case p.slots <- struct{}{}:
	default:
		select {
		case p.slots <- struct{}{}:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for a connection to the metadata database: %w", context.Cause(ctx))
		}
	}
	c, err := p.take()
	if err != nil {
		<-p.slots
	}
	return c, err
}

// take returns an idle connection or opens one, for which nobody else waits. Who calls it has a slot, so close waits for him.
func (p *pool) take() (*conn, error) {
	p.mu.Lock()
	var c *conn
	if n := len(p.idle); n > 0 {
		c, p.idle = p.idle[n-1], p.idle[:n-1]
	}
	closed := p.closed
	p.mu.Unlock()
	switch {
	case closed:
		return nil, errClosed
	case c != nil:
		return c, nil
	}
	return p.open()
}

func (p *pool) put(c *conn) {
	p.mu.Lock()
	p.idle = append(p.idle, c)
	p.mu.Unlock()
	<-p.slots
}

// close waits for the connections that are lent, and closes all.
func (p *pool) close() error {
	p.mu.Lock()
	closed := p.closed
	p.closed = true
	p.mu.Unlock()
	if closed {
		return nil
	}
	var errs []error
	for range cap(p.slots) {
		p.slots <- struct{}{}
	}
	for _, c := range p.idle {
		errs = append(errs, c.close())
	}
	p.idle = nil
	for range cap(p.slots) {
		<-p.slots
	}
	return errors.Join(errs...)
}

var errClosed = fmt.Errorf("the metadata database is closed: %w", image.ErrUnavailable)
