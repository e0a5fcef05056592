//go:build !race

// Package offheap has memory for large buffers that lies outside of Go's heap: there it would let the collector wait until the heap
// has twice its size, and would be given back late.
package offheap

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// A Memory is for as long as something refers to it. Its bytes are zeros at first, and take no space until they are touched.
type Memory struct{ Bytes []byte }

// New reserves memory.
func New(size int) (*Memory, error) {
	b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("reserve %d bytes for buffers: %w", size, err)
	}
	m := &Memory{b}
	runtime.AddCleanup(m, func(b []byte) { _ = unix.Munmap(b) }, b)
	return m, nil
}

// Discard gives pages back to the system; the bytes are zeros when they are touched again.
func (m *Memory) Discard() { _ = unix.Madvise(m.Bytes, unix.MADV_DONTNEED) }
