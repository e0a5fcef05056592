package diskformat

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// Of many who want the same, one loads; one who gives up leaves the others what they want.
func TestCacheLoadsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewCache(1 << 10)
		ctx, cancel := context.WithCancel(t.Context())
		var loads atomic.Int32
		began := make(chan struct{})
		var all sync.WaitGroup
		all.Go(func() {
			_, err := c.get(ctx, key{off: 1}, 10, 0, func([]byte) error { close(began); <-ctx.Done(); return ctx.Err() })
			if !errors.Is(err, context.Canceled) {
				t.Errorf("the cancelled load returns %v", err)
			}
		})
		<-began
		for range 8 {
			all.Go(func() {
				e, err := c.get(t.Context(), key{off: 1}, 10, 5, func(p []byte) error { loads.Add(1); p[0] = 7; return nil })
				if err != nil || e.data[0] != 7 {
					t.Errorf("get = %v, %v", e, err)
					return
				}
				c.release(e)
			})
		}
		synctest.Wait()
		cancel()
		all.Wait()
		if loads.Load() != 1 || c.used != 10 || c.busy != 0 {
			t.Errorf("%d loads, %d bytes used, %d busy", loads.Load(), c.used, c.busy)
		}
	})
}

// A load that fails, or panics, is told to those who wait, and leaves nothing.
func TestCacheKeepsNoFailures(t *testing.T) {
	c := NewCache(1 << 10)
	failure := errors.New("failed")
	if _, err := c.get(t.Context(), key{}, 10, 10, func([]byte) error { return failure }); err != failure {
		t.Errorf("get = %v", err)
	}
	func() {
		defer func() { recover() }()
		c.get(t.Context(), key{}, 10, 10, func([]byte) error { panic("failed") })
	}()
	if c.used != 0 || c.busy != 0 || len(c.entries) != 0 {
		t.Errorf("%d bytes used, %d busy, %d entries", c.used, c.busy, len(c.entries))
	}
}

func TestCacheStats(t *testing.T) {
	c := NewCache(1 << 10)
	for range 3 {
		e, err := c.get(t.Context(), key{off: 1}, 10, 0, func([]byte) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		c.release(e)
	}
	if got, want := c.Stats(), (CacheStats{Hits: 2, Misses: 1, Bytes: 10}); got != want {
		t.Errorf("Stats = %+v, want %+v", got, want)
	}
}

// The limit holds for entries, for what is being loaded and for reservations; who exceeds it waits.
func TestCacheIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewCache(100)
		load := func(p []byte) error { return nil }
		for off := range int64(30) {
			e, err := c.get(t.Context(), key{off: off}, 10, 20, load)
			if err != nil {
				t.Fatal(err)
			}
			c.release(e)
		}
		if c.used != 80 || !c.has(key{off: 29}) || !c.has(key{off: 22}) || c.has(key{off: 21}) { // the last load needed 30
			t.Errorf("%d bytes used by %d entries", c.used, len(c.entries))
		}
		pinned, err := c.get(t.Context(), key{off: 25}, 10, 0, load)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- c.reserve(ctx, 95) }()
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("a reservation without place returns %v", err)
		}
		go func() { done <- c.reserve(t.Context(), 95) }()
		synctest.Wait()
		c.release(pinned)
		if err := <-done; err != nil || c.used != 95 {
			t.Errorf("a reservation with place returns %v; %d bytes used", err, c.used)
		}
		c.unreserve(95)
		if err := c.reserve(t.Context(), 1000); err != nil {
			t.Errorf("a reservation of more than the limit, with nothing else: %v", err)
		}
	})
}

func TestCacheDropsOfOneOwner(t *testing.T) {
	c := NewCache(100)
	for _, o := range []owner{c.newOwner(), c.newOwner()} {
		for off := range int64(3) {
			e, err := c.get(t.Context(), key{owner: o, off: off}, 10, 0, func([]byte) error { return nil })
			if err != nil {
				t.Fatal(err)
			}
			c.release(e)
		}
	}
	c.drop(1)
	if c.used != 30 || c.has(key{owner: 1}) || !c.has(key{owner: 2}) {
		t.Errorf("%d bytes used", c.used)
	}
}
