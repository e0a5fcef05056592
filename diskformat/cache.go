package diskformat

import (
	"context"
	"sync"
)

// A Cache holds tables and decompressed data of disks that are open, those used last. What is being read or decompressed
// counts, too: who would exceed the limit waits for others to finish. It is safe for concurrent use.
type Cache struct {
	limit int64

	mu      sync.Mutex
	owners  owner
	entries map[key]*entry
	used    int64         // bytes of all entries, and reserved ones
	busy    int           // entries that are pinned or being loaded, and reservations
	idle    entry         // the ring of the entries that nobody uses; idle.next was used last
	freed   chan struct{} // closed when something is no longer busy; nil if nobody waits
	stats   CacheStats    // but for Bytes
}

// CacheStats are what a Cache has done so far.
type CacheStats struct {
	Hits, Misses uint64
	Bytes        int64 // that it holds
}

// Stats returns what the cache has done so far.
func (c *Cache) Stats() CacheStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	stats := c.stats
	stats.Bytes = c.used
	return stats
}

// An owner is a disk.
type owner uint64

// A key says what an entry holds.
type key struct {
	owner  owner
	off    int64 // in the file
	length int   // there
	packed bool  // it is decompressed
}

// An entry is pinned while somebody uses it; its data must not be changed.
type entry struct {
	key
	data       []byte
	pins       int
	prev, next *entry // in the ring, while there are no pins

	loading   chan struct{} // closed when loaded, or failed
	err       error
	abandoned bool // err comes from the ctx of the one who loaded it
}

// NewCache returns a Cache of so many bytes. It exceeds them only for a single entry that is larger.
func NewCache(bytes int64) *Cache {
	c := &Cache{limit: bytes, entries: make(map[key]*entry)}
	c.idle.prev, c.idle.next = &c.idle, &c.idle
	return c
}

func (c *Cache) newOwner() owner {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.owners++
	return c.owners
}

// has tells whether there is such an entry, or soon will be.
func (c *Cache) has(k key) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.entries[k] != nil
}

// get returns the entry of the key, pinned: release it, and before anything else is asked for. If there is none, load fills
// its data, size bytes, and needs extra bytes meanwhile. Of many who ask at once one loads.
func (c *Cache) get(ctx context.Context, k key, size, extra int, load func(p []byte) error) (*entry, error) {
	for {
		c.mu.Lock()
		e := c.entries[k]
		switch {
		case e == nil:
			e = &entry{key: k, loading: make(chan struct{})}
			c.entries[k] = e
			c.stats.Misses++
			c.mu.Unlock()
			if err := c.load(ctx, e, size, extra, load); err != nil {
				return nil, err
			}
			return e, nil
		case e.data != nil:
			c.pin(e)
			c.stats.Hits++
			c.mu.Unlock()
			return e, nil
		}
		c.mu.Unlock()
		select {
		case <-e.loading:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if e.err != nil && !e.abandoned {
			return nil, e.err
		}
	}
}

// load fills a new entry, and pins it.
func (c *Cache) load(ctx context.Context, e *entry, size, extra int, load func(p []byte) error) (err error) {
	var p []byte
	reserved, loaded := false, false // load may panic
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if loaded {
			e.data, e.pins = p, 1 // what was busy as a reservation now is as an entry
			c.used -= int64(extra)
			c.wake()
		} else {
			delete(c.entries, e.key)
			e.err, e.abandoned = err, ctx.Err() != nil
			if reserved {
				c.giveBack(size + extra)
			}
		}
		close(e.loading)
	}()
	if p, err = c.evictFor(ctx, size+extra, size); err != nil {
		return err
	}
	reserved = true
	if p == nil {
		p = make([]byte, size)
	}
	if err = load(p); err != nil {
		return err
	}
	loaded = true
	return nil
}

// release ends the use of an entry.
func (c *Cache) release(e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.pins--; e.pins > 0 {
		return
	}
	e.prev, e.next = &c.idle, c.idle.next
	e.prev.next, e.next.prev = e, e
	c.busy--
	c.wake()
}

func (c *Cache) pin(e *entry) {
	if e.pins == 0 {
		e.unlink()
		c.busy++
	}
	e.pins++
}

func (e *entry) unlink() { e.prev.next, e.next.prev = e.next, e.prev }

// reserve makes place for n bytes that are no entry. Whoever has a reservation must not ask for another one, nor for entries.
func (c *Cache) reserve(ctx context.Context, n int) error {
	_, err := c.evictFor(ctx, n, 0)
	return err
}

func (c *Cache) unreserve(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.giveBack(n)
}

func (c *Cache) giveBack(n int) {
	c.used -= int64(n)
	c.busy--
	c.wake()
}

// evictFor reserves n bytes. If what had to go was of the size, its memory can be used again.
func (c *Cache) evictFor(ctx context.Context, n, size int) (again []byte, err error) {
	for {
		c.mu.Lock()
		for e := c.idle.prev; e != &c.idle && c.used+int64(n) > c.limit; e = c.idle.prev {
			c.remove(e)
			if len(e.data) == size {
				again = e.data
			}
		}
		if c.used+int64(n) <= c.limit || c.busy == 0 {
			c.used += int64(n)
			c.busy++
			c.mu.Unlock()
			return again, nil
		}
		if c.freed == nil {
			c.freed = make(chan struct{})
		}
		freed := c.freed
		c.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// remove forgets an idle entry.
func (c *Cache) remove(e *entry) {
	e.unlink()
	delete(c.entries, e.key)
	c.used -= int64(len(e.data))
}

// wake tells those who wait that less is busy.
func (c *Cache) wake() {
	if c.freed != nil {
		close(c.freed)
		c.freed = nil
	}
}

// drop forgets what an owner has that nobody uses.
func (c *Cache) drop(o owner) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for e := c.idle.next; e != &c.idle; {
		next := e.next
		if e.owner == o {
			c.remove(e)
		}
		e = next
	}
	c.wake()
}
