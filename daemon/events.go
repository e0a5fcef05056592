package daemon

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vitrine-image/vitrine/auth"
	"github.com/vitrine-image/vitrine/events"
)

// EventsConfig is the section [events].
type EventsConfig struct {
	Path        string                   `toml:"path"` // "" for none, with webhooks events.jsonl in the data directory
	MaxSize     Size                     `toml:"max_size"`
	Keep        int                      `toml:"keep"`
	PublisherID string                   `toml:"publisher_id"`
	Disabled    []string                 `toml:"disabled"`
	Webhooks    map[string]WebhookConfig `toml:"webhooks"`
}

// WebhookConfig is one of the sections [events.webhooks.NAME].
type WebhookConfig struct {
	URL        string   `toml:"url"`
	SecretFile string   `toml:"secret_file"`
	Only       []string `toml:"only"`
	Disabled   []string `toml:"disabled"`
	Attempts   int      `toml:"attempts"` // 0 for 5
	Timeout    Duration `toml:"timeout"`  // 0 for 10 seconds
}

// AuditConfig is the section [audit].
type AuditConfig struct {
	Path    string `toml:"path"` // "" for none
	Strict  bool   `toml:"strict"`
	MaxSize Size   `toml:"max_size"`
	Keep    int    `toml:"keep"`
}

func defaultEvents() EventsConfig { return EventsConfig{MaxSize: 64 << 20, Keep: 8} }

func defaultAudit() AuditConfig { return AuditConfig{Keep: 8} }

// checkEvents fills in where events go, and reports what can be told without reading further files.
func (cfg *Config) checkEvents(fail func(string, ...any)) {
	if cfg.Events.Path == "" && len(cfg.Events.Webhooks) > 0 {
		cfg.Events.Path = filepath.Join(cfg.Data, "events.jsonl")
	}
	absolute(fail, "events.path", cfg.Events.Path)
	absolute(fail, "audit.path", cfg.Audit.Path)
	if cfg.Events.Path != "" && cfg.Events.Path == cfg.Audit.Path {
		fail("audit.path: %s is events.path already", cfg.Audit.Path)
	}
	if cfg.Audit.Strict && cfg.Audit.Path == "" {
		fail("audit.strict: there is no audit log; set audit.path")
	}
	for name, hook := range cfg.Events.Webhooks {
		needFile(fail, "events.webhooks."+name+".secret_file", hook.SecretFile)
	}
}

// eventLog returns what the event log needs, nil when there is none. It reads the secrets of webhooks.
func (cfg *Config) eventLog() (*events.Config, error) {
	e := &cfg.Events
	if e.Path == "" {
		return nil, nil
	}
	c := &events.Config{File: events.FileConfig{Path: e.Path, MaxSize: int64(e.MaxSize), Keep: e.Keep}, PublisherID: e.PublisherID,
		Disabled: e.Disabled, StateDir: filepath.Join(cfg.Data, "webhooks")}
	var wrong []error
	for _, name := range slices.Sorted(maps.Keys(e.Webhooks)) {
		hook := e.Webhooks[name]
		secret, err := secretFrom("", hook.SecretFile)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("events.webhooks.%s.secret_file: %w", name, err))
			continue
		}
		c.Hooks = append(c.Hooks, events.HookConfig{Name: name, URL: hook.URL, Secret: secret, Only: hook.Only, Disabled: hook.Disabled,
			Attempts: hook.Attempts, Timeout: time.Duration(hook.Timeout)})
	}
	return c, errors.Join(wrong...)
}

func (a *AuditConfig) file() events.FileConfig {
	return events.FileConfig{Path: a.Path, MaxSize: int64(a.MaxSize), Keep: a.Keep}
}

// tryEvents reports why the logs could not be opened, without making them. The data directory is made by a start.
func (cfg *Config) tryEvents() error {
	var wrong []error
	c, err := cfg.eventLog()
	wrong = append(wrong, err)
	if c != nil && err == nil {
		wrong = append(wrong, c.Check())
	}
	if cfg.Audit.Path != "" {
		wrong = append(wrong, cfg.Audit.file().Check())
	}
	for key, path := range map[string]string{"events.path": cfg.Events.Path, "audit.path": cfg.Audit.Path} {
		dir := filepath.Dir(path)
		if path == "" || dir == cfg.Data {
			continue
		}
		if info, err := os.Stat(dir); err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", key, err))
		} else if !info.IsDir() {
			wrong = append(wrong, fmt.Errorf("%s: %s is no directory", key, dir))
		}
	}
	return errors.Join(wrong...)
}

// openEvents opens the event log and the audit log, as far as they are configured.
func (d *daemon) openEvents() error {
	cfg, err := d.cfg.eventLog()
	if err != nil {
		return err
	}
	if cfg != nil {
		if len(cfg.Hooks) > 0 {
			if err := os.MkdirAll(cfg.StateDir, 0o750); err != nil {
				return err
			}
		}
		transport, err := d.cfg.Outgoing.webhooks()
		if err != nil {
			return err
		}
		d.onClose(func() error { transport.CloseIdleConnections(); return nil })
		cfg.Transport, cfg.Logger = transport, d.log
		if d.eventLog, err = events.Open(*cfg); err != nil {
			return err
		}
		d.onClose(d.eventLog.Close)
	}
	if d.cfg.Audit.Path != "" {
		if d.auditLog, err = events.OpenAudit(events.AuditConfig{File: d.cfg.Audit.file(), Strict: d.cfg.Audit.Strict, Logger: d.log}); err != nil {
			return err
		}
		d.onClose(d.auditLog.Close)
	}
	return nil
}

// webhooks returns the transport of webhooks. Their targets are the operator's: the filter of what users ask for does not
// apply.
func (c *OutgoingConfig) webhooks() (*http.Transport, error) {
	trusted, err := auth.TrustFile(c.CAFile, false)
	if err != nil {
		return nil, fmt.Errorf("outgoing.ca_file: %w", err)
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}
	return &http.Transport{Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, TLSClientConfig: trusted,
		TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: 30 * time.Second}, nil
}

// runEvents writes the logs until ctx ends.
func (d *daemon) runEvents(ctx context.Context) error {
	var g errgroup.Group
	if d.eventLog != nil {
		g.Go(func() error { return d.eventLog.Run(ctx) })
	}
	if d.auditLog != nil {
		g.Go(func() error { return d.auditLog.Run(ctx) })
	}
	g.Go(func() error { d.heedSignals(ctx); return nil })
	return g.Wait()
}

// reopenEvents opens the logs again.
func (d *daemon) reopenEvents() {
	var err error
	if d.eventLog != nil {
		err = d.eventLog.Reopen()
	}
	if d.auditLog != nil {
		err = errors.Join(err, d.auditLog.Reopen())
	}
	if err != nil {
		d.log.Error("a log cannot be opened again, lines go where they went", "error", err)
	}
}
