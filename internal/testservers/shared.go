package testservers

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"
)

// shared is a server that all tests of a process use. It is started for the first of them.
type shared[T any] struct {
	name  string // under which Require knows it
	start func(ctx context.Context, dir string) (*T, error)
	stop  func(*T) error

	mu     sync.Mutex
	server *T
	err    error
	dir    string // not below a test's own one, whose name may be too long for sockets
}

func (s *shared[T]) get(t testing.TB) *T {
	t.Helper()
	Require(t, s.name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server == nil && s.err == nil {
		if s.dir, s.err = os.MkdirTemp("", s.name); s.err == nil {
			s.server, s.err = s.start(context.Background(), s.dir)
		}
	}
	if s.err != nil {
		t.Fatal(s.err)
	}
	return s.server
}

func (s *shared[T]) end() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server != nil {
		if err := s.stop(s.server); err != nil {
			return err
		}
	}
	s.server = nil
	return os.RemoveAll(s.dir)
}

// StopShared ends what SharedKeystone and SharedCeph have started. A TestMain calls it after the tests.
func StopShared() error { return errors.Join(sharedKeystone.end(), sharedCeph.end()) }
