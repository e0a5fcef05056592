package imageservice

import (
	"context"
	"errors"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

// patience is how long a store may take to answer before others are not kept waiting for it.
const patience = 2 * time.Second

// A turn is how to wait until garbage of a store may be removed: one removes it at a time. Call end afterwards.
type turn func(ctx context.Context, store string) (end func(), err error)

// awaitTurn waits until ctx ends.
func (s *Service) awaitTurn(ctx context.Context, store string) (end func(), err error) {
	u := s.upkeep[store]
	select {
	case u.collecting <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	s.setRemoval(u, time.Now())
	return func() {
		s.setRemoval(u, time.Time{})
		<-u.collecting
	}, nil
}

// awaitTurnBriefly is for those who keep a client waiting: it does not wait for a store that hangs, nor for long. The sweep
// is woken then. Error: image.ErrStoreOffline.
func (s *Service) awaitTurnBriefly(ctx context.Context, store string) (end func(), err error) {
	if !s.hangs(store) {
		ctx, stop := context.WithTimeout(ctx, patience)
		defer stop()
		if end, err = s.awaitTurn(ctx, store); err == nil {
			return end, nil
		}
	}
	s.wakeSweep(store)
	return nil, image.Errorf(image.ErrStoreOffline, "Store %q is slow to answer others", store)
}

func (s *Service) setRemoval(u *upkeep, since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u.removal = since
}

// hangs reports whether the store is known not to answer just now: who has a choice leaves it to the sweep, which finds out
// when it answers again.
func (s *Service) hangs(store string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.upkeep[store]
	return u.hangs || !u.removal.IsZero() && time.Since(u.removal) >= patience
}

// ask calls a store, and takes note of whether it answers.
func (s *Service) ask(store string, call func() error) error {
	begun := time.Now()
	err := call()
	if errors.Is(err, context.Canceled) {
		return err // nobody waited for an answer
	}
	silent := errors.Is(err, image.ErrStoreOffline) || errors.Is(err, context.DeadlineExceeded)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.upkeep[store].hangs = silent && time.Since(begun) >= patience
	return err
}

// hurried bounds how long a store is asked that is known to hang.
func (s *Service) hurried(ctx context.Context, store string) (context.Context, context.CancelFunc) {
	if s.hangs(store) {
		return context.WithTimeout(ctx, patience)
	}
	return context.WithCancel(ctx)
}
