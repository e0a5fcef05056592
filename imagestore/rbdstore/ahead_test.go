//go:build ceph

package rbdstore

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vitrine-image/vitrine/imagestore/storetest"
)

// blocks returns the memory of so many blocks, all of which must be there again when the test ends.
func blocks(t *testing.T, n int) *blockMemory {
	t.Helper()
	m, err := newBlockMemory(n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if heldOf(m) != 0 || len(m.free) != n {
			t.Errorf("%d blocks are held at the end, and %d free", m.held, len(m.free))
		}
	})
	return m
}

func heldOf(m *blockMemory) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.held
}

// dataSource reads ahead from data.
func dataSource(data []byte) func(context.Context, [][]byte, int64, func()) error {
	return func(_ context.Context, buffers [][]byte, off int64, ended func()) error {
		defer ended()
		for _, p := range buffers {
			off += int64(copy(p, data[off:]))
		}
		return nil
	}
}

func TestReadAhead(t *testing.T) {
	data := storetest.Random(21<<20 + 5)
	var fetched atomic.Int64
	broken := false
	memory := blocks(t, 8)
	ahead := func() *readAhead {
		return newReadAhead(func(ctx context.Context, buffers [][]byte, off int64, ended func()) error {
			fetched.Add(int64(len(buffers)))
			if broken {
				ended()
				return errors.New("broken")
			}
			return dataSource(data)(ctx, buffers, off, ended)
		}, int64(len(data)), memory)
	}
	// through reads everything in order and returns how many bytes were read ahead.
	through := func(a *readAhead, step int) (served int) {
		p := make([]byte, step)
		for off := 0; off < len(data); off += step {
			q := p[:min(step, len(data)-off)]
			a.note(int64(off), len(q))
			for n := 0; n < len(q); {
				m := a.read(t.Context(), q[n:], int64(off+n))
				if m == 0 {
					break
				}
				if !bytes.Equal(q[n:n+m], data[off+n:off+n+m]) {
					t.Fatalf("read at %d gives other bytes", off+n)
				}
				n += m
				served += m
			}
		}
		return served
	}
	for _, step := range []int{4096, 100_000, 1 << 20} {
		fetched.Store(0)
		a := ahead()
		if served := through(a, step); served < len(data)-3<<20 || fetched.Load() > 22 {
			t.Errorf("in steps of %d: %d of %d bytes were read ahead in %d blocks, want nearly all, in at most 22", step, served, len(data), fetched.Load())
		}
		second := ahead()
		through(second, step) // finds some blocks taken
		a.close()
		second.close()
		if heldOf(memory) != 0 {
			t.Fatalf("in steps of %d: %d blocks are held at the end", step, heldOf(memory))
		}
	}
	fetched.Store(0)
	a := ahead()
	for range 1000 {
		off := rand.Int64N(int64(len(data)))
		a.note(off, 4096)
		a.read(t.Context(), make([]byte, 4096), off)
	}
	a.close()
	if n := fetched.Load(); n > 100 {
		t.Errorf("1000 reads at random fetched %d blocks", n)
	}
	fetched.Store(0)
	a = ahead()
	for i := range int64(100) {
		for off := i % 10 * (2<<20 + 1); off%(2<<20+1) < 1<<20; off += 128 << 10 {
			a.note(off, 128<<10)
			a.read(t.Context(), make([]byte, 128<<10), off)
		}
	}
	a.close()
	if n := fetched.Load(); n > 0 {
		t.Errorf("reads of 1 MiB here and there, in pieces, fetched %d blocks", n)
	}
	broken = true
	a = ahead()
	if served := through(a, 1<<20); served != 0 {
		t.Errorf("%d bytes came of blocks that could not be read", served)
	}
	a.close()
}

// A block that is dropped while others copy from it stays what it is.
func TestReadAheadIsShared(t *testing.T) {
	data := storetest.Random(21<<20 + 5)
	a := newReadAhead(dataSource(data), int64(len(data)), blocks(t, 6))
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			p := make([]byte, 100_000)
			for off := 0; off < len(data); off += len(p) {
				a.note(int64(off), len(p))
				n := a.read(t.Context(), p, int64(off))
				if !bytes.Equal(p[:n], data[off:off+n]) {
					t.Errorf("read at %d gives other bytes", off)
				}
			}
		})
	}
	readers.Wait()
	a.close()
}

