package fusefs

import "sync"

// pages keeps what was fetched of directories and did not fit the kernel's buffer, which takes only some entries at a
// time. It is no more than a short cut: without it the source is asked again. Whatever changes forgets everything,
// before the kernel is told: a listing in progress must not bring back a name that the kernel has just forgotten.
type pages struct {
	mu   sync.Mutex
	kept map[place]page
	age  uint64 // counts the times that everything was forgotten
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
}

const maxPages = 32

func (p page) rest(i int) page { return page{p.entries[i:], p.age} }

// from returns the entries after the offset, fetching them unless they are kept.
func (ps *pages) from(dir node, after uint64, fetch func() ([]dirent, error)) (page, error) {
	ps.mu.Lock()
	at := place{dir, after}
	kept, ok := ps.kept[at]
	if ok {
		delete(ps.kept, at) // its reader goes on elsewhere; another one fetches for itself
	}
	age := ps.age
	ps.mu.Unlock()
	if ok {
		return kept, nil
	}
	entries, err := fetch()
	return page{entries, age}, err
}

// keep keeps a page for the reader that comes back to the offset, if it is still true.
func (ps *pages) keep(dir node, after uint64, p page) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if p.age != ps.age {
		return
	}
	if ps.kept == nil || len(ps.kept) >= maxPages {
		ps.kept = make(map[place]page)
	}
	ps.kept[place{dir, after}] = p
}

// forget drops everything.
func (ps *pages) forget() {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.age++
	ps.kept = nil
}
