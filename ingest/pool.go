package ingest

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

const (
	bufferSize = 256 << 10 // larger ones are slower, smaller ones are no faster
	ringSize   = 16        // buffers that one transfer may have under way
)

// A pool lends buffers to transfers from one bounded budget. Each transfer may hold an equal share of them, at least one
// and at most ringSize, so none waits for ever: those that hold more than their share get no further ones, and their
// consumers give back what they have. As many transfers as there are buffers may run; further ones wait to begin.
type pool struct {
	memory    *memory
	admission *semaphore.Weighted
	total     int

	mu      sync.Mutex
	free    []*buffer // the last one given back is the first one lent: it may still be in the processor's cache
	active  int       // transfers
	waiting []*lease  // for a buffer, in order
}

// A buffer holds bytes that several consumers read. The last one to release it gives it back.
type buffer struct {
	space []byte // bufferSize
	data  []byte // the part of space that is filled
	refs  atomic.Int32
	lease *lease // that holds it
}

// A lease is one transfer's account.
type lease struct {
	pool    *pool
	held    int
	granted chan *buffer // of capacity 1
}

func newPool(budget int64) (*pool, error) {
	n := max(int(budget/bufferSize), ringSize)
	m, err := newMemory(n * bufferSize)
	if err != nil {
		return nil, err
	}
	p := &pool{memory: m, admission: semaphore.NewWeighted(int64(n)), total: n}
	for i := range n {
		p.free = append(p.free, &buffer{space: m.bytes[i*bufferSize : (i+1)*bufferSize : (i+1)*bufferSize]})
	}
	slices.Reverse(p.free) // the lowest first
	return p, nil
}

// enter waits until the transfer may begin. Call leave when all its buffers are given back.
func (p *pool) enter(ctx context.Context) (*lease, error) {
	if err := p.admission.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.active++
	return &lease{pool: p, granted: make(chan *buffer, 1)}, nil
}

func (l *lease) leave() {
	p := l.pool
	p.mu.Lock()
	p.active--
	if p.active == 0 {
		p.memory.discard()
	}
	p.grant()
	p.mu.Unlock()
	p.admission.Release(1)
}

// get waits for a buffer. One goroutine of a transfer calls it.
func (l *lease) get(ctx context.Context) (*buffer, error) {
	p := l.pool
	p.mu.Lock()
	p.waiting = append(p.waiting, l)
	p.grant()
	p.mu.Unlock()
	select {
	case b := <-l.granted:
		return b, nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	p.waiting = slices.DeleteFunc(p.waiting, func(other *lease) bool { return other == l })
	p.mu.Unlock()
	select {
	case b := <-l.granted: // meanwhile
		b.giveBack()
	default:
	}
	return nil, context.Cause(ctx)
}

// grant lends free buffers to those that wait and hold less than their share. p.mu is held.
func (p *pool) grant() {
	share := min(max(p.total/max(p.active, 1), 1), ringSize)
	p.waiting = slices.DeleteFunc(p.waiting, func(l *lease) bool {
		if len(p.free) == 0 || l.held >= share {
			return false
		}
		b := p.free[len(p.free)-1]
		p.free = p.free[:len(p.free)-1]
		l.held++
		b.lease = l
		l.granted <- b
		return true
	})
}

// release ends one consumer's use of the buffer.
func (b *buffer) release() {
	if b.refs.Add(-1) == 0 {
		b.giveBack()
	}
}

func (b *buffer) giveBack() {
	p := b.lease.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	b.lease.held--
	b.lease, b.data = nil, nil
	p.free = append(p.free, b)
	p.grant()
}
