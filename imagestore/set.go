package imagestore

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vitrine-image/vitrine/image"
)

// Staging is the id of the store in which data waits for its import. Ids that begin as it does are reserved: clients neither
// see nor name them.
const Staging = image.StagingStore

const reservedPrefix = "os_glance_"

// Reserved reports whether a store's id is one of those that are not for clients.
func Reserved(id string) bool { return strings.HasPrefix(id, reservedPrefix) }

// An Entry is one configured store.
type Entry struct {
	ID          string
	Store       Store
	Description string
	Default     bool // takes new data unless the client names another one
	Local       bool // reads from this machine's disks
	Changeable  bool // somebody else may change its data, and nobody would notice
	Weight      int  // the higher, the earlier it is read

	Type       string         // of the backend, such as "file"
	Properties map[string]any // how it is configured, for operators; no secrets; a Described store tells it itself
}

// A Set is all stores of a daemon. It does not change.
type Set struct {
	entries []Entry // sorted by id
	byID    map[string]Entry
	first   string
}

// NewSet checks that ids are unique and that exactly one store is the default.
func NewSet(entries ...Entry) (*Set, error) {
	s := &Set{entries: slices.Clone(entries), byID: make(map[string]Entry, len(entries))}
	slices.SortFunc(s.entries, func(a, b Entry) int { return cmp.Compare(a.ID, b.ID) })
	for _, e := range s.entries {
		if e.ID == "" || e.Store == nil {
			return nil, errors.New("imagestore: a store needs an id and a backend")
		}
		if _, twice := s.byID[e.ID]; twice {
			return nil, fmt.Errorf("imagestore: two stores have the id %q", e.ID)
		}
		if e.Default && Reserved(e.ID) {
			return nil, fmt.Errorf("imagestore: the id %q is reserved", e.ID)
		}
		if e.Default && s.first != "" {
			return nil, fmt.Errorf("imagestore: both %q and %q are the default store", s.first, e.ID)
		}
		if e.Default {
			s.first = e.ID
		}
		s.byID[e.ID] = e
	}
	if s.first == "" {
		return nil, errors.New("imagestore: no store is the default")
	}
	return s, nil
}

// Default returns the id of the store for new data.
func (s *Set) Default() string { return s.first }

// Get returns a store by its id.
func (s *Set) Get(id string) (Store, bool) {
	e, ok := s.byID[id]
	return e.Store, ok
}

// Entries returns all stores, sorted by id.
func (s *Set) Entries() []Entry { return slices.Clone(s.entries) }

// Order returns the locations in the order in which they are read: the preferred stores as they are named, then local
// before remote, then the higher weight, and last what lies in stores that are not configured.
func (s *Set) Order(locations []image.Location, prefer []string) []image.Location {
	if len(locations) < 2 {
		return locations
	}
	ordered := slices.Clone(locations)
	slices.SortStableFunc(ordered, func(a, b image.Location) int {
		x, hasX := s.byID[a.Store]
		y, hasY := s.byID[b.Store]
		return cmp.Or(
			compareTrueFirst(hasX, hasY),
			cmp.Compare(rank(prefer, a.Store), rank(prefer, b.Store)),
			compareTrueFirst(x.Local, y.Local),
			cmp.Compare(y.Weight, x.Weight),
			cmp.Compare(a.Store, b.Store))
	})
	return ordered
}

// rank is the store's place among the preferred ones, behind them all if it is none of them.
func rank(prefer []string, store string) int {
	if i := slices.Index(prefer, store); i >= 0 {
		return i
	}
	return len(prefer)
}

func compareTrueFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}
