package blockcache

import (
	"hash/crc32"
	"math/bits"
)

// The cache makes room by blocks and fills them by granules, the pages of the kernel: a guest that reads 4 KiB here and
// there does not wait for 64.
const (
	granule   = 4 << 10
	blockSize = perBlock * granule
	perBlock  = 16
)

// A blockKey names a block of data that has a number.
type blockKey struct {
	data  uint64
	index int64
}

// A block is the place of blockSize bytes of an image, or of fewer at its end. The Cache's mutex guards it.
type block struct {
	key     blockKey
	next    *block // in its queue
	changed chan struct{}
	place   int32 // in the file, in blocks
	pins    int32 // reads and fetches that use the place now
	held    set   // granules that are there
	awaited set   // granules that are being fetched
	used    uint8 // how often granules were read again, up to maxUsed
	sums    [perBlock]uint32
}

// offset returns where a granule is in the file.
func (b *block) offset(g int) int64 { return int64(b.place)*blockSize + int64(g)*granule }

// await returns a channel that is closed when a fetch for the block has ended.
func (b *block) await() <-chan struct{} {
	if b.changed == nil {
		b.changed = make(chan struct{})
	}
	return b.changed
}

// wake lets those go on who wait for a fetch.
func (b *block) wake() {
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
}

// A set holds granules of a block.
type set uint16

// span is the n granules from the first on.
func span(first, n int) set { return set((1<<n - 1) << first) }

func (s set) has(g int) bool { return s&(1<<g) != 0 }

// run returns how many granules from the first on are in the set.
func (s set) run(first int) int { return bits.TrailingZeros16(^uint16(s >> first)) }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sumsOf returns the checksums of the granules of p, which begins with one; the last may be shorter.
func sumsOf(p []byte) (sums [perBlock]uint32) {
	for i := 0; len(p) > 0; i++ {
		n := min(granule, len(p))
		sums[i] = crc32.Checksum(p[:n], castagnoli)
		p = p[n:]
	}
	return sums
}
