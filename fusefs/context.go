package fusefs

import (
	"context"
	"sync"
	"time"
)

// interruptible is a context that ends when the kernel interrupts the request. It starts no goroutine and allocates
// next to nothing, since every read has one.
type interruptible struct{ cancel <-chan struct{} }

func (interruptible) Deadline() (time.Time, bool) { return time.Time{}, false }
func (c interruptible) Done() <-chan struct{}     { return c.cancel }
func (interruptible) Value(any) any               { return nil }

func (c interruptible) Err() error {
	select {
	case <-c.cancel:
		return context.Canceled
	default:
		return nil
	}
}

// patience is how long an operation on names and attributes, or a search for holes, may take.
const patience = 30 * time.Second

// patient returns the context of such an operation. It takes no notice of interrupts: hardly a
// program expects EINTR from stat, open or lseek, and a signal is no reason to fail them. The deadline keeps a process that
// waits for a database or store that hangs from being unkillable for ever.
func (m *Mount) patient() (context.Context, context.CancelFunc) {
	return context.WithTimeout(m.ctx, patience)
}

// A quiet remembers what was said lately.
type quiet struct {
	mu   sync.Mutex
	said map[string]time.Time
}

const (
	quietFor = time.Minute
	quietMax = 1024
)

// seen reports whether key was seen within the last minute.
func (q *quiet) seen(key string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	if t, ok := q.said[key]; ok && now.Sub(t) < quietFor {
		return true
	}
	if q.said == nil || len(q.said) >= quietMax {
		q.said = make(map[string]time.Time)
	}
	q.said[key] = now
	return false
}
