package imageservice

import (
	"context"
	"errors"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
)

// upkeep is what the service knows of cleaning up in one store, and of its space. What hangs in a store hangs there alone.
type upkeep struct {
	collecting chan struct{} // holds one while garbage is removed
	wake       chan struct{} // gets a token when there may be something to clean up
	removal    time.Time     // when whoever holds collecting began, zero for nobody; guarded by Service.mu
	hangs      bool          // it gave the last of those who asked no answer; guarded by Service.mu
	swept      time.Time     // when the store swept itself, zero for anew; guarded by Service.mu
	measured   measurement   // guarded by Service.mu
}

func newUpkeep(stores *imagestore.Set) map[string]*upkeep {
	m := make(map[string]*upkeep)
	for _, e := range stores.Entries() {
		m[e.ID] = &upkeep{collecting: make(chan struct{}, 1), wake: make(chan struct{}, 1), measured: measurement{err: silent(e.ID)}}
	}
	return m
}

// Sweep cleans up in the stores for whose ids in is true, also those that are not configured any more, of which the error
// tells: it ends uploads that nobody runs any more, removes data that no record names, and what writes left that never got a
// name. Call it for each store at the start, now and then, and when Released says so: a store may be away.
func (s *Service) Sweep(ctx context.Context, in func(store string) bool) error {
	return errors.Join(
		s.sweepUploads(ctx, in),
		s.collect(ctx, s.awaitTurn, func(g image.Garbage) bool { return in(g.Location.Store) }),
		s.sweepStores(ctx, in))
}

// Released gets a value whenever an image is no longer held, so that its garbage can be collected, and when a failed upload
// to the store could not be cleaned up, so that it can be swept as soon as possible.
func (s *Service) Released(store string) <-chan struct{} { return s.upkeep[store].wake }

// SweepAnew lets every store be swept soon and as a whole, as after a start.
func (s *Service) SweepAnew() {
	for store := range s.upkeep {
		s.unswept(store)
	}
	s.wakeSweeps()
}

func (s *Service) wakeSweeps() {
	for store := range s.upkeep {
		s.wakeSweep(store)
	}
}

// wakeSweep tells whoever cleans up in the store that there is something to do.
func (s *Service) wakeSweep(store string) {
	select {
	case s.upkeep[store].wake <- struct{}{}:
	default:
	}
}

// sweepStores lets the stores remove what writes left that never got a name: each once, and again when it could not be
// done, when a later write may have left something, and at its time if the store is imagestore.Recurrent.
func (s *Service) sweepStores(ctx context.Context, in func(store string) bool) error {
	var failed []error
	for _, e := range s.stores.Entries() {
		sweeper, ok := e.Store.(imagestore.Sweeper)
		if !ok || !in(e.ID) || !s.sweepDue(e) {
			continue
		}
		removed, err := sweeper.Sweep(ctx)
		if err != nil {
			s.unswept(e.ID)
			failed = append(failed, err)
		}
		if removed > 0 {
			s.log.Info("removed unfinished files", "store", e.ID, "files", removed)
		}
	}
	return errors.Join(failed...)
}

// sweepDue reports whether the store must be swept, and counts it as swept from now on.
func (s *Service) sweepDue(e imagestore.Entry) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, u := s.now(), s.upkeep[e.ID]
	r, recurs := e.Store.(imagestore.Recurrent)
	if !u.swept.IsZero() && (!recurs || now.Sub(u.swept) < r.SweepEvery()) {
		return false
	}
	u.swept = now
	return true
}

// unswept says that something may lie in the store that a sweep would remove.
func (s *Service) unswept(store string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.upkeep[store].swept = time.Time{}
}
