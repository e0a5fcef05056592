//go:build ceph

package main

import (
	"context"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/imagestore/rbdstore"
)

// A reader is that of the store which the daemon has as well, with nothing above it.
type reader struct {
	store *rbdstore.Store
	bytes imagestore.Reader
}

func openReader(ctx context.Context, conf, id string) (*reader, error) {
	s, err := rbdstore.Open(rbdstore.Config{ID: "ceph", Pool: cephPool, User: "images", Conf: conf})
	if err != nil {
		return nil, err
	}
	r, err := s.Open(ctx, image.Location{Store: "ceph", URL: "rbd://" + id})
	if err != nil {
		s.Close()
		return nil, err
	}
	return &reader{s, r}, nil
}

func (r *reader) Close() error {
	r.bytes.Close()
	return r.store.Close()
}

func (r *reader) random(ctx context.Context, size, depth int) (measured, error) {
	return randomReads(ctx, r.bytes, size, depth)
}
