//go:build !race

package ingest

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// memory is the space of all buffers. It lies outside of Go's heap: there it would let the collector wait until the heap
// has twice its size, and would be given back late.
type memory struct{ bytes []byte }

func newMemory(size int) (*memory, error) {
	b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("reserve %d bytes for buffers: %w", size, err)
	}
	m := &memory{b}
	runtime.AddCleanup(m, func(b []byte) { _ = unix.Munmap(b) }, b)
	return m, nil
}

// discard gives pages back to the system; the bytes are zeros when they are touched again.
func (m *memory) discard() { _ = unix.Madvise(m.bytes, unix.MADV_DONTNEED) }
