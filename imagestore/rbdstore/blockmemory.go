//go:build ceph

package rbdstore

import (
	"sync"

	"github.com/vitrine-image/vitrine/internal/offheap"
)

// A blockMemory is that of all blocks that the readers of a store read ahead.
type blockMemory struct {
	memory *offheap.Memory

	mu      sync.Mutex
	free    [][]byte // of aheadSize; the last one given back is taken first
	held    int
	crowded bool // a reader found nothing left by another one
}

func newBlockMemory(blocks int) (*blockMemory, error) {
	memory, err := offheap.New(blocks * aheadSize)
	if err != nil {
		return nil, err
	}
	m := &blockMemory{memory: memory}
	for off := (blocks - 1) * aheadSize; off >= 0; off -= aheadSize {
		m.free = append(m.free, memory.Bytes[off:off+aheadSize:off+aheadSize])
	}
	return m, nil
}

// isAlone reports whether nobody holds blocks, or would, but a reader that holds mine.
func (m *blockMemory) isAlone(mine int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.held == mine && !m.crowded
}

// take returns the memory of n blocks for a reader that holds mine already, or nil: readers that are not alone leave half of it.
func (m *blockMemory) take(n, mine int) [][]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	left, shared := len(m.free), m.held > mine
	if shared || m.crowded {
		left -= (m.held + len(m.free)) / 2
	}
	if n > left {
		m.crowded = m.crowded || shared
		return nil
	}
	m.crowded = m.crowded && !shared // both have some now, which tells it as well
	at := len(m.free) - n
	taken := append([][]byte(nil), m.free[at:]...)
	m.free = m.free[:at]
	m.held += n
	return taken
}

// give gives the memory of a block back.
func (m *blockMemory) give(p []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.free = append(m.free, p[:aheadSize])
	if m.held--; m.held == 0 {
		m.memory.Discard()
	}
}

// leave is told that a reader needs no blocks any more: if another one still finds none, that will show again.
func (m *blockMemory) leave() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.crowded = false
}
