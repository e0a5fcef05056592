package imageservice

import (
	"context"
	"sync"
	"time"

	"github.com/vitrine-image/vitrine/imagestore"
)

// holds counts who has an image open through the mount, and keeps opening and deleting one image apart: a deletion
// sees every open that succeeded before it, and an open that comes later finds the image gone.
type holds struct {
	mu       sync.Mutex
	count    map[int64]int
	idle     map[int64]chan struct{} // closed when the last hold ends; made by those who wait for it
	deleting map[int64]chan struct{} // closed when the deletion is over
	released func()                  // called when nobody holds an image any more
}

func newHolds(released func()) *holds {
	return &holds{count: make(map[int64]int), idle: make(map[int64]chan struct{}), deleting: make(map[int64]chan struct{}), released: released}
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

// track counts r as a user of the image until it is closed.
func (h *holds) track(number int64, r imagestore.Reader) imagestore.Reader {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.count[number]++
	return hold(r, func() { h.release(number) })
}

func (h *holds) release(number int64) {
	h.mu.Lock()
	h.count[number]--
	last := h.count[number] == 0
	if last {
		delete(h.count, number)
		if idle, awaited := h.idle[number]; awaited {
			delete(h.idle, number)
			close(idle)
		}
	}
	h.mu.Unlock()
	if last {
		h.released()
	}
}

// waitIdle returns when nobody holds the image any more, or after closing at the latest, or when ctx ends.
func (h *holds) waitIdle(ctx context.Context, number int64, closing time.Duration) {
	h.mu.Lock()
	if h.count[number] == 0 {
		h.mu.Unlock()
		return
	}
	idle, awaited := h.idle[number]
	if !awaited {
		idle = make(chan struct{})
		h.idle[number] = idle
	}
	h.mu.Unlock()
	ctx, stop := context.WithTimeout(ctx, closing)
	defer stop()
	select {
	case <-idle:
	case <-ctx.Done():
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
