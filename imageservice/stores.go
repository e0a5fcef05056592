package imageservice

import (
	"context"
	"maps"

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

// StoresDetail returns the stores to who may know how they are configured. Their properties have total and free, in bytes, of
// stores that can tell their space and are not away. Error: image.ErrForbidden.
func (s *Session) StoresDetail(ctx context.Context) (_ []StoreInfo, err error) {
	defer s.recordRefusal(ctx, events.StoreObject, "", &err)
	if err := s.svc.policy.Check(ctx, s.caller, policy.StoresInfoDetail, policy.ForProject(s.caller.ProjectID)); err != nil {
		return nil, err
	}
	infos := s.svc.Stores()
	spaces, _ := s.svc.spaces(ctx)
	for i, info := range infos {
		if space, ok := spaces[info.ID]; ok {
			properties := map[string]any{"total": space.Total, "free": space.Free}
			maps.Copy(properties, info.Properties)
			infos[i].Properties = properties
		}
	}
	return infos, nil
}
