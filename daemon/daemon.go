// Package daemon wires the packages into a running vitrined: configuration in, listeners and a mount out. Start reading
// at Run.
package daemon

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sync/errgroup"

	"github.com/vitrine-image/vitrine/api"
	"github.com/vitrine-image/vitrine/auth"
	"github.com/vitrine-image/vitrine/diskformat"
	"github.com/vitrine-image/vitrine/events"
	"github.com/vitrine-image/vitrine/fusefs"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/ingest"
	"github.com/vitrine-image/vitrine/internal/outbound"
	"github.com/vitrine-image/vitrine/keeper"
	"github.com/vitrine-image/vitrine/metadata"
	"github.com/vitrine-image/vitrine/metadata/sqlite"
	"github.com/vitrine-image/vitrine/metrics"
)

// Options are what the command line adds to a configuration.
type Options struct {
	Log io.Writer // nil is standard error
	// Ready, unless nil, is called once everything answers.
	Ready func(Running)
	// Reread, unless nil, returns the configuration as it is now; SIGHUP asks for it.
	Reread func() (Config, error)
}

// Running is what a daemon tells of itself once it answers.
type Running struct {
	Addrs []net.Addr // of the listeners, as configured, those with TLS last
}

// Run serves until ctx ends, and then stops in order: listeners, requests under way, jobs, mount, stores, database.
// It returns nil after a stop that was asked for.
func Run(ctx context.Context, cfg Config, opts Options) (err error) {
	if err := cfg.finish(); err != nil {
		return err
	}
	if opts.Log == nil {
		opts.Log = os.Stderr
	}
	d := &daemon{cfg: cfg, reread: opts.Reread, metrics: metrics.New(fusefs.Operations())}
	d.level.Set(cfg.Log.level())
	d.log = newLogger(cfg.Log, &d.level, opts.Log)
	d.live.config.Store(&d.cfg)
	defer func() { err = errors.Join(err, d.close()) }()
	d.catchSignals()
	boundGarbage()
	listeners, err := d.listen(ctx) // before anything is made that a wrong address would leave behind
	if err != nil {
		return err
	}
	for _, l := range listeners {
		d.onClose(func() error { l.Close(); return nil }) // mostly closed by then
	}
	monitors, err := listenAll(ctx, d.cfg.Metrics.Listen)
	for _, l := range monitors {
		d.onClose(func() error { l.Close(); return nil })
	}
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	if err := d.open(ctx); err != nil {
		return err
	}
	return d.serve(ctx, listeners, monitors, opts.Ready)
}

// A daemon is what Run holds between its start and its end.
type daemon struct {
	cfg      Config
	log      *slog.Logger
	db       metadata.DB
	stores   *imagestore.Set
	service  *imageservice.Service
	auth     auth.Authenticator
	outgoing *outbound.Client
	eventLog *events.Log   // nil for none
	auditLog *events.Audit // nil for none
	signals  signals
	reread   func() (Config, error)
	live     live
	level    slog.LevelVar  // of the log
	closers  []func() error // called last first

	keepDisks func(context.Context, *fusefs.Mount) // as files, while the mount is served; nil for none

	metrics *metrics.Metrics
	tables  *diskformat.Cache // of disks that are open
	mounted atomic.Bool       // and the mount is served

	knowsNothing bool // the database had no active image at the start
}

func (d *daemon) onClose(fn func() error) { d.closers = append(d.closers, fn) }

func (d *daemon) close() (err error) {
	for i := len(d.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, d.closers[i]())
	}
	return err
}

// openData brings up database and stores.
func (d *daemon) openData(ctx context.Context) error {
	path, err := d.cfg.Metadata.sqlitePath()
	if err != nil {
		return err
	}
	lock, err := lockDatabase(path)
	if err != nil {
		return err
	}
	d.onClose(lock.Close)
	db, err := sqlite.Open(ctx, sqlite.Config{Path: path, Logger: d.log})
	if err != nil {
		return err
	}
	d.db = db
	d.onClose(db.Close)
	if err := lock.lockFile(); err != nil { // it may be new
		return err
	}
	stores, opened, err := openStores(ctx, d.cfg, d.db, d.log)
	for _, store := range opened {
		d.onClose(store.Close)
	}
	if err != nil {
		return err
	}
	d.stores = stores
	return nil
}

