// Package metrics counts what the daemon does and shows it to Prometheus. Others are wrapped, or call one of the methods
// when something has ended; none of them knows Prometheus. Start reading at Metrics; docs/reference/metrics.md lists all
// that there is. Labels have few values, which the configuration or the program fixes: never an id.
package metrics

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/vitrine-image/vitrine/internal/version"
)

// Metrics are all that one daemon shows. It is safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry

	requests      *prometheus.HistogramVec // by method, route, code
	requestBytes  *prometheus.CounterVec   // by method, route
	responseBytes *prometheus.CounterVec   // by method, route
	storeBytes    *prometheus.CounterVec   // by store, direction
	database      *prometheus.HistogramVec // by operation
	unavailable   *prometheus.CounterVec   // by operation
	jobRuns       *prometheus.CounterVec   // by name, result
	jobSeconds    *prometheus.CounterVec   // by name
	jobSuccess    *prometheus.GaugeVec     // by name; the label job is Prometheus's
	mount         *mountCollector
	mountErrors   *prometheus.CounterVec // by operation, errno
	mountOpens    *prometheus.CounterVec // by path
}

// requestBuckets reach from what a cache answers to the upload of a large image, in seconds.
var requestBuckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800}

// databaseBuckets are in seconds.
var databaseBuckets = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5}

// New returns metrics that show the process, the Go runtime and the version, and count from zero. Of the mount they count the
// operations of these names.
func New(mountOperations []string) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), mount: newMountCollector(mountOperations)}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
	}
	m.requests = histogram("vitrine_http_request_duration_seconds", "How long requests took, from their header to the last byte of the answer, by what they asked for.",
		requestBuckets, "method", "route", "code")
	m.requestBytes = counter("vitrine_http_request_bytes_total", "Bytes of the bodies of requests.", "method", "route")
	m.responseBytes = counter("vitrine_http_response_bytes_total", "Bytes of the bodies of answers.", "method", "route")
	m.storeBytes = counter("vitrine_store_bytes_total", "Bytes of image data that went into a store, and that came out of it through this process.", "store", "direction")
	m.database = histogram("vitrine_database_duration_seconds", "How long transactions took, with waiting for their turn and with the commit.", databaseBuckets, "operation")
	m.unavailable = counter("vitrine_database_unavailable_total", "Transactions that failed because the database could not be read or written.", "operation")
	m.jobRuns = counter("vitrine_job_runs_total", "Runs of the periodic jobs, by their result: ok or failed.", "name", "result")
	m.jobSeconds = counter("vitrine_job_duration_seconds_total", "Time that the runs of the periodic jobs took.", "name")
	m.jobSuccess = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "vitrine_job_last_success_timestamp_seconds",
		Help: "When the job last ended well, in Unix time."}, []string{"name"})
	m.mountErrors = counter("vitrine_mount_errors_total", "Operations of the mount that failed, but for names that are not there.", "operation", "errno")
	m.mountOpens = counter("vitrine_mount_opens_total", "Files that were opened in the mount, by who reads them: kernel (passthrough) or daemon.", "reader")
	build := prometheus.NewGauge(prometheus.GaugeOpts{Name: "vitrine_build_info", Help: "The version of the daemon; the value is 1.",
		ConstLabels: prometheus.Labels{"version": version.String()}})
	build.Set(1)
	m.registry.MustRegister(m.requests, m.requestBytes, m.responseBytes, m.storeBytes, m.database, m.unavailable, m.jobRuns, m.jobSeconds, m.jobSuccess,
		m.mount, m.mountErrors, m.mountOpens, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, reader := range []string{byKernel, byDaemon} {
		m.mountOpens.WithLabelValues(reader)
	}
	return m
}

// Handler serves the metrics. What cannot be gathered is left out, and logged by nobody: Prometheus sees that it is missing.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4})
}

// Request counts a request that was answered. route is a pattern, not a path; code is 0 for one that got no answer.
func (m *Metrics) Request(method, route string, code int, took time.Duration, received, sent int64) {
	m.requests.WithLabelValues(method, route, strconv.Itoa(code)).Observe(took.Seconds())
	m.requestBytes.WithLabelValues(method, route).Add(float64(received))
	m.responseBytes.WithLabelValues(method, route).Add(float64(sent))
}

// Stored counts bytes of data that went into a store.
func (m *Metrics) Stored(store string, bytes int64) {
	m.storeBytes.WithLabelValues(store, "in").Add(float64(bytes))
}

// Read counts bytes of data that came out of a store.
func (m *Metrics) Read(store string, bytes int64) {
	m.storeBytes.WithLabelValues(store, "out").Add(float64(bytes))
}
