package events

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

// AuditConfig says where the audit log is.
type AuditConfig struct {
	File FileConfig
	// Strict refuses requests while the log cannot be written; see Audit.Check.
	Strict bool
	Logger *slog.Logger // nil discards; gets the records that the file does not take
}

// An Audit writes down who did what, before the caller gets his answer. It is safe for concurrent use.
type Audit struct {
	file   *lineFile
	strict bool
	log    *slog.Logger

	mu      sync.Mutex
	problem error     // why the file did not take the last record, nil when it did
	tried   time.Time // when that was
	unsafe  error     // why the file could not be synced or followed last, nil when it could
	missed  int64     // records that are not in the file, since one was
	stats   AuditStats
}

// AuditStats counts records since the start.
type AuditStats struct {
	Written int64
	Missed  int64 // that only the daemon's log has
}

// OpenAudit opens the file. It starts no goroutines; call Run, and Close after that.
func OpenAudit(cfg AuditConfig) (*Audit, error) {
	a := &Audit{strict: cfg.Strict, log: cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))}
	var err error
	if a.file, err = openLines(cfg.File, a.log); err != nil {
		return nil, fmt.Errorf("audit log: %w", err)
	}
	return a, nil
}

// Record writes an act down. When that fails the act is in the daemon's log instead, and Err tells. Request id and origin
// come from the context.
func (a *Audit) Record(ctx context.Context, act Act) {
	line, err := encode(describeAct(ctx, act))
	if err != nil { // no value of a record can make it fail
		a.log.ErrorContext(ctx, "an act cannot be written down", "action", act.Action, "object", act.Kind, "id", act.ID, "error", err)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	err = a.gap()
	if err == nil {
		_, err = a.file.write(append(line, '\n'))
	}
	if a.took(err); err != nil {
		a.missed++
		a.stats.Missed++
		a.log.ErrorContext(ctx, "the audit log cannot be written, this record is missing there", "record", string(line), "error", err)
		return
	}
	a.stats.Written++
}

// gap writes down that records are missing, if there are any; the caller has the lock.
func (a *Audit) gap() error {
	if a.missed == 0 {
		return nil
	}
	line, err := encode(struct {
		Time   string `json:"time"`
		Action Action `json:"action"`
		Kind   string `json:"object"`
		Missed int64  `json:"missed"`
	}{time.Now().UTC().Format(recordLayout), "resume", "audit_log", a.missed})
	if err == nil {
		_, err = a.file.write(append(line, '\n'))
	}
	if err == nil {
		a.missed = 0
	}
	return err
}

// took remembers whether the file took what was written; the caller has the lock.
func (a *Audit) took(err error) {
	if err == nil && a.problem != nil {
		a.log.Info("the audit log can be written again", "path", a.file.cfg.Path)
	}
	a.problem, a.tried = err, time.Now()
}

// Err returns why records do not reach the file or the disk, nil when they do. It looks whether they still do not reach the
// file, at most every second; the disk is Run's business.
func (a *Audit) Err() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.problem != nil && time.Since(a.tried) >= time.Second {
		a.took(a.gap())
	}
	return cmp.Or(a.problem, a.unsafe)
}

// Check refuses a request that could not be written down. It is asked before the request is carried out: what was done
// already when the log fails is not undone. Without Strict it refuses nothing. Errors: image.ErrUnavailable.
func (a *Audit) Check() error {
	if a.strict && a.Err() != nil {
		return image.Errorf(image.ErrUnavailable, "The audit log cannot be written, and no request is carried out without it")
	}
	return nil
}

// Stats returns the counters.
func (a *Audit) Stats() AuditStats {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.stats
}

// Reopen opens the file again if it was moved, as logrotate's postrotate asks for. Without it the same happens within a
// second while Run runs.
func (a *Audit) Reopen() error { return a.file.follow() }

// Run makes records survive a power cut within a second, until ctx ends.
func (a *Audit) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			a.keep()
			return nil
		case <-tick.C:
			a.keep()
		}
	}
}

// keep syncs the file, and says loudly when that fails.
func (a *Audit) keep() {
	err := errors.Join(a.file.follow(), a.file.sync())
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case err != nil && (a.unsafe == nil || a.unsafe.Error() != err.Error()):
		a.log.Error("the audit log may lose records with a power cut", "path", a.file.cfg.Path, "error", err)
	case err == nil && a.unsafe != nil:
		a.log.Info("the audit log is safe again", "path", a.file.cfg.Path)
	}
	a.unsafe = err
	if a.problem != nil {
		a.took(a.gap())
	}
}

// Close syncs and closes the file. Later records go to the daemon's log.
func (a *Audit) Close() error { return a.file.close() }
