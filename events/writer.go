package events

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"time"
)

// chunk is how many bytes are written to the file at once, about.
const chunk = 256 << 10

// reportEvery is how often the log repeats that events are lost or cannot be written.
const reportEvery = time.Minute

// write moves events from the queue to the file, which is synced every second.
func (l *Log) write(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	r := reporter{log: l.log.With("path", l.file.cfg.Path)}
	for {
		select {
		case <-ctx.Done():
			r.problem(errors.Join(l.flush(), l.file.sync()))
			dropped, waiting := l.lost()
			r.dropped(dropped+waiting, 0)
			return
		case <-l.wake:
			if err := l.flush(); err != nil {
				r.problem(err)
			}
		case <-tick.C:
			r.problem(errors.Join(l.file.follow(), l.flush(), l.file.sync()))
			dropped, _ := l.lost()
			r.dropped(dropped, reportEvery)
		}
	}
}

// lost returns how many events were dropped, and how many wait.
func (l *Log) lost() (dropped, waiting int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stats.Dropped, int64(len(l.queue))
}

// flush writes what waits. When that fails the rest goes on waiting.
func (l *Log) flush() error {
	for {
		lines := l.head()
		if len(lines) == 0 {
			return nil
		}
		n, err := l.file.write(lines)
		l.written(int64(n))
		for _, h := range l.hooks {
			h.notify()
		}
		if err != nil {
			return err
		}
	}
}

// head returns the first lines of the queue.
func (l *Log) head() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b bytes.Buffer
	for _, line := range l.queue {
		if b.Len() > 0 && b.Len()+len(line) > chunk {
			break
		}
		b.Write(line)
	}
	return b.Bytes()
}

// written removes the first n bytes from the queue, which are whole lines.
func (l *Log) written(n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queued -= n
	for ; n > 0; l.queue = l.queue[1:] {
		n -= int64(len(l.queue[0]))
		l.queue[0] = nil
	}
	if len(l.queue) == 0 {
		l.queue = nil
	}
}

// A reporter tells the daemon's log what is wrong with the event log, loudly and not too often.
type reporter struct {
	log *slog.Logger

	known   string // problem that was told last
	knownAt time.Time
	told    int64 // dropped events
	toldAt  time.Time
}

// problem tells of an error, and with nil that it is over.
func (r *reporter) problem(err error) {
	now := time.Now()
	switch {
	case err == nil && r.known != "":
		r.known = ""
		r.log.Info("the event log can be written again")
	case err != nil && (r.known != err.Error() || now.Sub(r.knownAt) >= reportEvery):
		r.known, r.knownAt = err.Error(), now
		r.log.Error("the event log cannot be written; events wait, and are dropped when there are too many", "error", err)
	}
}

// dropped tells how many events were dropped since it told so last, which is at least so long ago.
func (r *reporter) dropped(total int64, every time.Duration) {
	if now := time.Now(); total > r.told && now.Sub(r.toldAt) >= every {
		r.log.Error("events were dropped; neither the event log nor webhooks tell of them", "events", total-r.told)
		r.told, r.toldAt = total, now
	}
}
