//go:build ceph

package rbdstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/rbd"
)

// failure wraps an error of the cluster in our words. What it does not know keeps the store from working as well.
func (s *Store) failure(err error) error {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, rbd.ErrFull):
		return fmt.Errorf("store %s: %w: %w", s.id, image.ErrStoreFull, err)
	case errors.Is(err, rbd.ErrExists):
		return fmt.Errorf("store %s: %w: %w", s.id, image.ErrConflict, err)
	case errors.Is(err, rbd.ErrNotFound):
		return fmt.Errorf("store %s: %w: %w", s.id, image.ErrDataMissing, err)
	}
	return fmt.Errorf("store %s: %w: %w", s.id, image.ErrStoreOffline, err)
}

// refusal is failure for the first step of a write: who may only read is told so.
func (s *Store) refusal(err error) error {
	if errors.Is(err, rbd.ErrDenied) {
		return fmt.Errorf("store %s: %w: %w", s.id, image.ErrStoreReadOnly, err)
	}
	return s.failure(err)
}