// open brings up database, stores and service, and cleans up after a crash.
func (d *daemon) open(ctx context.Context) error {
	if err := d.openData(ctx); err != nil {
		return err
	}
	d.db = d.metrics.Database(d.db)
	ingester, err := ingest.New(ingest.Config{HashAlgo: d.cfg.Images.HashingAlgorithm, Budget: int64(d.cfg.Images.BufferMemory),
		Formats: d.cfg.Images.rules(), Stored: d.metrics.Stored})
	if err != nil {
		return err
	}
	rules, protections, err := d.cfg.Policy.open(d.log)
	if err != nil {
		return err
	}
	d.onClose(func() error { rules.Close(); return nil })
	signatures, err := d.cfg.openSignatures(d.log)
	if err != nil {
		return err
	}
	quotas, err := d.cfg.openQuotas(d.log)
	if err != nil {
		return err
	}
	imports, err := d.openImports()
	if err != nil {
		return err
	}
	converter, err := d.openConverter()
	if err != nil {
		return err
	}
	if err := d.openEvents(); err != nil {
		return err
	}
	d.tables = diskformat.NewCache(int64(d.cfg.Images.TableCache))
	service := imageservice.Config{DB: d.db, Stores: d.stores, Ingest: ingester, Instance: rand.Text(),
		Tables: d.tables, Read: d.metrics.Read,
		Formats: d.cfg.Images.declared(),
		Limits: &imageservice.Limits{ImageSize: int64(d.cfg.Images.SizeCap), Properties: d.cfg.Images.PropertyQuota,
			Tags: d.cfg.Images.TagQuota, Members: d.cfg.Images.MemberQuota, Locations: d.cfg.Images.LocationQuota}, Quotas: quotas,
		TrashInUse: d.cfg.Images.DeleteInUse == "trash", Policy: rules, Protections: protections, Signatures: signatures, Import: imports, Converter: converter,
		Locations: imageservice.LocationConfig{Edit: d.cfg.API.ShowLocations, Verify: d.cfg.Images.SecureHash}, Logger: d.log}
	if d.eventLog != nil {
		service.Events = d.eventLog
	}
	if d.auditLog != nil {
		service.Audit = d.auditLog
	}
	if d.service, err = imageservice.New(service); err != nil {
		return err
	}
	d.onClose(func() error { d.service.Close(); return nil })
	if d.auth, err = d.cfg.openAuth(d.log); err != nil {
		return err
	}
	if err := d.recover(ctx); err != nil {
		return err
	}
	return d.findLost(ctx)
}

// recover cleans up after the process before this one. The lock on the database says that it is dead. What cannot be
// cleaned up now (a full disk, a directory that is away) is tried again by the jobs, which clean up in the stores that are
// not on this machine, too: nobody waits for a cluster that is away.
func (d *daemon) recover(ctx context.Context) error {
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"register this instance", d.service.Beat},
		{"forget the instances before", d.service.BuryOthers},
		{"sweep the stores", func(ctx context.Context) error { return d.service.Sweep(ctx, d.hasAtHand) }},
	} {
		if err := step.do(ctx); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			d.log.Warn("cleaning up after the last run is not complete yet", "step", step.what, "error", err)
		}
	}
	d.onClose(func() error {
		ctx, stop := context.WithTimeout(context.Background(), 5*time.Second)
		defer stop()
		if err := d.service.Leave(ctx); err != nil {
			d.log.Warn("this instance could not sign off", "error", err)
		}
		return nil
	})
	return nil
}

// hasAtHand reports whether a store's data lies on this machine. One that is not configured is nowhere else, either.
func (d *daemon) hasAtHand(store string) bool {
	return !slices.ContainsFunc(d.stores.Entries(), func(e imagestore.Entry) bool { return e.ID == store && !e.Local })
}

// serve runs listeners, jobs and mount until ctx ends or one of them fails.
func (d *daemon) serve(ctx context.Context, listeners, monitors []net.Listener, ready func(Running)) error {
	requests := &inflight{}
	d.live.serve = func(cfg Config) error {
		handler, err := d.handler(cfg)
		if err == nil {
			requests.serve(handler)
		}
		return err
	}
	if err := d.live.serve(d.cfg); err != nil {
		return err
	}
	mount, err := d.mount(ctx)
	if err != nil {
		return err
	}
	d.mounted.Store(mount != nil)
	d.showState()
	imports, err := d.importer()
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	jobs, stopJobs := context.WithCancel(context.WithoutCancel(ctx))
	var working sync.WaitGroup
	working.Add(2)
	g.Go(func() error { defer working.Done(); return keeper.Run(jobs, d.log, d.metrics.Jobs(d.jobs())...) })
	g.Go(func() error { defer working.Done(); return imports.Run(jobs) })
	if mount != nil && d.keepDisks != nil {
		working.Add(1)
		g.Go(func() error { defer working.Done(); d.keepDisks(jobs, mount); return nil })
	}
	logs, stopLogs := context.WithCancel(context.WithoutCancel(ctx))
	g.Go(func() error { return d.runEvents(logs) })
	tests, stopTests := context.WithCancel(context.WithoutCancel(ctx))
	g.Go(func() error { return d.feedWatchdog(tests, d.selfTest(ctx, mount != nil)) })
	g.Go(func() error { return d.serveMonitor(tests, monitors) })
	server := api.NewServer(requests, d.log, d.cfg.API.MaxConnections)
	mountStopped := make(chan struct{})
	stopMount := func() {}
	if mount == nil {
		close(mountStopped)
	} else {
		var mountCtx context.Context
		mountCtx, stopMount = context.WithCancel(context.WithoutCancel(ctx))
		g.Go(func() error {
			defer close(mountStopped)
			err := mount.Serve(mountCtx)
			d.mounted.Store(false)
			if errors.Is(err, fusefs.ErrUnmounted) || errors.Is(err, fusefs.ErrHandedOver) {
				d.log.Error("going on without the mount", "path", d.cfg.Mount.Path, "error", err)
				return nil
			}
			return err
		})
		settle(ctx, mount)
	}
	for _, l := range listeners {
		d.log.Info("listening", "address", address(l.Addr()))
		g.Go(func() error {
			if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve the API on %s: %w", l.Addr(), err)
			}
			return nil
		})
	}
	g.Go(func() error {
		<-ctx.Done()
		d.log.Info("stopping")
		d.tell(sd.SdNotifyStopping, "STATUS=Waiting for requests under way")
		d.drain(server, requests)
		stopJobs()
		stopMount()
		<-mountStopped
		working.Wait()
		stopLogs() // nothing happens any more
		stopTests()
		return nil
	})
	d.tell(sd.SdNotifyReady, "STATUS="+d.status(mount != nil))
	if ready != nil {
		addrs := make([]net.Addr, len(listeners))
		for i, l := range listeners {
			addrs[i] = l.Addr()
		}
		ready(Running{Addrs: addrs})
	}
	return g.Wait()
}

