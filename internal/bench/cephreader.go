//go:build ceph

package main

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

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

// random returns how many random reads of a size there were in a second.
func (r *reader) random(ctx context.Context, size, depth int) (measured, error) {
	const lasts = 2 * time.Second
	var reads atomic.Int64
	start := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	for range depth {
		g.Go(func() error {
			p := make([]byte, size)
			for time.Since(start) < lasts {
				if _, err := r.bytes.ReadAt(ctx, p, rand.Int64N(r.bytes.Size()/int64(size))*int64(size)); err != nil {
					return err
				}
				reads.Add(1)
			}
			return nil
		})
	}
	err := g.Wait()
	return measured{value: float64(reads.Load()) / time.Since(start).Seconds()}, err
}
