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

func TestReadAhead(t *testing.T) {
	data := storetest.Random(21<<20 + 5)
	var fetched, held atomic.Int64
	broken := false
	tokens := make(chan struct{}, 5)
	ahead := func() *readAhead {
		return newReadAhead(func(_ context.Context, n int, off int64) ([]byte, func(), error) {
			fetched.Add(1)
			if broken {
				return nil, nil, errors.New("broken")
			}
			held.Add(1)
			p := bytes.Clone(data[off : off+int64(n)])
			return p, func() {
				clear(p) // who still copies it copies zeros
				held.Add(-1)
			}, nil
		}, int64(len(data)), tokens)
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
		through(second, step) // finds some tokens taken
		a.close()
		second.close()
		if len(tokens) != 0 || held.Load() != 0 {
			t.Fatalf("in steps of %d: %d tokens are missing at the end, and %d blocks are held", step, len(tokens), held.Load())
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
	if len(tokens) != 0 {
		t.Errorf("%d tokens are missing at the end", len(tokens))
	}
}

// A block that is dropped while others copy from it stays what it is.
func TestReadAheadIsShared(t *testing.T) {
	data := storetest.Random(21<<20 + 5)
	tokens := make(chan struct{}, 5)
	a := newReadAhead(func(_ context.Context, n int, off int64) ([]byte, func(), error) {
		p := bytes.Clone(data[off : off+int64(n)])
		return p, func() { clear(p) }, nil
	}, int64(len(data)), tokens)
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
	if len(tokens) != 0 {
		t.Errorf("%d tokens are missing at the end", len(tokens))
	}
}

// Who reads no more gives others room.
func TestReadAheadThatIsIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tokens := make(chan struct{}, aheadDepth)
		zeros := make([]byte, aheadSize)
		ahead := func() *readAhead {
			return newReadAhead(func(_ context.Context, n int, _ int64) ([]byte, func(), error) { return zeros[:n], func() {}, nil }, 1<<30, tokens)
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
		if read(quiet, 0, 4<<20) == 0 || len(tokens) != aheadDepth {
			t.Fatalf("%d blocks were read ahead, want %d", len(tokens), aheadDepth)
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
		if len(tokens) != 0 {
			t.Errorf("%d blocks are held for nobody", len(tokens))
		}
		if read(busy, 8<<20, 8<<20) == 0 {
			t.Error("nothing is read ahead in the room of who is idle")
		}
	})
}
