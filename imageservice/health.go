package imageservice

import (
	"context"

	"github.com/vitrine-image/vitrine/imagestore"
)

// StoreHealth is how a store is.
type StoreHealth struct {
	ID    string
	Space *imagestore.Space // nil for one that cannot tell
	Err   error             // why it does not answer
}

// StoreHealth asks all stores, the staging area among them, and does not wait for one that hangs. One that cannot tell its space is not
// asked, and counts as well.
func (s *Service) StoreHealth(ctx context.Context) []StoreHealth {
	spaces, failed := s.spaces(ctx)
	var all []StoreHealth
	for _, e := range s.stores.Entries() {
		health := StoreHealth{ID: e.ID, Err: failed[e.ID]}
		if space, ok := spaces[e.ID]; ok {
			health.Space = &space
		}
		all = append(all, health)
	}
	return all
}
