package blockcache

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// BenchmarkReader reads what is there, and what is not: the data itself costs nothing.
func BenchmarkReader(b *testing.B) {
	data := newRemote(128 << 10)
	for _, size := range []int64{4 << 10, 128 << 10} {
		for name, images := range map[string]uint64{"hit": 1, "miss": 1 << 40} {
			b.Run(fmt.Sprintf("%s/%dKiB", name, size>>10), func(b *testing.B) {
				c := open(b, sized(4096))
				b.SetBytes(size)
				b.ReportAllocs()
				b.RunParallel(func(pb *testing.PB) {
					p := make([]byte, size)
					for pb.Next() {
						if _, err := c.Reader(rand.Uint64N(images), spread{data}).ReadAt(b.Context(), p, size*rand.Int64N(1024)); err != nil {
							b.Fatal(err)
						}
					}
				})
			})
		}
	}
}
