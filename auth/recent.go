package auth

import (
	"sync"
	"sync/atomic"
)

// A recent keeps the values that were asked for lately, at most as many as its limit. Reading takes no lock. Values are
// in two generations: when the young one is full it becomes the old one, and the old one is forgotten but for what was
// asked for since.
type recent[K comparable, V any] struct {
	half        int // entries of a generation
	generations atomic.Pointer[[2]*sync.Map]

	mu    sync.Mutex // held to write
	young int        // entries of the young generation
}

func newRecent[K comparable, V any](limit int) *recent[K, V] {
	r := &recent[K, V]{half: max(1, limit/2)}
	r.generations.Store(&[2]*sync.Map{new(sync.Map), new(sync.Map)})
	return r
}

// get returns the value of the key, or nil.
func (r *recent[K, V]) get(k K) *V {
	generations := r.generations.Load()
	if found, ok := generations[0].Load(k); ok {
		return found.(*V)
	}
	found, ok := generations[1].Load(k)
	if !ok {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.generations.Load()
	if _, moved := now[0].Load(k); !moved {
		if still, ok := now[1].Load(k); ok && still == found { // neither dropped nor replaced meanwhile
			r.store(k, found.(*V))
		}
	}
	return found.(*V)
}

// put keeps a value.
func (r *recent[K, V]) put(k K, v *V) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.store(k, v)
}

// store keeps a value; the caller has the lock.
func (r *recent[K, V]) store(k K, v *V) {
	generations := r.generations.Load()
	if _, replaced := generations[0].Swap(k, v); replaced {
		return
	}
	if r.young++; r.young >= r.half {
		r.generations.Store(&[2]*sync.Map{new(sync.Map), generations[0]})
		r.young = 0
	}
}

// drop forgets a value.
func (r *recent[K, V]) drop(k K) {
	r.mu.Lock()
	defer r.mu.Unlock()
	generations := r.generations.Load()
	if _, was := generations[0].LoadAndDelete(k); was {
		r.young--
	}
	generations[1].Delete(k)
}
