package metrics

import (
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkMountOperation counts reads of many readers at once.
func BenchmarkMountOperation(b *testing.B) {
	m := New([]string{"read"})
	var readers atomic.Uint64
	b.RunParallel(func(pb *testing.PB) {
		op := Operation{Name: "read", Key: readers.Add(1), Took: 20 * time.Microsecond, Bytes: 4096}
		for pb.Next() {
			m.MountOperation(op)
		}
	})
}
