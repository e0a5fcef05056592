package fusefs

import (
	"slices"
	"sync"
	"time"
)

// An Opener is a thread that opened a file of an image through the mount, and has not closed it yet as far as the kernel told.
type Opener struct {
	PID   int
	Since time.Time
}

// openers remembers who opened what, to name those who use an image. It is no more than that: what a predecessor served is not in it.
type openers struct {
	mu    sync.Mutex
	table map[uint64]opened // by the handle
}

type opened struct {
	node node
	by   Opener
}

// add is told of an open before the kernel learns of it.
func (o *openers) add(handle uint64, n node, pid uint32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.table == nil {
		o.table = make(map[uint64]opened)
	}
	o.table[handle] = opened{n, Opener{int(pid), time.Now()}}
}

func (o *openers) remove(handle uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.table, handle)
}

// Openers returns who has a file of the image open of those whom this process has served, each thread once, the first one first.
func (m *Mount) Openers(number int64) (found []Opener) {
	m.openers.mu.Lock()
	defer m.openers.mu.Unlock()
	for _, o := range m.openers.table {
		if o.node.number() == number {
			found = append(found, o.by)
		}
	}
	slices.SortFunc(found, func(a, b Opener) int { return a.Since.Compare(b.Since) })
	seen := make(map[int]bool)
	return slices.DeleteFunc(found, func(o Opener) bool {
		again := seen[o.PID]
		seen[o.PID] = true
		return again
	})
}
