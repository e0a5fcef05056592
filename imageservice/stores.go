package imageservice

import (
	"context"
	"errors"

	"github.com/vitrine-image/vitrine/events"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/policy"
)

// StoreInfo is what clients may know of a store.
type StoreInfo struct {
	ID          string
	Description string
	Default     bool
	ReadOnly    bool
	Weight      int
	Type        string         // of the backend, such as "file"
	Properties  map[string]any // how it is configured, as far as operators may know
}

// Stores returns the configured stores, sorted by id, without those that are reserved.
func (s *Service) Stores() []StoreInfo {
	var infos []StoreInfo
	for _, e := range s.stores.Entries() {
		if imagestore.Reserved(e.ID) {
			continue
		}
		_, writes := e.Store.(imagestore.Writer)
		properties := e.Properties
		if d, ok := e.Store.(imagestore.Described); ok {
			properties = d.Properties()
		}
		infos = append(infos, StoreInfo{ID: e.ID, Description: e.Description, Default: e.Default, ReadOnly: !writes, Weight: e.Weight,
			Type: e.Type, Properties: properties})
	}
	return infos
}

// StoresDetail returns the stores to who may know how they are configured. Error: image.ErrForbidden.
func (s *Session) StoresDetail(ctx context.Context) (_ []StoreInfo, err error) {
	defer s.recordRefusal(ctx, events.StoreObject, "", &err)
	if err := s.svc.policy.Check(ctx, s.caller, policy.StoresInfoDetail, policy.ForProject(s.caller.ProjectID)); err != nil {
		return nil, err
	}
	return s.svc.Stores(), nil
}

// SweepStores removes from the stores what writes left that never got a name: from each once, and again when it could not be
// done, when a later write may have left something, and at its time if the store is imagestore.Recurrent. Call it before the
// first upload, and now and then: a store may be away.
func (s *Service) SweepStores(ctx context.Context) error {
	var failed []error
	for _, e := range s.stores.Entries() {
		sweeper, ok := e.Store.(imagestore.Sweeper)
		if !ok || !s.sweepDue(e) {
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
	now := s.now()
	last, swept := s.swept[e.ID]
	r, recurs := e.Store.(imagestore.Recurrent)
	if swept && (!recurs || now.Sub(last) < r.SweepEvery()) {
		return false
	}
	s.swept[e.ID] = now
	return true
}

// unswept says that something may lie in the store that a sweep would remove.
func (s *Service) unswept(store string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.swept, store)
}
