package fusefs

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vitrine-image/vitrine/internal/testservers"
)

// A served is a mount that a test has.
type served struct {
	*Mount
	t      testing.TB
	path   string
	source *fake
	cancel context.CancelFunc
	done   chan error
}

// serve mounts the fake until the test ends.
func serve(t testing.TB, f *fake, edit ...func(*Config)) *served {
	t.Helper()
	testservers.Require(t, "fuse")
	cfg := Config{Path: filepath.Join(t.TempDir(), "mnt"), Source: f, Linger: 10 * time.Second,
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}
	for _, e := range edit {
		e(&cfg)
	}
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Attach(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := &served{Mount: m, t: t, path: cfg.Path, source: f, done: make(chan error, 1)}
	var ctx context.Context
	ctx, s.cancel = context.WithCancel(context.Background())
	go func() { s.done <- m.Serve(ctx) }()
	t.Cleanup(func() {
		if err := s.end(); err != nil {
			t.Errorf("Serve = %v, want nil", err)
		}
		unix.Unmount(cfg.Path, unix.MNT_DETACH) // before anything looks into the directory
	})
	return s
}

// mustPass skips the test where passthrough cannot be, and fails it where it can and the mount has none.
func (s *served) mustPass() {
	s.t.Helper()
	if !s.passes {
		testservers.Require(s.t, "passthrough")
		s.t.Fatal("this kernel has passthrough, and the mount does not use it")
	}
}

// end stops serving and returns what Serve returned; once more, nil.
func (s *served) end() error {
	s.cancel()
	err := <-s.done
	s.done <- nil
	return err
}

// applied waits until the kernel knows of the change.
func (s *served) applied(seq int64) {
	s.t.Helper()
	ctx, stop := context.WithTimeout(s.t.Context(), childPatience)
	defer stop()
	if err := s.Applied(ctx, seq); err != nil {
		s.t.Fatalf("the change %d was not applied: %v", seq, err)
	}
}

// in returns a path below the mount.
func (s *served) in(parts ...string) string {
	return filepath.Join(append([]string{s.path}, parts...)...)
}
