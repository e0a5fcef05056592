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

func enter(t *testing.T, p *pool) *lease {
	t.Helper()
	l, err := p.enter(t.Context())
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
		l := enter(t, p)
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
		first := enter(t, p)
		taken := take(t, first, ringSize)
		again := wait(t.Context(), first)
		second := enter(t, p)
		other := wait(t.Context(), second)
		if again.returned() || other.returned() {
			t.Fatal("a get returned although nothing is free")
		}
		taken[0].giveBack()
		if again.returned() || !other.returned() {
			t.Fatal("the buffer went to the transfer that has more than its share")
		}
		giveBack(taken[1 : ringSize/2])
		if again.returned() {
			t.Fatal("the first transfer has its share and got more")
		}
		giveBack(append(take(t, second, ringSize/2-1), other.b))
		second.leave()
		if !again.returned() {
			t.Error("the first transfer still waits although the second one has left")
		}
		giveBack(append(taken[ringSize/2:], again.b))
		first.leave()
		if len(p.free) != p.total {
			t.Errorf("%d of %d buffers are free", len(p.free), p.total)
		}
	})
}

// As many transfers as there are buffers run; the next one waits, and then gives up or enters.
func TestAdmission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newTestPool(t, ringSize)
		var leases []*lease
		var taken []*buffer
		for range ringSize {
			l := enter(t, p)
			leases, taken = append(leases, l), append(taken, take(t, l, 1)...)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		entered := make(chan error)
		go func() {
			_, err := p.enter(ctx)
			entered <- err
		}()
		synctest.Wait()
		cancel(errors.New("enough"))
		if err := <-entered; err == nil {
			t.Fatal("one transfer too many entered")
		}
		taken[0].giveBack()
		leases[0].leave()
		leases[0] = enter(t, p)
		giveBack(append(taken[1:], take(t, leases[0], 1)...))
		for _, l := range leases {
			l.leave()
		}
	})
}

func TestGetEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newTestPool(t, ringSize)
		l := enter(t, p)
		taken := take(t, l, ringSize)
		ctx, cancel := context.WithCancelCause(t.Context())
		w := wait(ctx, l)
		stop := errors.New("stop")
		if w.returned() {
			t.Fatal("get returned although nothing is free")
		}
		cancel(stop)
		if !w.returned() || w.err != stop {
			t.Errorf("get = %v, want %v", w.err, stop)
		}
		giveBack(taken)
		l.leave()
		if len(p.free) != p.total || len(p.waiting) != 0 {
			t.Errorf("%d of %d buffers are free, %d wait", len(p.free), p.total, len(p.waiting))
		}
	})
}
