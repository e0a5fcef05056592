package imageservice

import (
	"context"
	"sync"
)

// holds counts who has an image open through the mount, and keeps opening and deleting one image apart: a deletion
// sees every open that succeeded before it, and an open that comes later finds the image gone.
type holds struct {
	mu       sync.Mutex
	count    map[int64]int
	deleting map[int64]chan struct{} // closed when the deletion is over
	released chan struct{}           // gets a token when the last hold of an image ends
}

func newHolds() *holds {
	return &holds{count: make(map[int64]int), deleting: make(map[int64]chan struct{}), released: make(chan struct{}, 1)}
}

// hold waits for a deletion under way and counts one more user of the image.
func (h *holds) hold(ctx context.Context, number int64) error {
	for {
		h.mu.Lock()
		over, busy := h.deleting[number]
		if !busy {
			h.count[number]++
			h.mu.Unlock()
			return nil
		}
		h.mu.Unlock()
		select {
		case <-over:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (h *holds) release(number int64) {
	h.mu.Lock()
	h.count[number]--
	last := h.count[number] == 0
	if last {
		delete(h.count, number)
	}
	h.mu.Unlock()
	if last {
		select {
		case h.released <- struct{}{}:
		default:
		}
	}
}

// users returns how many hold the image.
func (h *holds) users(number int64) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.count[number]
}

// beginDelete keeps new users out until end is called, and returns how many there are already.
func (h *holds) beginDelete(ctx context.Context, number int64) (users int, end func(), err error) {
	for {
		h.mu.Lock()
		over, busy := h.deleting[number]
		if !busy {
			break
		}
		h.mu.Unlock()
		select {
		case <-over:
		case <-ctx.Done():
			return 0, nil, ctx.Err()
		}
	}
	defer h.mu.Unlock()
	over := make(chan struct{})
	h.deleting[number] = over
	end = func() {
		h.mu.Lock()
		delete(h.deleting, number)
		h.mu.Unlock()
		close(over)
	}
	return h.count[number], end, nil
}
