package events

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/requestid"
)

// Config says where events go.
type Config struct {
	File        FileConfig // the event log. Webhooks read it: what was removed before they got there is lost to them
	PublisherID string     // who tells, in each event; "" is "image." and the name of the host
	Disabled    []string   // events that are not told at all: names, or what names begin with, such as "image.member"

	Queue int64 // bytes of events that may wait for the file; 0 is 16 MiB

	Hooks     []HookConfig
	StateDir  string            // existing directory, for how far each webhook is; required if there are any
	Transport http.RoundTripper // for webhooks, nil is http.DefaultTransport

	Logger *slog.Logger // nil discards
}

// Check reports what can never work, without opening anything.
func (cfg Config) Check() error {
	if cfg.Queue < 0 {
		return errors.New("events: the size of the queue is negative")
	}
	if err := cfg.File.Check(); err != nil {
		return fmt.Errorf("events: %w", err)
	}
	if _, err := newFilter(nil, cfg.Disabled); err != nil {
		return fmt.Errorf("events: disabled: %w", err)
	}
	names := make(map[string]bool)
	for _, hook := range cfg.Hooks {
		switch err := hook.check(); {
		case err != nil:
			return fmt.Errorf("events: webhook %q: %w", hook.Name, err)
		case names[hook.Name]:
			return fmt.Errorf("events: there are two webhooks named %q", hook.Name)
		case cfg.StateDir == "":
			return errors.New("events: there is no directory for how far webhooks are")
		}
		names[hook.Name] = true
	}
	return nil
}

// A Log writes events to a file, from which webhooks are sent. It is safe for concurrent use.
type Log struct {
	file      *lineFile
	filter    filter
	publisher string
	limit     int64
	hooks     []*hook
	log       *slog.Logger
	wake      chan struct{} // holds a token when the queue was filled

	mu       sync.Mutex
	queue    [][]byte // lines
	queued   int64    // bytes of it
	sequence int64    // of the last event
	stats    Stats
}

// Stats says what became of the events since the start.
type Stats struct {
	Emitted int64 // that were not disabled
	Dropped int64 // that did not reach the file, since it could not be written, or not fast enough
	Queued  int64 // bytes that wait
	Hooks   []HookStats
}

// Open opens the file and reads how far webhooks are. It starts no goroutines; call Run, and Close after that.
func Open(cfg Config) (l *Log, err error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("events: %w", err)
		}
	}()
	l = &Log{filter: filter{disabled: cfg.Disabled}, publisher: cfg.PublisherID, limit: cmp.Or(cfg.Queue, 16<<20), log: cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler)),
		wake: make(chan struct{}, 1)}
	if l.publisher == "" {
		host, err := os.Hostname()
		if err != nil {
			return nil, err
		}
		l.publisher = "image." + host
	}
	if l.file, err = openLines(cfg.File, l.log); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			l.file.close()
		}
	}()
	if l.sequence, err = lastSequence(cfg.File.Path); err != nil {
		return nil, err
	}
	return l, l.openHooks(cfg)
}

// openHooks makes the webhooks. Numbers go on after what any of them has seen, even if the log was removed.
func (l *Log) openHooks(cfg Config) error {
	for _, hc := range cfg.Hooks {
		h := newHook(hc, cfg.Transport, l.log)
		h.cursor.path = filepath.Join(cfg.StateDir, hc.Name+".cursor")
		h.reader = &reader{path: cfg.File.Path, still: &l.file.mu}
		if n, _, err := h.cursor.load(); err == nil {
			l.sequence = max(l.sequence, n)
		}
		l.hooks = append(l.hooks, h)
	}
	for _, h := range l.hooks {
		if err := h.load(l.sequence); err != nil {
			return fmt.Errorf("webhook %q: %w", h.name, err)
		}
	}
	return nil
}

// Emit tells of an event. It neither waits nor fails: when too many wait already the event is dropped, counted, and the
// log says so. The request id comes from the context.
func (l *Log) Emit(ctx context.Context, e Event) {
	if !l.filter.allows(e.Name) {
		return
	}
	payload, err := encode(e.payload)
	if err != nil {
		l.log.ErrorContext(ctx, "an event cannot be told", "event", e.Name, "error", err)
		return
	}
	line := envelope{MessageID: image.NewID(), PublisherID: l.publisher, EventType: e.Name, Priority: e.Priority,
		Timestamp: e.At.UTC().Format(timestampLayout), RequestID: requestid.From(ctx), Payload: payload}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.Emitted++
	l.sequence++ // also when it is dropped: those who read see that one is missing
	line.Sequence = l.sequence
	text, err := encode(line)
	if size := int64(len(text)) + 1; err != nil || size > maxLine || l.queued+size > l.limit {
		l.stats.Dropped++
		return
	}
	l.queue = append(l.queue, append(text, '\n'))
	l.queued += int64(len(text)) + 1
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Stats returns the counters.
func (l *Log) Stats() Stats {
	l.mu.Lock()
	s, last := l.stats, l.sequence
	s.Queued = l.queued
	l.mu.Unlock()
	for _, h := range l.hooks {
		s.Hooks = append(s.Hooks, h.status(last))
	}
	return s
}

// Reopen opens the file again if it was moved, as logrotate's postrotate asks for. Without it the same happens within a
// second while Run runs.
func (l *Log) Reopen() error { return l.file.follow() }

// Run writes events and sends webhooks until ctx ends; then it writes what waits and returns. It is called once.
func (l *Log) Run(ctx context.Context) error {
	var g errgroup.Group
	for _, h := range l.hooks {
		g.Go(func() error { h.run(ctx); return nil })
	}
	g.Go(func() error { l.write(ctx); return nil })
	return g.Wait()
}

// Close closes the file. What was emitted since the end of Run is lost.
func (l *Log) Close() error { return l.file.close() }
