package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vitrine-image/vitrine/api"
	"github.com/vitrine-image/vitrine/fusefs"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/metrics"
)

// MetricsConfig is the section [metrics].
type MetricsConfig struct {
	Listen []string `toml:"listen"` // host:port or unix:/path
}

func (cfg *Config) checkMetrics(fail func(string, ...any)) {
	for _, addr := range cfg.Metrics.Listen {
		if _, err := checkAddress(addr); err != nil {
			fail("metrics.listen: %w", err)
		}
	}
}

// monitor answers monitoring systems.
func (d *daemon) monitor() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", d.metrics.Handler())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", d.showReadiness)
	return mux
}

// serveMonitor answers monitoring systems until ctx ends.
func (d *daemon) serveMonitor(ctx context.Context, listeners []net.Listener) error {
	server := &http.Server{Handler: d.monitor(), ReadHeaderTimeout: 10 * time.Second, WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute}
	var g errgroup.Group
	for _, l := range listeners {
		d.log.Info("listening for monitoring", "address", address(l.Addr()))
		g.Go(func() error {
			if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve metrics on %s: %w", l.Addr(), err)
			}
			return nil
		})
	}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	return g.Wait()
}

// A readiness is what /readyz answers.
type readiness struct {
	Ready    bool         `json:"ready"`
	Database string       `json:"database"` // "ok", or what is wrong
	Mount    string       `json:"mount"`    // "ok", "off" or "gone"
	Stores   []storeState `json:"stores"`
}

type storeState struct {
	ID    string `json:"id"`
	State string `json:"state"` // "up" or "down"
	Error string `json:"error,omitempty"`
	Size  *int64 `json:"size_bytes,omitempty"` // of one that can tell
	Free  *int64 `json:"free_bytes,omitempty"`
}

// readyTime is how long the database may take to answer.
const readyTime = 5 * time.Second

// showReadiness tells whether requests can be served here, and how each store is. A store that is away does not count: images
// that lie elsewhere are served, and all daemons that use it would be taken out of service at once.
func (d *daemon) showReadiness(w http.ResponseWriter, r *http.Request) {
	ctx, stop := context.WithTimeout(r.Context(), readyTime)
	defer stop()
	state := readiness{Ready: true, Database: "ok", Mount: "off"}
	if err := d.service.CheckReady(ctx); err != nil {
		state.Ready, state.Database = false, err.Error()
	}
	switch {
	case d.mounted.Load():
		state.Mount = "ok"
	case d.cfg.Mount.Path != "":
		state.Mount = "gone"
		state.Ready = state.Ready && !d.cfg.Mount.Required
	}
	for _, s := range d.service.StoreHealth(ctx) {
		shown := storeState{ID: s.ID, State: "up"}
		if s.Err != nil {
			shown.State, shown.Error = "down", s.Err.Error()
		}
		if s.Space != nil {
			shown.Size, shown.Free = &s.Space.Total, &s.Space.Free
		}
		state.Stores = append(state.Stores, shown)
	}
	w.Header().Set("Content-Type", "application/json")
	if !state.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	out.Encode(state) // a failure shows up in the connection
}

// showState adds to the metrics what is asked for when somebody looks.
func (d *daemon) showState() {
	d.metrics.Stores(func(ctx context.Context) []metrics.Store {
		var all []metrics.Store
		for _, s := range d.service.StoreHealth(ctx) {
			shown := metrics.Store{ID: s.ID, Up: s.Err == nil}
			if s.Space != nil {
				shown.Measured, shown.Total, shown.Free = true, s.Space.Total, s.Space.Free
			}
			all = append(all, shown)
		}
		return all
	})
	d.metrics.Cache("tables", func() metrics.Cache { return metrics.Cache(d.tables.Stats()) })
	if d.cfg.Mount.Path != "" {
		d.metrics.MountUp(d.mounted.Load)
	}
}

// countRequest counts what the API has answered.
func (d *daemon) countRequest(o api.Observation) {
	d.metrics.Request(o.Method, o.Route, o.Status, o.Took, o.Received, o.Sent)
}

// mountObserver counts what the kernel asks for, nil where nobody can see it.
func (d *daemon) mountObserver() fusefs.Observer {
	if len(d.cfg.Metrics.Listen) == 0 {
		return nil
	}
	return mountObserver{d.metrics}
}

type mountObserver struct{ metrics *metrics.Metrics }

func (o mountObserver) Observe(op fusefs.Observation) {
	o.metrics.MountOperation(metrics.Operation{Name: op.Operation, Key: op.Unique >> 1, Took: op.Took, Bytes: int64(op.Bytes), Errno: int(op.Status)})
}

func (o mountObserver) Opened(passed bool) { o.metrics.MountOpened(passed) }

// countReads returns r with what it reads counted as the location's store's.
func (d *daemon) countReads(r imagestore.Reader, loc image.Location) imagestore.Reader {
	counted := countedReader{r, loc.Store, d.metrics}
	if e, ok := r.(imagestore.ExtentReader); ok {
		return struct {
			countedReader
			extenter
		}{counted, e}
	}
	return counted
}

// extenter is what an ExtentReader adds to a Reader.
type extenter interface {
	Extents(ctx context.Context, off, n int64) ([]imagestore.Extent, error)
}

type countedReader struct {
	imagestore.Reader
	store   string
	metrics *metrics.Metrics
}

func (r countedReader) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	n, err := r.Reader.ReadAt(ctx, p, off)
	r.metrics.Read(r.store, int64(n))
	return n, err
}
