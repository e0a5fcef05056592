package fusefs

import "sync"

// pages keeps what was fetched of directories and did not fit the kernel's buffer, which takes only some entries at a
// time, and fetches the next page of a large directory while the kernel is busy with this one. It is no more than a
// short cut: without it the source is asked again. Whatever changes forgets everything, before the kernel is told: a
// listing in progress must not bring back a name that the kernel has just forgotten.
type pages struct {
	fetch func(dir node, after uint64) ([]dirent, error) // the next entries, none at the end; pageLimit if there may be more

	mu       sync.Mutex
	kept     map[place]*page
	age      uint64         // counts the times that everything was forgotten
	fetching sync.WaitGroup // what is fetched ahead
}

// A place is a position within a directory.
type place struct {
	dir   node
	after uint64
}

// A page is entries of a directory and the age of what they were made from.
type page struct {
	entries []dirent
	age     uint64
	err     error
	ready   chan struct{} // closed once it is there; nil if it always was
}

const maxPages = 32

// from returns the entries after the offset, fetching them unless they are kept.
func (ps *pages) from(dir node, after uint64) (*page, error) {
	if p := ps.take(place{dir, after}); p != nil {
		return p, nil
	}
	p := &page{age: ps.now()} // before fetching: what changes meanwhile makes the rest of the page too old to keep
	p.entries, p.err = ps.fetch(dir, after)
	ps.ahead(dir, p)
	return p, p.err
}

// take returns a page that is kept and not too old, or nil. Its reader goes on elsewhere: another one fetches for itself.
func (ps *pages) take(at place) *page {
	ps.mu.Lock()
	p := ps.kept[at]
	delete(ps.kept, at)
	ps.mu.Unlock()
	if p == nil || p.ready == nil {
		return p
	}
	<-p.ready
	if p.err != nil || p.age != ps.now() {
		return nil
	}
	ps.ahead(at.dir, p)
	return p
}

// ahead begins to fetch what comes after a full page.
func (ps *pages) ahead(dir node, p *page) {
	if p.err != nil || len(p.entries) < pageLimit {
		return
	}
	at := place{dir, p.entries[len(p.entries)-1].off}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.kept[at] != nil {
		return
	}
	next := &page{age: ps.age, ready: make(chan struct{})}
	ps.put(at, next)
	ps.fetching.Go(func() {
		defer close(next.ready)
		next.entries, next.err = ps.fetch(dir, at.after)
	})
}

// keep keeps the entries of a page from the i-th on for the reader that comes back to the offset, if they are still true.
func (ps *pages) keep(dir node, after uint64, p *page, i int) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if p.age == ps.age {
		ps.put(place{dir, after}, &page{entries: p.entries[i:], age: p.age})
	}
}

func (ps *pages) put(at place, p *page) {
	if ps.kept == nil || len(ps.kept) >= maxPages {
		ps.kept = make(map[place]*page)
	}
	ps.kept[at] = p
}

func (ps *pages) now() uint64 {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return ps.age
}

// forget drops everything.
func (ps *pages) forget() {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.age++
	ps.kept = nil
}
