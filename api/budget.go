package api

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/vitrine-image/vitrine/image"
)

// A budget bounds the memory of all long documents that wait for slow clients: requests on their way in, or answers on
// their way out. Whoever wants some of it while there is none left waits, first come, first served, and those who have it
// must hurry meanwhile.
type budget struct {
	bytes   int64
	room    *semaphore.Weighted
	waiting atomic.Int64

	mu     sync.Mutex
	shares map[*share]struct{}
}

// A share is a part of a budget. It belongs to the one whose deadline it shortens.
type share struct {
	budget   *budget
	bytes    int64
	deadline *deadline
}

// errBusy refuses a request that has waited for its turn for long.
var errBusy = image.Errorf(image.ErrUnavailable, "Too many requests with long answers or bodies are under way. Please try again later.")

func newBudget(bytes int64) *budget {
	return &budget{bytes: bytes, room: semaphore.NewWeighted(bytes), shares: make(map[*share]struct{})}
}

// try returns a share of n bytes if nobody needs to wait for it, or else nil. More than there is counts as all there is.
func (b *budget) try(n int, d *deadline) *share {
	s := &share{b, min(int64(n), b.bytes), d}
	if !b.room.TryAcquire(s.bytes) {
		return nil
	}
	return b.hand(s)
}

// take waits for a share of n bytes, but not longer than that, if longest is not 0. Errors: image.ErrUnavailable when it takes
// too long, and that of ctx.
func (b *budget) take(ctx context.Context, longest time.Duration, n int, d *deadline) (*share, error) {
	if s := b.try(n, d); s != nil {
		return s, nil
	}
	b.press()
	defer b.waiting.Add(-1)
	s := &share{b, min(int64(n), b.bytes), d}
	waiting := ctx
	if longest > 0 {
		var stop context.CancelFunc
		waiting, stop = context.WithTimeout(ctx, longest)
		defer stop()
	}
	if err := b.room.Acquire(waiting, s.bytes); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, errBusy
	}
	return b.hand(s), nil
}

func (b *budget) hand(s *share) *share {
	s.deadline.spend(s)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.shares[s] = struct{}{}
	if b.pressed() {
		s.deadline.hurry()
	}
	return s
}

// press makes everybody hurry who has a share.
func (b *budget) press() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiting.Add(1) > 1 {
		return // they do already
	}
	for s := range b.shares {
		s.deadline.hurry()
	}
}

func (b *budget) pressed() bool { return b.waiting.Load() > 0 }

// covers reports whether the share is enough for n bytes.
func (s *share) covers(n int) bool { return s.bytes >= min(int64(n), s.budget.bytes) }

// release gives the share back. Nil, and one that was given back, has nothing to give.
func (s *share) release() {
	if s == nil || s.bytes == 0 {
		return
	}
	s.budget.mu.Lock()
	delete(s.budget.shares, s)
	s.budget.mu.Unlock()
	s.deadline.spend(nil)
	s.budget.room.Release(s.bytes)
	s.bytes = 0
}

// hurryTime is how long a client may take for one step (to send minProgress bytes, to take documentPiece) while
// others wait for the memory that its document holds.
const hurryTime = 2 * time.Second

// A deadline is that of one direction of a connection. It moves with each step that the client makes.
type deadline struct {
	set func(time.Time) error // a ResponseWriter of tests may know no deadlines

	mu    sync.Mutex
	since time.Time // when the step began
	until time.Time // zero while there is none
	limit time.Time // beyond which it never moves; zero for no limit
	share *share    // of memory that the client holds
}

// allow gives the client so much time from now on, or less if somebody waits for its memory, and returns how much.
func (d *deadline) allow(t time.Duration) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.share != nil && d.share.budget.pressed() {
		t = min(t, hurryTime)
	}
	d.since = time.Now()
	d.move(d.since.Add(t))
	return t
}

// hurry shortens the time of the step that is waited for, which may be over then.
func (d *deadline) hurry() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if soon := d.since.Add(hurryTime); soon.Before(d.until) {
		d.move(soon)
	}
}

// end is the end of all steps, at t, which another end may move.
func (d *deadline) end(t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.limit, d.until = t, t
	return d.set(t)
}

// clear takes the deadline away: there is no step that is waited for.
func (d *deadline) clear() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.until = time.Time{}
	_ = d.set(time.Time{})
}

func (d *deadline) move(until time.Time) {
	if !d.limit.IsZero() && d.limit.Before(until) {
		until = d.limit
	}
	d.until = until
	_ = d.set(until)
}

func (d *deadline) spend(s *share) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.share = s
}
