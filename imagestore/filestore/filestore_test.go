package filestore

import (
	"testing"

	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/imagestore/storetest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// openIn opens a store over directories until the test ends.
func openIn(t *testing.T, cfg Config, paths ...string) *Store {
	t.Helper()
	cfg.ID = "local"
	for i, path := range paths {
		cfg.Dirs = append(cfg.Dirs, Dir{Path: path, Priority: -i})
	}
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func factory(open func(t *testing.T) *Store) storetest.Factory {
	return storetest.Factory{
		ID:  "local",
		New: func(t *testing.T) imagestore.Writer { return open(t) },
		Reopen: func(t *testing.T, old imagestore.Writer) imagestore.Writer {
			s := old.(*Store)
			paths := []string{}
			for _, d := range s.dirs {
				paths = append(paths, d.path)
			}
			s.Close()
			return openIn(t, Config{UUID: s.UUID()}, paths...)
		},
	}
}

func TestStore(t *testing.T) {
	storetest.Run(t, factory(func(t *testing.T) *Store { return openIn(t, Config{}, t.TempDir()) }))
}
