package fusefs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/vitrine-image/vitrine/internal/fusemount"
)

// A Mount serves images as files: New, then Attach, then Serve. Its other methods are called by go-fuse.
type Mount struct {
	fuse.RawFileSystem // answers ENOSYS to what is not implemented

	cfg    Config
	source Source
	log    *slog.Logger

	ctx  context.Context // ends when serving has; for operations, which go-fuse gives none
	stop context.CancelFunc

	place   *os.File // the directory below the mount, locked while the mount is there
	server  *fuse.Server
	device  uint32 // minor number of the mount
	passes  bool   // the kernel reads local files by itself
	refused refused
	handles handles
	pages   pages
	listed  atomic.Int64 // Unix microseconds of the last change of any directory
	feed    feed
	quiet   quiet
}

// ErrUnmounted is what Serve returns when somebody else unmounted the mount or aborted its connection.
var ErrUnmounted = errors.New("the mount was unmounted from outside")

// New checks the configuration. It touches nothing.
func New(cfg Config) (*Mount, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	m := &Mount{RawFileSystem: fuse.NewDefaultRawFileSystem(), cfg: cfg, source: cfg.Source, log: cfg.Logger}
	m.ctx, m.stop = context.WithCancel(context.Background())
	m.handles = handles{open: m.openHandle, shut: m.shutHandle, table: make(map[node]*handle), limit: cfg.MaxOpen}
	m.pages.fetch = m.page
	m.listed.Store(time.Now().UnixMicro())
	m.feed.init()
	return m, nil
}

// Attach mounts: what a process finds below the path from now on waits until Serve answers it. A mount that a dead
// process left there is cleared first. Errors: *fusemount.Error, which tells a person what to do.
func (m *Mount) Attach(ctx context.Context) error {
	last, err := m.source.LastChange(ctx) // before the kernel can have learnt anything
	if err != nil {
		return fmt.Errorf("find the last change: %w", err)
	}
	m.feed.applied(last)
	if m.place, m.cfg.Path, err = fusemount.Prepare(m.cfg.Path, m.mountOptions().Type(), m.log); err != nil {
		return err
	}
	if err := m.connect(); err != nil {
		m.place.Close()
		return err
	}
	m.passes = m.canPass()
	if err := fusemount.RaiseReadAhead(m.device, m.cfg.ReadAhead); err != nil {
		m.log.Debug("cannot raise the read-ahead of the mount", "error", err)
	}
	m.log.Info("mounted", "path", m.cfg.Path, "passthrough", m.passes)
	return nil
}

// Passes reports whether the kernel reads local files by itself. It is known after Attach.
func (m *Mount) Passes() bool { return m.passes }

// Serve answers the kernel until ctx ends, and then unmounts. Files that are open are served on for a while
// (Config.Linger), out of sight. It returns nil after an orderly end, ErrUnmounted, or what kept it from ending well.
func (m *Mount) Serve(ctx context.Context) error {
	following, unfollow := context.WithCancel(context.WithoutCancel(ctx))
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		m.follow(following)
	}()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		m.server.Serve()
	}()

	err := ErrUnmounted
	select {
	case <-gone:
		if _, err := m.unmount(); err != nil { // a connection that was aborted leaves a dead mount
			m.log.Warn("the dead mount stays", "path", m.cfg.Path, "error", err)
		}
	case <-ctx.Done():
		err = m.detach(gone)
	}
	m.place.Close() // if the mount is gone by itself
	unfollow()
	<-followed
	if ended(gone) {
		m.handles.closeAll()
	}
	m.stop()
	m.pages.fetching.Wait()
	return err
}

// detach takes the mount out of the tree and waits until the kernel has let go of it.
func (m *Mount) detach(gone <-chan struct{}) error {
	busy, err := m.unmount()
	if err != nil {
		return err
	}
	m.place.Close() // whoever comes next may mount there, though files are open
	if busy {
		served, passed := m.handles.inUse()
		m.log.Info("the mount is still in use, it is served on", "path", m.cfg.Path, "open", served+passed, "linger", m.cfg.Linger)
	}
	if wait(gone, m.cfg.Linger) {
		return nil
	}
	served, passed := m.handles.inUse()
	if passed > 0 {
		m.log.Info("files of the mount are still open, the kernel reads on in them", "open", passed)
	}
	if served > 0 {
		m.log.Warn("files of the mount are still open, their readers get errors from now on", "open", served)
	}
	switch err := fusemount.Abort(m.device); {
	case ended(gone):
		return nil
	case errors.Is(err, fs.ErrPermission): // the kernel does it when the descriptor of /dev/fuse is closed
		m.log.Info("no right to end the mount, it ends with this process", "path", m.cfg.Path)
		return nil
	case err != nil:
		return fmt.Errorf("end the mount at %s while it is in use: %w", m.cfg.Path, err)
	}
	if !wait(gone, m.cfg.Linger) {
		return fmt.Errorf("the kernel does not let go of the mount at %s", m.cfg.Path)
	}
	return nil
}

func wait(done <-chan struct{}, atMost time.Duration) bool {
	t := time.NewTimer(atMost)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
		return false
	}
}

func ended(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// String is the name that go-fuse shows.
func (m *Mount) String() string { return m.cfg.Name }
