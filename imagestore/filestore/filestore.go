// Package filestore keeps image data in files of local directories. An object is the file
//
//	<directory>/<first two hex digits of the image's id>/<object name>
//
// which appears under that name only when all of it is on the disk: until then it has no name at all, or, where the
// file system cannot do that, one in <directory>/tmp. What was taken over from Glance lies in the directory itself. The
// file .vitrine-store marks a directory as the store's, so that a disk that is not mounted does not look like an empty store.
//
// Start reading at Open, then Put. All work on the file system goes through root, which follows no symbolic link.
package filestore

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/vitrine-image/vitrine/image"
)

// A Config says what a store is made of.
type Config struct {
	ID   string // of the store
	Dirs []Dir
	// UUID is the identity that the store had when it was opened before, "" if it never was. A store that was opened
	// before is not made anew in empty directories: it is offline until those with its marker are there again.
	UUID string
	// Occupied says that directories may hold other things when they are used first: the files of a Glance, which stay where
	// they are. Otherwise only empty ones are taken.
	Occupied bool
	MinFree  int64        // bytes of each file system that no upload may take
	Reread   bool         // what is written is read soon: the page cache may keep it
	Logger   *slog.Logger // nil discards
}

// A Dir is one directory of a store. New data goes where the priority is highest, among those with enough space.
type Dir struct {
	Path     string // made if missing, unless the store is known to have used it
	Priority int
}

// A Store keeps data in directories. Besides Store and Writer it is Measured, an Auditor and a Sweeper.
type Store struct {
	id       string
	uuid     string
	minFree  int64
	occupied bool
	reread   bool
	log      *slog.Logger
	dirs     []*directory // by falling priority
	promises promises

	mu      sync.Mutex
	writing map[string]bool // names of objects that a Put is at

	// fault, when a test has set it, does the steps of a write in place of step.
	fault func(step string, do func() error) error
}

// Open opens the directories and marks those that are new. Directories that are missing or belong to another store
// make it fail only if nothing tells whether they were in use before; else they are offline, and come back as soon as
// they can be reached. It starts no goroutines.
func Open(cfg Config) (*Store, error) {
	s := &Store{
		id:       cfg.ID,
		uuid:     cfg.UUID,
		minFree:  cfg.MinFree,
		occupied: cfg.Occupied,
		reread:   cfg.Reread,
		log:      cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler)).With("store", cfg.ID),
		promises: promises{bytes: map[uint64]int64{}},
		writing:  map[string]bool{},
	}
	if cfg.ID == "" || len(cfg.Dirs) == 0 {
		return nil, errors.New("filestore: a store needs an id and at least one directory")
	}
	if cfg.MinFree < 0 {
		return nil, errors.New("filestore: the space to keep free cannot be negative")
	}
	for _, d := range cfg.Dirs {
		path, err := filepath.Abs(d.Path)
		if err != nil || d.Path == "" {
			return nil, fmt.Errorf("filestore: directory %q has no absolute path: %w", d.Path, err)
		}
		for _, other := range s.dirs {
			if within(path, other.path) || within(other.path, path) {
				return nil, fmt.Errorf("filestore: directories %s and %s lie in each other", path, other.path)
			}
		}
		s.dirs = append(s.dirs, &directory{path: path, priority: d.Priority})
	}
	slices.SortStableFunc(s.dirs, func(a, b *directory) int { return cmp.Compare(b.priority, a.priority) })
	if err := s.identify(); err != nil {
		s.Close()
		return nil, fmt.Errorf("filestore: %w", err)
	}
	return s, nil
}

func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// UUID returns the identity of the store, which its directories' markers hold. Give it to Open the next time.
func (s *Store) UUID() string { return s.uuid }

// Close lets go of the directories. Readers stay open.
func (s *Store) Close() error {
	var errs []error
	for _, d := range s.dirs {
		errs = append(errs, d.close())
	}
	return errors.Join(errs...)
}

// claim reserves the name of an object for one Put at a time; call release at its end.
func (s *Store) claim(name string) (release func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writing[name] {
		return nil, s.conflict(name)
	}
	s.writing[name] = true
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.writing, name)
	}, nil
}

func (s *Store) conflict(name string) error {
	return fmt.Errorf("store %s: object %s exists: %w", s.id, name, image.ErrConflict)
}

func notExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }
