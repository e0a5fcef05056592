package fusefs

import "testing"

func TestPagesAreUsedOnceAndForgotten(t *testing.T) {
	var ps pages
	fetched := 0
	from := func() page {
		t.Helper()
		p, err := ps.from(1, 5, func() ([]dirent, error) { fetched++; return make([]dirent, 10), nil })
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := from()
	ps.keep(1, 5, p.rest(7))
	if got := from(); len(got.entries) != 3 || fetched != 1 {
		t.Errorf("a kept page has %d entries after %d fetches, want the last 3 after 1", len(got.entries), fetched)
	}
	if from(); fetched != 2 {
		t.Errorf("the page was fetched %d times, want 2: it is used once", fetched)
	}
	ps.keep(1, 5, p)
	ps.forget()
	if p = from(); fetched != 3 {
		t.Error("a page was kept though everything was forgotten")
	}
	ps.forget()
	ps.keep(1, 5, p.rest(1)) // made from what was forgotten meanwhile
	if from(); fetched != 4 {
		t.Error("a page was kept that was made before everything was forgotten")
	}
	for i := range uint64(1000) {
		ps.keep(1, i, from())
	}
	if len(ps.kept) > maxPages {
		t.Errorf("%d pages are kept, want at most %d", len(ps.kept), maxPages)
	}
}