// settle waits until what is open in a mount that was taken over counts as in use: before, no image can safely be deleted. It does
// not wait for a store that hangs.
func settle(ctx context.Context, mount *fusefs.Mount) {
	ctx, stop := context.WithTimeout(ctx, settleTime)
	defer stop()
	select {
	case <-mount.Settled():
	case <-ctx.Done():
	}
}

const settleTime = 10 * time.Second

// handler answers the API as the configuration says.
func (d *daemon) handler(cfg Config) (http.Handler, error) {
	c := cfg.API
	proxies, err := api.ParseProxies(c.TrustedProxies)
	if err != nil {
		return nil, err
	}
	config := api.Config{
		CORS: c.cors(), Proxies: proxies, Rates: cfg.Limits.rates(),
		Images: func(caller image.Caller) api.Session { return d.service.As(caller) },
		Auth:   d.auth, Stores: d.service.Stores(), ImportMethods: d.service.ImportMethods(), Formats: d.cfg.Images.declared(), Logger: d.log, PublicURL: c.PublicEndpoint, AllowedHosts: c.AllowedHosts,
		CacheMaxAge: time.Duration(c.CacheMaxAge), Sendfile: c.Sendfile, StallTimeout: time.Duration(c.StallTimeout),
		Observe: d.countRequest, Ready: d.service.CheckReady, DisableFile: c.DisableFile, ShowLocations: c.ShowLocations, ShowDirectURL: c.ShowDirectURL,
	}
	if d.auditLog != nil {
		config.Recordable = d.auditLog.Check
	}
	return api.New(config)
}

// drain lets requests under way end, for as long as the configuration allows, and then cuts them off.
func (d *daemon) drain(server *api.Server, requests *inflight) {
	patience := time.Duration(d.live.config.Load().API.DrainTimeout)
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	if err := server.Shutdown(ctx); err != nil {
		d.log.Warn("requests were cut off", "after", patience)
		server.Close()
		if !requests.wait(cutOffTime) {
			d.log.Error("requests that were cut off do not end")
		}
	}
}

// cutOffTime is how long requests that were cut off may take to clean up.
const cutOffTime = 10 * time.Second

// listen opens all addresses or none, those with TLS last. Sockets of systemd take the place of addresses.
func (d *daemon) listen(ctx context.Context) (listeners []net.Listener, err error) {
	secure, err := d.cfg.API.openTLS(d.log)
	if err != nil {
		return nil, err
	}
	given, err := d.cfg.givenListeners()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			for _, l := range listeners {
				l.Close()
			}
		}
	}()
	for _, kind := range []struct {
		name   string
		addrs  []string
		secure *tls.Config
	}{{socketAPI, d.cfg.API.Listen, nil}, {socketTLS, d.cfg.API.ListenTLS, secure}} {
		opened := given[kind.name]
		if len(opened) == 0 {
			opened, err = listenAll(ctx, kind.addrs)
		}
		for _, l := range opened {
			if kind.secure != nil {
				l = tls.NewListener(l, kind.secure)
			}
			listeners = append(listeners, l)
		}
		if err != nil {
			return nil, err
		}
	}
	return listeners, nil
}

// mount serves the tree at the configured path. Unless the mount is required the daemon runs without it when this
// machine cannot mount, and says why.
func (d *daemon) mount(ctx context.Context) (*fusefs.Mount, error) {
	if d.cfg.Mount.Path == "" {
		return nil, nil
	}
	cfg, err := d.mountConfig(ctx)
	if err != nil {
		return nil, err
	}
	m, err := fusefs.New(cfg)
	if err == nil {
		err = m.Attach(ctx)
	}
	if err == nil {
		d.service.Follow(m.Applied)
		d.service.AskOpeners(openersOf(ctx, m))
		if !m.Passes() {
			readForTheKernel()
		}
		return m, nil
	}
	if d.cfg.Mount.Required {
		return nil, fmt.Errorf("mount %s: %w", d.cfg.Mount.Path, err)
	}
	d.log.Error("serving without the mount", "path", d.cfg.Mount.Path, "error", err)
	return nil, nil
}
