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
	aheadBlocks = 16      // that the readers of a store hold at a time if one of them has all, else half of it
	aheadAfter  = 2 << 20 // bytes in order, after which it begins; a guest's read of 1 MiB comes in pieces of 256 KiB
	aheadSlack  = 1 << 20 // bytes by which parallel reads may be out of order

	// Who reads alone and has read longer in order has more: calls for several blocks cost the cluster and librbd less than
	// as many calls, and there is always one under way.
	longAfter = 32 << 20
	longCall  = 2 // blocks
	longDepth = 12

	aheadIdle = 5 * time.Second // after which blocks are given up that nobody has come for
)

// A readAhead reads blocks before they are asked for, when a reader goes through its image in order: librbd itself is slow
// at many small reads. All readers share a number of blocks; who finds them taken reads without.
type readAhead struct {
	// fetch reads into buffers from off on, and calls ended once nothing needs them any more, in every case.
	fetch  func(ctx context.Context, buffers [][]byte, off int64, ended func()) error
	size   int64
	memory *blockMemory

	ctx  context.Context // of the fetches
	stop context.CancelFunc

	mu      sync.Mutex
	fetches sync.WaitGroup
	next    int64 // where a read in order begins
	inOrder int64 // bytes
	blocks  map[int64]*block
	held    int         // blocks, also those that are no longer among them
	noted   bool        // a read has begun since watch looked last
	watch   *time.Timer // runs while there are blocks
}

// A block is aheadSize bytes of an image, less at its end.
type block struct {
	users int // of data, and its fetch and its place among the blocks; guarded by readAhead.mu
	data  []byte
	call  *blockCall
}

// A blockCall fetches blocks.
type blockCall struct {
	done chan struct{} // closed when their data or err is there
	err  error
}

func newReadAhead(fetch func(context.Context, [][]byte, int64, func()) error, size int64, memory *blockMemory) *readAhead {
	a := &readAhead{fetch: fetch, size: size, memory: memory, blocks: map[int64]*block{}}
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
		a.dropAll()
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
		a.dropAll()
		a.inOrder, a.next = 0, off
	}
	a.inOrder += int64(n)
	a.next = max(a.next, off+int64(n))
}

// follows reports whether a read at off goes on in an order in which blocks are read ahead.
func (a *readAhead) follows(off int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.inOrder >= aheadAfter && off == a.next
}

// read fills p from off as far as one block goes, and returns 0 when nothing is read ahead there.
func (a *readAhead) read(ctx context.Context, p []byte, off int64) int {
	data, release := a.lend(ctx, len(p), off)
	if data == nil {
		return 0
	}
	defer release()
	return copy(p, data)
}

// lend returns what one block holds from off on, at most n bytes, and what ends their use; nil when nothing is read ahead there.
func (a *readAhead) lend(ctx context.Context, n int, off int64) (p []byte, release func()) {
	b := a.block(off, n)
	if b == nil {
		return nil, nil
	}
	release = func() { a.release(b) }
	select {
	case <-b.call.done:
		if rest := int(off % aheadSize); b.call.err == nil && rest < len(b.data) {
			return b.data[rest:min(len(b.data), rest+n)], release
		}
	case <-ctx.Done():
	}
	release()
	return nil, nil
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
	depth, call := int64(aheadDepth), int64(1)
	if a.inOrder >= longAfter && a.memory.isAlone(a.held) {
		depth, call = longDepth, longCall
	}
	for i, n := first, int64(0); i < first+depth && i*aheadSize < a.size; i += n {
		for n = 0; n < call-i%call && a.blocks[i+n] == nil && (i+n)*aheadSize < a.size; n++ {
		}
		if n == 0 {
			n = 1
		} else if !a.begin(i, int(n)) {
			break
		}
	}
	b := a.blocks[first]
	if b != nil {
		b.users++
	}
	return b
}

// begin starts to fetch n blocks if there is memory for them.
func (a *readAhead) begin(i int64, n int) bool {
	buffers := a.memory.take(n, a.held)
	if buffers == nil {
		return false
	}
	a.held += n
	if len(a.blocks) == 0 {
		a.watch.Reset(aheadIdle)
	}
	call := &blockCall{done: make(chan struct{})}
	blocks := make([]*block, n)
	for k := range blocks {
		at := i + int64(k)
		buffers[k] = buffers[k][:min(aheadSize, a.size-at*aheadSize)]
		blocks[k] = &block{data: buffers[k], call: call, users: 2}
		a.blocks[at] = blocks[k]
	}
	a.fetches.Go(func() {
		call.err = a.fetch(a.ctx, buffers, i*aheadSize, func() { a.release(blocks...) })
		close(call.done)
	})
	return true
}

// release ends a use of blocks.
func (a *readAhead) release(blocks ...*block) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, b := range blocks {
		a.leave(b)
	}
}

// leave is release for who holds mu.
func (a *readAhead) leave(b *block) {
	if b.users--; b.users == 0 {
		a.held--
		a.memory.give(b.data)
	}
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

// dropAll lets go of all blocks at the end of an order; the caller holds mu.
func (a *readAhead) dropAll() {
	a.dropBefore(math.MaxInt64)
	if a.inOrder >= aheadAfter {
		a.memory.leave()
	}
}

// close gives up what is being fetched.
func (a *readAhead) close() {
	a.stop()
	a.mu.Lock()
	a.dropAll()
	a.watch.Stop()
	a.mu.Unlock()
	a.fetches.Wait()
}
