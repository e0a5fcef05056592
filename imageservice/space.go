package imageservice

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
)

const (
	spacePatience = 300 * time.Millisecond // that who asks has for the answers of all stores
	spaceTimeout  = 10 * time.Second       // that a store has for its answer
)

// A measurement is what a store said of its space. A store that is slow keeps what it said last until it answers, or fails to.
type measurement struct {
	space imagestore.Space
	err   error         // not nil while nothing is known
	busy  chan struct{} // closed at the end of the measurement that is under way, nil while there is none
}

func silent(store string) error {
	return fmt.Errorf("store %s: %w: it does not tell its space", store, image.ErrStoreOffline)
}

// Close gives up what goes on beside the verbs, and waits for its end.
func (s *Service) Close() {
	s.mu.Lock()
	s.stopMeasuring()
	s.mu.Unlock()
	s.measuring.Wait()
}

// spaces asks the stores that can tell for their space, all at once, and returns what each said. It does not wait for one that is
// away. Without a space there is an error, by the id of the store.
func (s *Service) spaces(ctx context.Context) (spaces map[string]imagestore.Space, failed map[string]error) {
	spaces, failed = map[string]imagestore.Space{}, map[string]error{}
	waiting := map[string]<-chan struct{}{}
	for _, e := range s.stores.Entries() {
		if store, ok := e.Store.(imagestore.Measured); ok {
			waiting[e.ID] = s.measure(e.ID, store)
		}
	}
	ctx, stop := context.WithTimeout(ctx, spacePatience)
	defer stop()
	for id, done := range waiting {
		select {
		case <-done:
		case <-ctx.Done():
		}
		s.mu.Lock()
		m := s.upkeep[id].measured
		s.mu.Unlock()
		if m.err != nil {
			failed[id] = m.err
		} else {
			spaces[id] = m.space
		}
	}
	return spaces, failed
}

// measure lets a store measure itself, once for all who ask meanwhile.
func (s *Service) measure(id string, store imagestore.Measured) (done <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &s.upkeep[id].measured
	if m.busy != nil {
		return m.busy
	}
	if s.whileOpen.Err() != nil {
		return s.whileOpen.Done()
	}
	busy := make(chan struct{})
	m.busy = busy
	s.measuring.Go(func() {
		ctx, stop := context.WithTimeout(s.whileOpen, spaceTimeout)
		defer stop()
		space, err := store.Space(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			err = silent(id)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		*m = measurement{space: space, err: err}
		close(busy)
	})
	return busy
}

// Space adds up what the stores have, in bytes. One that is away keeps nobody from asking; it fails when all of them are.
func (t *Tree) Space(ctx context.Context) (sum imagestore.Space, err error) {
	spaces, failed := t.svc.spaces(ctx)
	for _, space := range spaces {
		sum.Total += space.Total
		sum.Free += space.Free
	}
	if len(spaces) > 0 {
		return sum, nil
	}
	for _, e := range failed {
		err = errors.Join(err, e)
	}
	return sum, err
}
