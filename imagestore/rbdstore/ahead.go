//go:build ceph

package rbdstore

import (
	"context"
	"math"
	"sync"
	"time"
)

const (
	aheadSize   = 1 << 20 // bytes of a block that is read ahead
	aheadDepth  = 4       // blocks that one reader reads ahead
	aheadBlocks = 8       // that all readers of a store hold at a time
	aheadAfter  = 2 << 20 // bytes in order, after which it begins; a guest's read of 1 MiB comes in pieces of 256 KiB
	aheadSlack  = 1 << 20 // bytes by which parallel reads may be out of order

	aheadIdle = 5 * time.Second // after which blocks are given up that nobody has come for
)

// A readAhead reads blocks before they are asked for, when a reader goes through its image in order: librbd itself is slow
// at many small reads. All readers share a number of blocks; who finds them taken reads without.
type readAhead struct {
	fetch  func(ctx context.Context, n int, off int64) (data []byte, free func(), err error)
	size   int64
	tokens chan struct{} // one for each block held

	ctx  context.Context // of the fetches
	stop context.CancelFunc

	mu      sync.Mutex
	fetches sync.WaitGroup
	next    int64 // where a read in order begins
	inOrder int64 // bytes
	blocks  map[int64]*block
	noted   bool        // a read has begun since watch looked last
	watch   *time.Timer // runs while there are blocks
}

// A block is aheadSize bytes of an image, less at its end.
type block struct {
	users int           // of data, and its fetch and its place among the blocks; guarded by readAhead.mu
	done  chan struct{} // closed when data or err is there
	data  []byte
	free  func()
	err   error
}

func newReadAhead(fetch func(context.Context, int, int64) ([]byte, func(), error), size int64, tokens chan struct{}) *readAhead {
	a := &readAhead{fetch: fetch, size: size, tokens: tokens, blocks: map[int64]*block{}}
	a.ctx, a.stop = context.WithCancel(context.Background())
	a.watch = time.AfterFunc(math.MaxInt64, a.giveUp)
	a.watch.Stop()
	return a
}

// giveUp lets go of all blocks if nobody has read for a while: a guest that is quiet must not keep them from others.
func (a *readAhead) giveUp() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.noted {
		a.dropBefore(math.MaxInt64)
	}
	a.noted = false
	if len(a.blocks) > 0 {
		a.watch.Reset(aheadIdle)
	}
}

// note is told of each read that begins.
func (a *readAhead) note(off int64, n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.noted = true
	if off < a.next-aheadSlack || off > a.next+aheadSlack {
		a.inOrder = 0
		a.dropBefore(math.MaxInt64)
		a.next = off
	}
	a.inOrder += int64(n)
	a.next = max(a.next, off+int64(n))
}

// read fills p from off as far as one block goes, and returns 0 when nothing is read ahead there.
func (a *readAhead) read(ctx context.Context, p []byte, off int64) int {
	b := a.block(off, len(p))
	if b == nil {
		return 0
	}
	defer a.release(b)
	select {
	case <-b.done:
	case <-ctx.Done():
		return 0
	}
	if b.err != nil {
		return 0
	}
	return copy(p, b.data[off%aheadSize:])
}

// block returns the block that holds off, to be released, and lets it and those behind it be fetched.
func (a *readAhead) block(off int64, n int) *block {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.inOrder-int64(n) < aheadAfter || a.ctx.Err() != nil {
		return nil
	}
	first := off / aheadSize
	a.dropBefore(off - aheadSlack)
	for i := first; i < first+aheadDepth && i*aheadSize < a.size; i++ {
		if a.blocks[i] == nil && !a.begin(i) {
			break
		}
	}
	b := a.blocks[first]
	if b != nil {
		b.users++
	}
	return b
}

// begin starts to fetch a block if a token is left.
func (a *readAhead) begin(i int64) bool {
	select {
	case a.tokens <- struct{}{}:
	default:
		return false
	}
	if len(a.blocks) == 0 {
		a.watch.Reset(aheadIdle)
	}
	b := &block{done: make(chan struct{}), users: 2}
	a.blocks[i] = b
	a.fetches.Go(func() {
		b.data, b.free, b.err = a.fetch(a.ctx, int(min(aheadSize, a.size-i*aheadSize)), i*aheadSize)
		close(b.done)
		a.release(b)
	})
	return true
}

// release ends a use of a block.
func (a *readAhead) release(b *block) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.leave(b)
}

// leave is release for who holds mu.
func (a *readAhead) leave(b *block) {
	if b.users--; b.users > 0 {
		return
	}
	if b.err == nil {
		b.free()
	}
	<-a.tokens
}

// dropBefore lets go of the blocks that end before off; the caller holds mu.
func (a *readAhead) dropBefore(off int64) {
	for i, b := range a.blocks {
		if (i+1)*aheadSize <= off {
			delete(a.blocks, i)
			a.leave(b)
		}
	}
}

// close gives up what is being fetched.
func (a *readAhead) close() {
	a.stop()
	a.mu.Lock()
	a.dropBefore(math.MaxInt64)
	a.watch.Stop()
	a.mu.Unlock()
	a.fetches.Wait()
}
