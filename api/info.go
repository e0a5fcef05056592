package api

import (
	"context"
	"net/http"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
)

// InfoSession is what one caller may know of the server.
type InfoSession interface {
	StoresDetail(ctx context.Context) ([]imageservice.StoreInfo, error)
	Usage(ctx context.Context) ([]image.Quota, error)
}

// showImportMethods serves GET /v2/info/import.
func (s *server) showImportMethods(w http.ResponseWriter, r *http.Request) error {
	return s.answer(w, r, func() (any, error) { return wire.ImportInfoOf(s.cfg.ImportMethods), nil })
}

// showUsage serves GET /v2/info/usage.
func (s *server) showUsage(w http.ResponseWriter, r *http.Request) error {
	return s.answer(w, r, func() (any, error) {
		quotas, err := s.session(r).Usage(r.Context())
		return wire.UsageOf(quotas), err
	})
}

// listStores serves GET /v2/info/stores.
func (s *server) listStores(w http.ResponseWriter, r *http.Request) error {
	return s.answer(w, r, func() (any, error) {
		if err := s.severalStores(); err != nil {
			return nil, err
		}
		doc := wire.Stores{Stores: []wire.Store{}}
		for _, store := range s.cfg.Stores {
			doc.Stores = append(doc.Stores, storeOf(store))
		}
		return doc, nil
	})
}

// listStoreDetails serves GET /v2/info/stores/detail.
func (s *server) listStoreDetails(w http.ResponseWriter, r *http.Request) error {
	return s.answer(w, r, func() (any, error) {
		if err := s.severalStores(); err != nil {
			return nil, err
		}
		stores, err := s.session(r).StoresDetail(r.Context())
		if err != nil {
			return nil, err
		}
		doc := wire.StoreDetails{Stores: []wire.StoreDetail{}}
		for _, store := range stores {
			detail := wire.StoreDetail{Store: storeOf(store), Type: store.Type, Weight: store.Weight, Properties: store.Properties}
			if detail.Properties == nil {
				detail.Properties = map[string]any{}
			}
			doc.Stores = append(doc.Stores, detail)
		}
		return doc, nil
	})
}

// severalStores refuses, for the sake of clients who take the answer for a choice, where there is but one store.
func (s *server) severalStores() error {
	if !s.documents.MultiStore {
		return image.Errorf(image.ErrNotFound, "Multi backend is not supported at this site: it has a single store.")
	}
	return nil
}

func storeOf(store imageservice.StoreInfo) wire.Store {
	return wire.Store{ID: store.ID, Description: store.Description, Default: store.Default, ReadOnly: store.ReadOnly}
}
