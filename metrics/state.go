package metrics

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
)

// A Store is how a store is.
type Store struct {
	ID          string
	Up          bool
	Measured    bool  // it can tell its space
	Total, Free int64 // bytes
}

// A Cache is what a cache has done so far.
type Cache struct {
	Hits, Misses uint64
	Bytes        int64 // that it holds
}

// Stores shows how the stores are when somebody asks. health must not wait for one that hangs.
func (m *Metrics) Stores(health func(context.Context) []Store) {
	m.registry.MustRegister(&storeCollector{health: health,
		up:    prometheus.NewDesc("vitrine_store_up", "Whether the store answers: 1 or 0. One that cannot be asked always is up.", []string{"store"}, nil),
		total: prometheus.NewDesc("vitrine_store_size_bytes", "Size of the store, as far as it can tell.", []string{"store"}, nil),
		free:  prometheus.NewDesc("vitrine_store_free_bytes", "Bytes that uploads may still take in the store, as far as it can tell.", []string{"store"}, nil)})
}

type storeCollector struct {
	health          func(context.Context) []Store
	up, total, free *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (c *storeCollector) Describe(descs chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{c.up, c.total, c.free} {
		descs <- desc
	}
}

// Collect implements prometheus.Collector.
func (c *storeCollector) Collect(into chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value float64, store string) {
		into <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, store)
	}
	for _, s := range c.health(context.Background()) {
		gauge(c.up, number(s.Up), s.ID)
		if s.Up && s.Measured {
			gauge(c.total, float64(s.Total), s.ID)
			gauge(c.free, float64(s.Free), s.ID)
		}
	}
}

// Cache shows a cache by its name.
func (m *Metrics) Cache(name string, stats func() Cache) {
	labels := prometheus.Labels{"cache": name}
	m.registry.MustRegister(
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "vitrine_cache_hits_total", Help: "What was asked of a cache and was there.", ConstLabels: labels},
			func() float64 { return float64(stats().Hits) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "vitrine_cache_misses_total", Help: "What was asked of a cache and was not there.", ConstLabels: labels},
			func() float64 { return float64(stats().Misses) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "vitrine_cache_bytes", Help: "Bytes that a cache holds.", ConstLabels: labels},
			func() float64 { return float64(stats().Bytes) }))
}

// MountUp shows whether the mount is served.
func (m *Metrics) MountUp(up func() bool) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "vitrine_mount_up", Help: "Whether the mount that is configured is served: 1 or 0."},
		func() float64 { return number(up()) }))
}

// number is 1 for true.
func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
