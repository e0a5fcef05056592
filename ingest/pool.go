package ingest

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/vitrine-image/vitrine/internal/offheap"
)

const (
	bufferSize = 256 << 10 // larger ones are slower, smaller ones are no faster
	ringSize   = 16        // buffers that one transfer may have under way
)

// A pool lends buffers to transfers from one bounded budget. Those into one store may hold most of what others leave, and
// never all of it: when a store hangs, they keep what they have, and transfers into other stores go on with the rest. Among
// them each may hold an equal share, at least one buffer and at most ringSize, so none waits for ever: those that hold more
// than their share get no further ones, and their consumers give back what they have. Of transfers there may be as many as
// there are buffers, and of those into one store the same part; further ones wait to begin.
type pool struct {
	memory *offheap.Memory
	total  int

	mu       sync.Mutex
	free     []*buffer // the last one given back is the first one lent: it may still be in the processor's cache
	active   int       // transfers
	stores   map[string]*account
	entering []*lease // that wait to begin, in order
	waiting  []*lease // for a buffer, in order
}

// An account is what the transfers into one store have.
type account struct {
	transfers, active, held int // those that were not given up yet, those among them that began, and their buffers
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
	id      string // of the store
	store   *account
	held    int
	entered chan struct{} // closed when it may begin
	granted chan *buffer  // of capacity 1
}

func newPool(budget int64) (*pool, error) {
	n := max(int(budget/bufferSize), ringSize)
	m, err := offheap.New(n * bufferSize)
	if err != nil {
		return nil, err
	}
	p := &pool{memory: m, total: n, stores: make(map[string]*account)}
	for i := range n {
		p.free = append(p.free, &buffer{space: m.Bytes[i*bufferSize : (i+1)*bufferSize : (i+1)*bufferSize]})
	}
	slices.Reverse(p.free) // the lowest first
	return p, nil
}

// enter waits until a transfer into the store may begin. Call leave when all its buffers are given back.
func (p *pool) enter(ctx context.Context, store string) (*lease, error) {
	p.mu.Lock()
	a := p.stores[store]
	if a == nil {
		a = &account{}
		p.stores[store] = a
	}
	a.transfers++
	l := &lease{pool: p, id: store, store: a, entered: make(chan struct{}), granted: make(chan *buffer, 1)}
	p.entering = append(p.entering, l)
	p.admit()
	p.mu.Unlock()
	select {
	case <-l.entered:
		return l, nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-l.entered: // meanwhile
		p.end(l)
	default:
		p.entering = slices.DeleteFunc(p.entering, func(other *lease) bool { return other == l })
	}
	p.forget(l)
	return nil, context.Cause(ctx)
}

// admit lets transfers begin. p.mu is held.
func (p *pool) admit() {
	p.entering = slices.DeleteFunc(p.entering, func(l *lease) bool {
		if p.active == p.total || l.store.active >= part(p.total-p.active+l.store.active) {
			return false
		}
		p.active++
		l.store.active++
		close(l.entered)
		return true
	})
}

// part returns how much of what others leave is for one store.
func part(left int) int { return max(left*7/8, 1) }

func (l *lease) leave() {
	p := l.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end(l)
	p.forget(l)
}

// end takes back that the transfer began. p.mu is held.
func (p *pool) end(l *lease) {
	p.active--
	l.store.active--
	if p.active == 0 {
		p.memory.Discard()
	}
	p.admit()
	p.grant()
}

// forget ends the account of a store that nobody writes to. p.mu is held.
func (p *pool) forget(l *lease) {
	if l.store.transfers--; l.store.transfers == 0 {
		delete(p.stores, l.id)
	}
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
	p.waiting = slices.DeleteFunc(p.waiting, func(l *lease) bool {
		if len(p.free) == 0 || !p.mayHold(l) {
			return false
		}
		b := p.free[len(p.free)-1]
		p.free = p.free[:len(p.free)-1]
		l.held++
		l.store.held++
		b.lease = l
		l.granted <- b
		return true
	})
}

// mayHold reports whether the transfer may hold one more buffer.
func (p *pool) mayHold(l *lease) bool {
	all := part(len(p.free) + l.store.held)
	share := min(max(all/l.store.active, 1), ringSize)
	return l.held < share && l.store.held < all
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
	b.lease.store.held--
	b.lease, b.data = nil, nil
	p.free = append(p.free, b)
	p.grant()
}
