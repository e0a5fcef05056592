package metrics

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadata"
)

// Database returns db with its transactions timed.
func (m *Metrics) Database(db metadata.DB) metadata.DB {
	timed := func(name string) operation {
		return operation{m.database.WithLabelValues(name), m.unavailable.WithLabelValues(name)}
	}
	return &database{db, timed("view"), timed("update"), timed("update_freeing")}
}

type database struct {
	metadata.DB
	view, update, updateFreeing operation
}

// An operation is a kind of transaction.
type operation struct {
	duration    prometheus.Observer
	unavailable prometheus.Counter
}

func (o operation) time(do func() error) error {
	start := time.Now()
	err := do()
	o.duration.Observe(time.Since(start).Seconds())
	if errors.Is(err, image.ErrUnavailable) {
		o.unavailable.Inc()
	}
	return err
}

// View implements metadata.DB.
func (d *database) View(ctx context.Context, fn func(metadata.Tx) error) error {
	return d.view.time(func() error { return d.DB.View(ctx, fn) })
}

// Update implements metadata.DB.
func (d *database) Update(ctx context.Context, fn func(metadata.WriteTx) error) error {
	return d.update.time(func() error { return d.DB.Update(ctx, fn) })
}

// UpdateFreeing implements metadata.DB.
func (d *database) UpdateFreeing(ctx context.Context, fn func(metadata.WriteTx) error) error {
	return d.updateFreeing.time(func() error { return d.DB.UpdateFreeing(ctx, fn) })
}
