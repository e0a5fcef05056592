package ingest

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

// A waiter is a get in a goroutine of its own. got is closed when it returns.
type waiter struct {
	got chan struct{}
	b   *buffer
	err error
}

func wait(ctx context.Context, l *lease) *waiter {
	w := &waiter{got: make(chan struct{})}
	go func() {
		defer close(w.got)
		w.b, w.err = l.get(ctx)
	}()
	return w
}

// returned tells whether get has, once everything that can go on has done so.
func (w *waiter) returned() bool {
	synctest.Wait()
	select {
	case <-w.got:
		return true
	default:
		return false
	}
}

func enter(t *testing.T, p *pool, store string) *lease {
	t.Helper()
	l, err := p.enter(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func take(t *testing.T, l *lease, n int) (taken []*buffer) {
	t.Helper()
	for range n {
		w := wait(t.Context(), l)
		if !w.returned() || w.err != nil {
			t.Fatalf("get waits or fails (%v) with %d buffers in hand", w.err, len(taken))
		}
		taken = append(taken, w.b)
	}
	return taken
}

func giveBack(buffers []*buffer) {
	for _, b := range buffers {
		b.giveBack()
	}
}

func newTestPool(t *testing.T, buffers int) *pool {
	t.Helper()
	p, err := newPool(int64(buffers) * bufferSize)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSingleTransferGetsAWholeRing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newTestPool(t, 100)
		l := enter(t, p, "s")
		taken := take(t, l, ringSize)
		more := wait(t.Context(), l)
		if more.returned() {
			t.Errorf("a transfer got more than %d buffers", ringSize)
		}
		taken[0].giveBack()
		if !more.returned() || more.err != nil {
			t.Errorf("the next get waits or fails (%v) when a buffer came back", more.err)
		}
		giveBack(append(taken[1:], more.b))
		l.leave()
	})
}

func TestSharesShrink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newTestPool(t, ringSize)
		first := enter(t, p, "s")
		taken := take(t, first, ofRing)
		again := wait(t.Context(), first)
		second := enter(t, p, "s")
		other := wait(t.Context(), second)
		if again.returned() || other.returned() {
			t.Fatal("a get returned although the store has all it may have")
		}
		giveBack(taken[:1])
		if again.returned() || !other.returned() {
			t.Fatal("the buffer went to the transfer that has more than its share")
		}
		giveBack(taken[1 : ofRing/2])
		if again.returned() {
			t.Fatal("the first transfer has its share and got more")
		}
		giveBack(append(take(t, second, ofRing/2-1), other.b))
		second.leave()
		if !again.returned() {
			t.Error("the first transfer still waits although the second one has left")
		}
		giveBack(append(taken[ofRing/2:], again.b))
		first.leave()
		checkAllFree(t, p)
	})
}

// ofRing is how many of ringSize buffers a single store gets.
const ofRing = ringSize * 7 / 8

func checkAllFree(t *testing.T, p *pool) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.free) != p.total || p.active != 0 || len(p.stores) != 0 || len(p.waiting) != 0 || len(p.entering) != 0 {
		t.Errorf("%d of %d buffers are free; %d transfers into %d stores are active, %d wait to begin and %d for a buffer", len(p.free),
			p.total, p.active, len(p.stores), len(p.entering), len(p.waiting))
	}
}

// Most of as many transfers as there are buffers run into one store; the next one waits, and then gives up or enters.
func TestAdmission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newTestPool(t, ringSize)
		var leases []*lease
		var taken []*buffer
		for range ofRing {
			l := enter(t, p, "s")
			leases, taken = append(leases, l), append(taken, take(t, l, 1)...)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		entered := make(chan error)
		go func() {
			_, err := p.enter(ctx, "s")
			entered <- err
		}()
		synctest.Wait()
		cancel(errors.New("enough"))
		if err := <-entered; err == nil {
			t.Fatal("one transfer too many entered")
		}
		taken[0].giveBack()
		leases[0].leave()
		leases[0] = enter(t, p, "s")
		giveBack(append(taken[1:], take(t, leases[0], 1)...))
		for _, l := range leases {
			l.leave()
		}
		checkAllFree(t, p)
	})
}

// Whatever hangs, there is something left for another store.
func TestStoresLeaveSomethingToOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newTestPool(t, 12*ringSize)
		var leases []*lease
		var taken []*buffer
		hang := func(store string, transfers, buffers int) {
			t.Helper()
			for range transfers {
				l := enter(t, p, store)
				leases, taken = append(leases, l), append(taken, take(t, l, buffers)...)
			}
		}
		hang("first", 10, ringSize)
		hang("second", 21, 1)
		if free := len(p.free); free == 0 {
			t.Error("nothing is free")
		}
		third := enter(t, p, "third")
		giveBack(take(t, third, 3))
		third.leave()
		giveBack(taken)
		for _, l := range leases {
			l.leave()
		}
		checkAllFree(t, p)
	})
}

func TestGetEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newTestPool(t, ringSize)
		l := enter(t, p, "s")
		taken := take(t, l, ofRing)
		ctx, cancel := context.WithCancelCause(t.Context())
		w := wait(ctx, l)
		stop := errors.New("stop")
		if w.returned() {
			t.Fatal("get returned although the store has all it may have")
		}
		cancel(stop)
		if !w.returned() || w.err != stop {
			t.Errorf("get = %v, want %v", w.err, stop)
		}
		giveBack(taken)
		l.leave()
		checkAllFree(t, p)
	})
}
