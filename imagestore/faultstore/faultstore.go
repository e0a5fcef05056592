// Package faultstore fails calls of a store, for tests of those who use one. A test tries each n from 1 on, Before and
// After, until nothing fails any more:
//
//	for n := 1; ; n++ {
//		store := faultstore.New(real, n, faultstore.After)
//		... // use store, then check that what remains is right
//		if !store.Fired() {
//			break
//		}
//	}
package faultstore

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
)

// ErrFault is what the failing call returns.
var ErrFault = errors.New("injected fault")

// When says at which moment a call fails.
type When int

// The moments: a call that fails Before has no effect, one that fails After has its whole effect.
const (
	Before When = iota
	After
)

// A Store passes every call on to another one, but for the one that fails. The calls of its readers count as well; they
// are only Readers, so that every read is a call. What the other store cannot do gives errors.ErrUnsupported.
type Store struct {
	inner imagestore.Writer
	nth   int64
	when  When
	calls atomic.Int64
}

// New returns a Store whose nth call fails, counted from 1; 0 fails none.
func New(inner imagestore.Writer, nth int, when When) *Store {
	return &Store{inner: inner, nth: int64(nth), when: when}
}

// Fired reports whether the call that fails has come.
func (s *Store) Fired() bool { return s.nth > 0 && s.calls.Load() >= s.nth }

// call does one call, or fails it.
func (s *Store) call(do func() error) error {
	fails := s.calls.Add(1) == s.nth
	if fails && s.when == Before {
		return ErrFault
	}
	err := do()
	if fails {
		return ErrFault
	}
	return err
}

// Open implements imagestore.Store.
func (s *Store) Open(ctx context.Context, loc image.Location) (imagestore.Reader, error) {
	var r imagestore.Reader
	err := s.call(func() (err error) {
		r, err = s.inner.Open(ctx, loc)
		return err
	})
	if err != nil && r != nil {
		r.Close()
	}
	if err != nil {
		return nil, err
	}
	return &reader{s, r}, nil
}

type reader struct {
	store *Store
	inner imagestore.Reader
}

func (r *reader) ReadAt(ctx context.Context, p []byte, off int64) (n int, err error) {
	err = r.store.call(func() error {
		n, err = r.inner.ReadAt(ctx, p, off)
		return err
	})
	if err == ErrFault {
		n = 0
	}
	return n, err
}

func (r *reader) Size() int64  { return r.inner.Size() }
func (r *reader) Close() error { return r.inner.Close() }

// Put implements imagestore.Writer. When it fails After, the object is there all the same.
func (s *Store) Put(ctx context.Context, obj imagestore.Object, src imagestore.Source) (image.Location, error) {
	var loc image.Location
	err := s.call(func() (err error) {
		loc, err = s.inner.Put(ctx, obj, src)
		return err
	})
	if err != nil {
		return image.Location{}, err
	}
	return loc, nil
}

// Delete implements imagestore.Writer.
func (s *Store) Delete(ctx context.Context, loc image.Location) error {
	return s.call(func() error { return s.inner.Delete(ctx, loc) })
}

// Locate implements imagestore.Writer. It cannot fail, and is not counted.
func (s *Store) Locate(obj imagestore.Object) image.Location { return s.inner.Locate(obj) }

// Space implements imagestore.Measured.
func (s *Store) Space(ctx context.Context) (space imagestore.Space, err error) {
	m, ok := s.inner.(imagestore.Measured)
	if !ok {
		return space, errors.ErrUnsupported
	}
	err = s.call(func() error {
		space, err = m.Space(ctx)
		return err
	})
	return space, err
}

// Audit implements imagestore.Auditor.
func (s *Store) Audit(ctx context.Context, found func(imagestore.Finding) error) error {
	a, ok := s.inner.(imagestore.Auditor)
	if !ok {
		return errors.ErrUnsupported
	}
	return s.call(func() error { return a.Audit(ctx, found) })
}

// Sweep implements imagestore.Sweeper.
func (s *Store) Sweep(ctx context.Context) (removed int, err error) {
	w, ok := s.inner.(imagestore.Sweeper)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	err = s.call(func() error {
		removed, err = w.Sweep(ctx)
		return err
	})
	return removed, err
}
