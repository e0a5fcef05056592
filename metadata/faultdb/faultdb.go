// Package faultdb makes a database fail in tests: what faultstore is to stores.
package faultdb

import (
	"context"
	"fmt"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadata"
)

// DB fails its nth Update or UpdateFreeing, counted from 1: without any effect, or after the commit took effect.
type DB struct {
	metadata.DB
	Nth   int
	After bool // the commit takes effect all the same
	Fired bool // whether there was an nth

	count int
}

// Update implements metadata.DB. Errors: image.ErrUnavailable for the nth.
func (db *DB) Update(ctx context.Context, fn func(metadata.WriteTx) error) error {
	return db.fail(ctx, db.DB.Update, fn)
}

// UpdateFreeing implements metadata.DB. Errors: image.ErrUnavailable for the nth.
func (db *DB) UpdateFreeing(ctx context.Context, fn func(metadata.WriteTx) error) error {
	return db.fail(ctx, db.DB.UpdateFreeing, fn)
}

func (db *DB) fail(ctx context.Context, update func(context.Context, func(metadata.WriteTx) error) error,
	fn func(metadata.WriteTx) error) error {
	if db.count++; db.count != db.Nth {
		return update(ctx, fn)
	}
	db.Fired = true
	if db.After {
		if err := update(ctx, fn); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: injected fault", image.ErrUnavailable)
}
