package filestore

import (
	"os"
	"testing"

	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/imagestore/storetest"
	"github.com/vitrine-image/vitrine/internal/crashfs"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	crashfs.ServeIfChild()
	if os.Getenv(crashVariable) != "" {
		crash() // does not return
	}
	goleak.VerifyTestMain(m)
}

// openIn opens a store over directories until the test ends; the first one has the highest priority.
func openIn(t *testing.T, cfg Config, paths ...string) *Store {
	t.Helper()
	s, err := tryOpen(cfg, paths...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func tryOpen(cfg Config, paths ...string) (*Store, error) {
	cfg.ID = "local"
	for i, path := range paths {
		cfg.Dirs = append(cfg.Dirs, Dir{Path: path, Priority: -i})
	}
	return Open(cfg)
}

func factory(open func(t *testing.T) *Store) storetest.Factory {
	return storetest.Factory{
		ID:  "local",
		New: func(t *testing.T) imagestore.Writer { return open(t) },
		Reopen: func(t *testing.T, old imagestore.Writer) imagestore.Writer {
			s := old.(*Store)
			var paths []string
			for _, d := range s.dirs {
				paths = append(paths, d.path)
			}
			s.Close()
			again := openIn(t, Config{UUID: s.UUID()}, paths...)
			again.fault = s.fault
			return again
		},
	}
}

func TestStore(t *testing.T) {
	storetest.Run(t, factory(func(t *testing.T) *Store { return openIn(t, Config{}, t.TempDir()) }))
}

func TestStoreOnTmpfs(t *testing.T) {
	storetest.Run(t, factory(func(t *testing.T) *Store { return openIn(t, Config{}, tmpfs(t, "size=64m")) }))
}

// A file system that does not tell its size takes what it can.
func TestStoreOnRamfs(t *testing.T) {
	storetest.Run(t, factory(func(t *testing.T) *Store { return openIn(t, Config{MinFree: 1 << 20}, memory(t, "ramfs", "")) }))
}

func TestStoreOnXFS(t *testing.T) {
	dir := xfs(t)
	storetest.Run(t, factory(func(t *testing.T) *Store {
		own, err := os.MkdirTemp(dir, "store")
		if err != nil {
			t.Fatal(err)
		}
		return openIn(t, Config{}, own)
	}))
}

func TestStoreOfTwoDirectories(t *testing.T) {
	storetest.Run(t, factory(func(t *testing.T) *Store { return openIn(t, Config{}, t.TempDir(), t.TempDir()) }))
}

// A file system that knows no files without names gets named ones.
func TestStoreWithNamedTemporaries(t *testing.T) {
	storetest.Run(t, factory(func(t *testing.T) *Store {
		s := openIn(t, Config{}, t.TempDir())
		s.fault = withoutUnnamed
		return s
	}))
}

// One that knows no hard links either gets names that move.
func TestStoreWithoutLinks(t *testing.T) {
	storetest.Run(t, factory(func(t *testing.T) *Store {
		s := openIn(t, Config{}, t.TempDir())
		s.fault = withoutLinks
		return s
	}))
}

func withoutLinks(step string, do func() error) error {
	if step == stepLink {
		return unix.EPERM
	}
	return withoutUnnamed(step, do)
}

func withoutUnnamed(step string, do func() error) error {
	if step == stepCreateUnnamed {
		return unix.EOPNOTSUPP
	}
	return do()
}
