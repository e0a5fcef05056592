package metrics

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"
)

// Who reads a file of the mount that was opened.
const (
	byKernel = "kernel"
	byDaemon = "daemon"
)

// An Operation is a request of the kernel to the mount that was answered.
type Operation struct {
	Name  string // one of those that New was given; others are not counted
	Key   uint64 // any number that differs between those under way at the same time
	Took  time.Duration
	Bytes int64 // that were read
	Errno int   // 0 for none
}

// MountOperation counts an operation. It takes no lock.
func (m *Metrics) MountOperation(op Operation) {
	t, ok := m.mount.tallies[op.Name]
	if !ok {
		return
	}
	t.add(op)
	if errno := unix.Errno(op.Errno); errno != 0 && errno != unix.ENOENT {
		m.mountErrors.WithLabelValues(op.Name, unix.ErrnoName(errno)).Inc()
	}
}

// MountOpened counts a file that was opened, and whether the kernel reads it by itself.
func (m *Metrics) MountOpened(passed bool) {
	reader := byDaemon
	if passed {
		reader = byKernel
	}
	m.mountOpens.WithLabelValues(reader).Inc()
}

// mountBounds are the upper ends of the buckets.
var mountBounds = []time.Duration{10 * time.Microsecond, 25 * time.Microsecond, 50 * time.Microsecond, 100 * time.Microsecond, 250 * time.Microsecond,
	500 * time.Microsecond, time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 5 * time.Second, 30 * time.Second}

// shards is a power of two.
const shards = 16

// A tally is a histogram of one operation. Many readers add to it at once, so it is in parts that lie in different lines of
// the processors' caches.
type tally [shards]struct {
	buckets [16]atomic.Uint64 // one for each bound, and one for what took longer; not cumulative
	nanos   atomic.Int64
	bytes   atomic.Int64
	_       [112]byte
}

func (t *tally) add(op Operation) {
	s := &t[op.Key%shards]
	i, _ := slices.BinarySearch(mountBounds, op.Took)
	s.buckets[i].Add(1)
	s.nanos.Add(int64(op.Took))
	if op.Bytes > 0 {
		s.bytes.Add(op.Bytes)
	}
}

// sum adds the parts up.
func (t *tally) sum() (count uint64, took time.Duration, bytes int64, buckets map[float64]uint64) {
	buckets = make(map[float64]uint64, len(mountBounds))
	for i := range len(mountBounds) + 1 {
		for s := range t {
			count += t[s].buckets[i].Load()
		}
		if i < len(mountBounds) {
			buckets[mountBounds[i].Seconds()] = count
		}
	}
	for s := range t {
		took += time.Duration(t[s].nanos.Load())
		bytes += t[s].bytes.Load()
	}
	return count, took, bytes, buckets
}

// A mountCollector shows the tallies.
type mountCollector struct {
	tallies         map[string]*tally // by the name of the operation; the map does not change
	duration, bytes *prometheus.Desc
}

func newMountCollector(operations []string) *mountCollector {
	c := &mountCollector{tallies: make(map[string]*tally),
		duration: prometheus.NewDesc("vitrine_mount_operation_duration_seconds",
			"How long the daemon took for what the kernel asked of the mount; reads that the kernel does by itself are not among them.", []string{"operation"}, nil),
		bytes: prometheus.NewDesc("vitrine_mount_read_bytes_total", "Bytes that the daemon gave to readers of the mount; those that the kernel read by itself are not among them.", nil, nil)}
	for _, name := range operations {
		c.tallies[name] = new(tally)
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *mountCollector) Describe(descs chan<- *prometheus.Desc) {
	descs <- c.duration
	descs <- c.bytes
}

// Collect implements prometheus.Collector.
func (c *mountCollector) Collect(into chan<- prometheus.Metric) {
	total := int64(0)
	for name, t := range c.tallies {
		count, took, bytes, buckets := t.sum()
		total += bytes
		into <- prometheus.MustNewConstHistogram(c.duration, count, took.Seconds(), buckets, name)
	}
	into <- prometheus.MustNewConstMetric(c.bytes, prometheus.CounterValue, float64(total))
}