// Who reads alone and long gets several blocks by one call, and more of them; whoever comes then gets some as well.
func TestReadAheadAlone(t *testing.T) {
	const size = 256 << 20
	memory := blocks(t, aheadBlocks)
	var calls, most atomic.Int64
	ahead := func() *readAhead {
		return newReadAhead(func(_ context.Context, buffers [][]byte, _ int64, ended func()) error {
			calls.Add(1)
			most.Store(max(most.Load(), int64(len(buffers))))
			ended()
			return nil
		}, size, memory)
	}
	// through reads a range and returns how much of it was read ahead.
	through := func(a *readAhead, from, to int64) (served int) {
		for off := from; off < to; off += aheadSize {
			a.note(off, aheadSize)
			p, release := a.lend(t.Context(), aheadSize, off)
			if served += len(p); p != nil {
				release()
			}
		}
		return served
	}
	first, second := ahead(), ahead()
	defer first.close()
	defer second.close()
	through(first, 0, 30<<20)
	if most.Load() != 1 {
		t.Errorf("one call reads %d blocks ahead of a short read", most.Load())
	}
	calls.Store(0)
	if served := through(first, 30<<20, 136<<20); served != 106<<20 || calls.Load() > 106/longCall+10 {
		t.Errorf("of 106 MiB %d bytes were read ahead in %d calls, want all, in about %d", served, calls.Load(), 106/longCall)
	}
	if heldOf(memory) <= aheadBlocks/2 {
		t.Errorf("who reads alone holds %d blocks, want more than others would have", heldOf(memory))
	}
	for i := range int64(16) { // in turn
		through(first, (136+i)<<20, (137+i)<<20)
		through(second, i<<20, (i+1)<<20)
	}
	if second.held < 2 || heldOf(memory) > aheadBlocks/2 {
		t.Errorf("who came later holds %d of the %d blocks that are held, want some of at most %d", second.held, heldOf(memory), aheadBlocks/2)
	}
	second.close()
	calls.Store(0)
	if through(first, 152<<20, 248<<20); calls.Load() > 96/longCall+4 {
		t.Errorf("who reads alone again needs %d calls for 96 MiB, want about %d", calls.Load(), 96/longCall)
	}
}

// Memory that librbd may still write to is nobody else's, also when its reader is closed.
func TestReadAheadThatIsGivenUp(t *testing.T) {
	memory := blocks(t, 8)
	ends := make(chan func(), 8)
	a := newReadAhead(func(ctx context.Context, _ [][]byte, _ int64, ended func()) error {
		ends <- ended
		<-ctx.Done()
		return ctx.Err()
	}, 64<<20, memory)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for off := int64(0); off < 4<<20; off += aheadSize {
		a.note(off, aheadSize)
		if n := a.read(ctx, make([]byte, aheadSize), off); n != 0 {
			t.Errorf("%d bytes come of a read that was given up", n)
		}
	}
	a.close()
	if heldOf(memory) != len(ends) || heldOf(memory) == 0 {
		t.Errorf("%d blocks are held for %d reads that go on", heldOf(memory), len(ends))
	}
	for range len(ends) {
		(<-ends)()
	}
}

// Who reads no more gives others room.
func TestReadAheadThatIsIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := blocks(t, 2*aheadDepth)
		ahead := func() *readAhead {
			return newReadAhead(func(_ context.Context, _ [][]byte, _ int64, ended func()) error { ended(); return nil }, 1<<30, memory)
		}
		p := make([]byte, 512<<10)
		read := func(a *readAhead, from, n int) (served int) {
			for off := from; off < from+n; off += len(p) {
				a.note(int64(off), len(p))
				served += a.read(t.Context(), p, int64(off))
			}
			return served
		}
		quiet, busy := ahead(), ahead()
		defer quiet.close()
		defer busy.close()
		if read(quiet, 0, 4<<20) == 0 || heldOf(memory) < aheadDepth {
			t.Fatalf("%d blocks were read ahead, want %d", heldOf(memory), aheadDepth)
		}
		for off := 4 << 20; off < 14<<20; off += 1 << 20 {
			time.Sleep(aheadIdle - time.Second)
			if read(quiet, off, 1<<20) != 1<<20 {
				t.Fatal("who reads slowly has lost his blocks")
			}
		}
		if served := read(busy, 0, 8<<20); served != 0 {
			t.Errorf("%d bytes were read ahead without room", served)
		}
		time.Sleep(2*aheadIdle + time.Second)
		if heldOf(memory) != 0 {
			t.Errorf("%d blocks are held for nobody", heldOf(memory))
		}
		if read(busy, 8<<20, 8<<20) == 0 {
			t.Error("nothing is read ahead in the room of who is idle")
		}
	})
}
