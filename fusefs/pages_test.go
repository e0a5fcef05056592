package fusefs

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// fetches counts the fetches of pages with n entries, whose offsets follow the one asked for.
func fetches(n int) (*pages, *atomic.Int32) {
	count := new(atomic.Int32)
	return &pages{fetch: func(_ node, after uint64) ([]dirent, error) {
		count.Add(1)
		entries := make([]dirent, n)
		for i := range entries {
			entries[i].off = after + uint64(i) + 1
		}
		return entries, nil
	}}, count
}

func TestPagesAreUsedOnceAndForgotten(t *testing.T) {
	ps, fetched := fetches(10)
	from := func() *page {
		t.Helper()
		p, err := ps.from(1, 5)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := from()
	ps.keep(1, 5, p, 7)
	if got := from(); len(got.entries) != 3 || fetched.Load() != 1 {
		t.Errorf("a kept page has %d entries after %d fetches, want the last 3 after 1", len(got.entries), fetched.Load())
	}
	if from(); fetched.Load() != 2 {
		t.Errorf("the page was fetched %d times, want 2: it is used once", fetched.Load())
	}
	ps.keep(1, 5, p, 0)
	ps.forget()
	if p = from(); fetched.Load() != 3 {
		t.Error("a page was kept though everything was forgotten")
	}
	ps.forget()
	ps.keep(1, 5, p, 1) // made from what was forgotten meanwhile
	if from(); fetched.Load() != 4 {
		t.Error("a page was kept that was made before everything was forgotten")
	}
	for i := range uint64(1000) {
		ps.keep(1, i, from(), 0)
	}
	if len(ps.kept) > maxPages {
		t.Errorf("%d pages are kept, want at most %d", len(ps.kept), maxPages)
	}
}

func TestPagesAreFetchedAhead(t *testing.T) {
	ps, fetched := fetches(pageLimit)
	at := func(after uint64) uint64 {
		p, err := ps.from(1, after)
		if err != nil {
			t.Fatal(err)
		}
		ps.fetching.Wait()
		return p.entries[0].off
	}
	if got := at(0); got != 1 || fetched.Load() != 2 {
		t.Errorf("the first page begins at %d after %d fetches, want 1 after 2", got, fetched.Load())
	}
	if got := at(pageLimit); got != pageLimit+1 || fetched.Load() != 3 {
		t.Errorf("the second page begins at %d after %d fetches, want %d after 3", got, fetched.Load(), pageLimit+1)
	}
	ps.forget()
	if at(2 * pageLimit); fetched.Load() != 5 {
		t.Errorf("after %d fetches a page was used that was fetched before everything was forgotten", fetched.Load())
	}
}

// A page that is being fetched ahead while everything is forgotten may hold what is gone.
func TestPagesFetchedAheadTooEarlyAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetched, finish := 0, make(chan struct{})
		ps := &pages{fetch: func(node, uint64) ([]dirent, error) {
			fetched++
			<-finish
			return make([]dirent, 1), nil
		}}
		ps.ahead(1, &page{entries: []dirent{pageLimit - 1: {off: 7}}})
		go ps.from(1, 7)
		synctest.Wait() // until both wait for the page
		ps.forget()
		close(finish)
		synctest.Wait()
		if fetched != 2 {
			t.Errorf("%d fetches, want 2: the page that everything was forgotten during is not used", fetched)
		}
	})
}
