package imageservice

import (
	"context"
	"sync/atomic"
	"time"
)

// Work that nobody waits for goes on for a workSlice, and pauses: a tenth of the time is its while callers ask for
// something, and half of it otherwise. One long wait for a disk is paid for with maxPause at most.
const (
	workSlice   = 5 * time.Millisecond
	pauseServed = 9 // times what was worked
	pauseIdle   = 1
	maxPause    = time.Second
)

// A pace keeps long work from slowing down what callers ask for meanwhile. It belongs to one goroutine.
type pace struct {
	asked *atomic.Uint64 // counts what callers ask for
	seen  uint64
	since time.Time // the work goes on without a pause since then
}

func (s *Service) newPace() *pace {
	return &pace{asked: &s.asked, seen: s.asked.Load(), since: time.Now()}
}

// step pauses if it is time to. Call it between pieces of work that take much less than a workSlice. It fails when ctx ends.
func (p *pace) step(ctx context.Context) error {
	worked := time.Since(p.since)
	if worked < workSlice {
		return ctx.Err()
	}
	pause := worked * pauseIdle
	if asked := p.asked.Load(); asked != p.seen {
		pause, p.seen = worked*pauseServed, asked
	}
	select {
	case <-time.After(min(pause, maxPause)):
	case <-ctx.Done():
	}
	p.since = time.Now()
	return ctx.Err()
}
