package events

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"sync"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

// A HookConfig names a target of webhooks.
type HookConfig struct {
	Name     string       // letters, digits, - and _; its cursor has this name
	URL      string       // http or https, perhaps with user:password@
	Secret   image.Secret // at least 16 bytes; signs what is sent
	Only     []string     // events it is told of, as in Config.Disabled; nil for all
	Disabled []string     // events it is not told of

	Attempts int           // how often it is told of an event that it refuses (a 4xx but 408 and 429); 0 is 5
	Timeout  time.Duration // for an answer, 0 is 10 seconds
}

// HookStats says how far a webhook is.
type HookStats struct {
	Name      string
	Delivered int64  // events that were accepted
	Skipped   int64  // that were refused too often
	Lost      int64  // that were gone from the log before they could be sent
	Behind    int64  // events in the log that were not looked at yet
	Problem   string // why the last attempt failed, "" when it did not
}

// A hook tells one target what the event log says, in its order, at its own pace.
type hook struct {
	name     string
	url      string
	shown    string // the URL without what is secret in it
	secret   image.Secret
	filter   filter
	attempts int
	client   http.Client
	log      *slog.Logger
	wake     chan struct{} // holds a token when the log has grown

	reader  *reader
	cursor  cursor
	savedAt time.Time
	trouble string // with the log or the cursor, told last

	mu    sync.Mutex
	stats HookStats
	done  int64 // number of the last event that needs no more telling
}

// saveEvery is how often it is saved how far a hook is, at most.
const saveEvery = time.Second

var hookNames = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

func (cfg HookConfig) check() error {
	u, err := url.Parse(cfg.URL)
	switch {
	case !hookNames.MatchString(cfg.Name):
		return errors.New("its name must consist of letters, digits, - and _")
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return errors.New("its URL is none of http or https")
	case len(cfg.Secret) < 16:
		return errors.New("its secret must have 16 bytes at least")
	case cfg.Attempts < 0 || cfg.Timeout < 0:
		return errors.New("its attempts or its timeout are negative")
	}
	_, err = newFilter(cfg.Only, cfg.Disabled)
	return err
}

// newHook returns a webhook whose configuration was checked.
func newHook(cfg HookConfig, transport http.RoundTripper, log *slog.Logger) *hook {
	u, _ := url.Parse(cfg.URL)
	shown := u.Scheme + "://" + u.Host + u.EscapedPath()
	return &hook{name: cfg.Name, url: cfg.URL, shown: shown, secret: cfg.Secret, filter: filter{cfg.Only, cfg.Disabled}, attempts: cmp.Or(cfg.Attempts, 5),
		client: http.Client{
			Transport:     transport,
			Timeout:       cmp.Or(cfg.Timeout, 10*time.Second),
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		log: log.With("webhook", cfg.Name, "url", shown), wake: make(chan struct{}, 1)}
}

// load finds out where to go on. A new webhook begins after the last event; one whose cursor cannot be read begins with
// the oldest that is left, and tells rather too much.
func (h *hook) load(last int64) error {
	n, found, err := h.cursor.load()
	switch {
	case found && err != nil:
		h.log.Warn("how far the webhook is cannot be read; it is told of all events that are left", "error", err)
		list, err := segments(h.reader.path)
		if err != nil {
			return err
		}
		if n = last; len(list) > 0 {
			n = list[0].first - 1
		}
		h.cursor.saved = -1
	case err != nil:
		return err
	case !found:
		n, h.cursor.saved = last, -1
	}
	h.reader.after, h.done = n, n
	return h.cursor.save(n)
}

// notify tells that the log has grown. It never waits.
func (h *hook) notify() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// run sends until ctx ends.
func (h *hook) run(ctx context.Context) {
	defer h.reader.close()
	defer h.save()
	for ctx.Err() == nil {
		before := h.reader.after
		e, body, err := h.reader.next()
		switch {
		case err == nil:
			h.missing(e.Sequence - before - 1)
			if h.filter.allows(e.EventType) && !h.deliver(ctx, e, body) {
				return
			}
			h.mu.Lock()
			h.done = e.Sequence
			h.mu.Unlock()
			if time.Since(h.savedAt) >= saveEvery {
				h.save()
			}
		case err == io.EOF:
			h.wait(ctx)
		default:
			h.tell("the event log cannot be read", err)
			h.reader.close()
			h.sleep(ctx, firstWait)
		}
	}
}

// wait returns when the log has grown or ctx ends. What was done meanwhile is saved after a while, not for each event.
func (h *hook) wait(ctx context.Context) {
	for {
		var due <-chan time.Time
		if h.done != h.cursor.saved {
			due = time.After(saveEvery)
		}
		select {
		case <-due:
			h.save()
		case <-h.wake:
			return
		case <-ctx.Done():
			return
		}
	}
}

// missing says loudly that the log has a gap.
func (h *hook) missing(n int64) {
	if n <= 0 {
		return
	}
	h.log.Error("events are not in the event log any more, or were never written; the webhook is not told of them", "events", n)
	h.mu.Lock()
	h.stats.Lost += n
	h.mu.Unlock()
}

// save writes down how far the webhook is. Events after that are told again after a crash.
func (h *hook) save() {
	h.savedAt = time.Now()
	if err := h.cursor.save(h.done); err != nil {
		h.tell("how far the webhook is cannot be saved; it may be told again of events", err)
		return
	}
	h.trouble = ""
}

// tell logs an error unless it was the last one to be logged.
func (h *hook) tell(what string, err error) {
	if h.trouble != err.Error() {
		h.trouble = err.Error()
		h.log.Error(what, "error", err)
	}
}

// status returns the counters; last is the number of the last event.
func (h *hook) status(last int64) HookStats {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.stats
	s.Name, s.Behind = h.name, max(last-h.done, 0)
	return s
}
