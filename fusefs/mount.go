package fusefs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/vitrine-image/vitrine/internal/fusemount"
	"github.com/vitrine-image/vitrine/mounter"
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
	kernel  kernel
	device  uint32 // minor number of the mount
	passes  bool   // the kernel reads local files by itself
	refused refused
	handles handles
	openers openers
	pages   pages
	listed  atomic.Int64 // Unix microseconds of the last change of any directory
	feed    feed
	moves   chan move
	quiet   quiet

	helper   *mounter.Client // nil if this process has mounted
	leave    sync.Once       // the helper
	journal  *journal        // nil without helper
	number   int             // of the descriptor that go-fuse has
	resends  bool            // the kernel can send requests again
	outdated bool            // what the kernel knows from a predecessor
	fresh    bool            // nobody served the mount before
	settled  chan struct{}   // closed when what has been open since before is open
	stopped  atomic.Bool     // reading, on purpose
}

// ErrUnmounted is what Serve returns when somebody else unmounted the mount or aborted its connection.
var ErrUnmounted = errors.New("the mount was unmounted from outside")

// ErrHandedOver is what Serve returns when another process has asked for the mount and serves it now.
var ErrHandedOver = errors.New("another process has taken the mount over")

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
	m.settled = make(chan struct{})
	m.listed.Store(time.Now().UnixMicro())
	m.feed.init()
	m.moves = make(chan move)
	return m, nil
}

// Attach mounts: what a process finds below the path from now on waits until Serve answers it. A mount that a dead
// process left there is cleared first, or taken over if the helper has it. Errors: *fusemount.Error, which tells a person what to do.
func (m *Mount) Attach(ctx context.Context) error {
	last, err := m.source.LastChange(ctx) // before the kernel can have learnt anything
	if err != nil {
		return fmt.Errorf("find the last change: %w", err)
	}
	attach := m.attachAlone
	if m.cfg.Helper != "" {
		attach = m.attachHelper
	}
	if err := attach(ctx); err != nil {
		return err
	}
	m.passes = m.canPass()
	m.takeUp(last)
	m.log.Info("mounted", "path", m.cfg.Path, "passthrough", m.passes, "helper", m.cfg.Helper)
	return nil
}

// attachAlone mounts without a helper.
func (m *Mount) attachAlone(context.Context) (err error) {
	if m.place, m.cfg.Path, err = fusemount.Prepare(m.cfg.Path, m.mountOptions().Type(), m.log); err != nil {
		return err
	}
	if err := m.connect(); err != nil {
		m.place.Close()
		return err
	}
	m.kernel = byOurselves{m.server}
	if err := fusemount.RaiseReadAhead(m.device, m.cfg.ReadAhead); err != nil {
		m.log.Debug("cannot raise the read-ahead of the mount", "error", err)
	}
	return nil
}

// Passes reports whether the kernel reads local files by itself. It is known after Attach.
func (m *Mount) Passes() bool { return m.passes }

// Serve answers the kernel until ctx ends, and then unmounts. Files that are open are served on for a while
// (Config.Linger), out of sight. With a helper the mount stays, and who reads from it waits for a successor. It returns nil after
// an orderly end, ErrUnmounted, ErrHandedOver, or what kept it from ending well.
func (m *Mount) Serve(ctx context.Context) error {
	following, unfollow := context.WithCancel(context.WithoutCancel(ctx))
	var followed sync.WaitGroup
	followed.Go(func() { m.follow(following) })
	followed.Go(func() { m.followMoves(following) })
	followed.Go(func() { m.reopen(following) })
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		m.server.Serve()
	}()

	err := ErrUnmounted
	select {
	case <-gone:
		if m.helper != nil {
			break // the helper clears what is left
		}
		if _, err := m.unmount(); err != nil { // a connection that was aborted leaves a dead mount
			m.log.Warn("the dead mount stays", "path", m.cfg.Path, "error", err)
		}
	case <-ctx.Done():
		if m.helper == nil {
			err = m.detach(gone)
			break
		}
		unfollow() // before reading stops: the kernel may hold up a notice until a request is answered
		followed.Wait()
		err = m.letGo(gone)
	case <-m.successor():
		unfollow()
		followed.Wait()
		if err = m.letGo(gone); err == nil {
			err = ErrHandedOver
		}
	}
	if m.place != nil {
		m.place.Close() // if the mount is gone by itself
	}
	unfollow()
	followed.Wait()
	if ended(gone) {
		m.handles.closeAll()
	}
	m.stop()
	m.pages.fetching.Wait()
	if m.helper != nil {
		m.leaveHelper()
		if ended(gone) {
			m.journal.close()
		}
	}
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
