package fusefs

import (
	"context"
	"sync"
	"time"
)

// A feed remembers how far the changes were applied.
type feed struct {
	mu   sync.Mutex
	seq  int64
	next chan struct{} // closed when seq grows
}

func (f *feed) init() { f.next = make(chan struct{}) }

func (f *feed) applied(seq int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if seq > f.seq {
		f.seq = seq
		close(f.next)
		f.next = make(chan struct{})
	}
}

func (f *feed) now() (int64, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seq, f.next
}

// Applied waits until the kernel was told of every change up to the sequence: from then on a path shows the truth.
func (m *Mount) Applied(ctx context.Context, seq int64) error {
	for {
		have, next := m.feed.now()
		if have >= seq {
			return nil
		}
		select {
		case <-next:
		case <-ctx.Done():
			return ctx.Err()
		case <-m.ctx.Done():
			return ErrUnmounted
		}
	}
}

// LastApplied returns the sequence of the last change that the kernel was told of.
func (m *Mount) LastApplied() int64 {
	seq, _ := m.feed.now()
	return seq
}

const (
	changeLimit = 256         // applied in one round
	retryAfter  = time.Second // when the feed fails
)

// follow applies changes until ctx ends.
func (m *Mount) follow(ctx context.Context) {
	for ctx.Err() == nil {
		err := m.catchUp(ctx)
		if err == nil {
			err = m.applyNext(ctx)
		}
		if err == nil || ctx.Err() != nil {
			continue
		}
		if !m.quiet.seen("follow") {
			m.log.Warn("cannot follow the changes, the mount may show old names", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryAfter):
		}
	}
}

// catchUp lets the kernel forget all that it learnt from a predecessor which showed something else.
func (m *Mount) catchUp(ctx context.Context) error {
	if !m.outdated {
		return nil
	}
	r := newRound(m)
	if err := r.everything(ctx, time.Now()); err != nil {
		return err
	}
	if err := r.send(); err != nil {
		return err
	}
	m.outdated = false
	m.journal.head.view = m.view()
	return nil
}

// applyNext waits for changes and applies one round of them.
func (m *Mount) applyNext(ctx context.Context) error {
	after := m.LastApplied()
	if err := m.source.WaitChange(ctx, after); err != nil {
		return err
	}
	changes, last, lost, err := m.source.Changes(ctx, after, changeLimit)
	if err != nil {
		return err
	}
	r := newRound(m)
	if lost {
		m.log.Warn("changes were dropped before the mount saw them, it forgets all that it knows")
		if err := r.everything(ctx, time.Now()); err != nil {
			return err
		}
	}
	for _, c := range changes {
		if err := r.add(ctx, c); err != nil {
			return err
		}
	}
	if err := r.send(); err != nil {
		return err
	}
	m.applied(last)
	return nil
}

// applied notes how far the kernel knows.
func (m *Mount) applied(seq int64) {
	if m.journal != nil {
		m.journal.head.applied.Store(seq)
	}
	m.feed.applied(seq)
}

// A move is an image whose disk has come to lie in a file, or does so no more.
type move struct {
	number int64
	done   chan<- struct{}
}

// DiskMoved makes the kernel find the disk of an image anew, since Source.DiskInFile says something else of it now. What is open stays as
// it is. It returns once the kernel knows, or ctx ends, or serving does; no operation of the source may wait for it.
func (m *Mount) DiskMoved(ctx context.Context, number int64) {
	done := make(chan struct{})
	select {
	case m.moves <- move{number, done}:
	case <-ctx.Done():
		return
	case <-m.ctx.Done():
		return
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// followMoves tells the kernel of disks that have moved until ctx ends.
func (m *Mount) followMoves(ctx context.Context) {
	for {
		select {
		case moved := <-m.moves:
			r := newRound(m)
			r.entry(imageNode(kindImage, moved.number), diskName)
			if err := r.send(); err != nil { // either name leads to the bytes
				m.log.Warn("the kernel cannot be told where a disk lies now", "image_number", moved.number, "error", err)
			}
			close(moved.done)
		case <-ctx.Done():
			return
		}
	}
}
