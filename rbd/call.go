//go:build ceph

package rbd

import "context"

// An outcome is what a call returned.
type outcome[T any] struct {
	value T
	err   error
}

// call runs fn, which calls librbd, and returns what it does or when ctx ends. librbd knows no way to give a call up, so
// fn then goes on by itself: what it uses must stay valid, and drop gets the value that nobody waits for, if it is set.
// If fn was not called at all, unused is.
func call[T any](ctx context.Context, c *Cluster, fn func() (T, error), unused func(), drop func(T)) (T, error) {
	var none T
	if err := c.enter(ctx); err != nil {
		unused()
		return none, err
	}
	done := make(chan outcome[T])
	go func() {
		defer c.leave()
		v, err := fn()
		select {
		case done <- outcome[T]{v, err}:
		case <-ctx.Done():
			if err == nil && drop != nil {
				drop(v)
			}
		}
	}()
	select {
	case o := <-done:
		return o.value, o.err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// enter waits for a slot.
func (c *Cluster) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		<-c.slots
		return ErrClosed
	}
	c.calls.Add(1)
	return nil
}

func (c *Cluster) leave() {
	<-c.slots
	c.calls.Done()
}
