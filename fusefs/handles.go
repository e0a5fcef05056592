package fusefs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

// handles holds a reader for each node that the kernel has open. A node has one, however often it is open; it is
// opened by the first OPEN, or by a READ of a node that this process never opened (a predecessor did), and closed when
// the kernel has released it as often as it was opened. The image counts as in use meanwhile.
type handles struct {
	open func(ctx context.Context, n node) (*handle, error) // opens the reader and decides how it is read
	shut func(h *handle)                                    // undoes open
	had  func(n node) int                                   // how often the kernel has had it open since before; nil for who does not know

	mu    sync.Mutex
	table map[node]*handle
	limit int
}

// A handle is an open node. What open set does not change afterwards.
type handle struct {
	node    node
	image   image.ID // "" if it had left the tree
	reader  Reader
	file    *os.File // of a FileReader, nil where only that may read it
	fd      uintptr  // file's
	backing int32    // number under which the kernel reads the file by itself, 0 for none
	attr    attr     // as it was when the node was opened

	ready chan struct{} // closed when opening has ended
	err   error         // why it failed

	opens   int // by the kernel, as far as we know
	pins    int // operations that use the reader now
	removed bool
}

// acquire returns the node's handle for an operation, or for as long as the kernel has it open. Give it back by
// release. Errors: those of Source.Open, ENFILE.
func (hs *handles) acquire(ctx context.Context, n node, open bool) (*handle, error) {
	for {
		hs.mu.Lock()
		h, ok := hs.table[n]
		if !ok {
			if len(hs.table) >= hs.limit {
				hs.mu.Unlock()
				return nil, syscall.ENFILE
			}
			h = &handle{node: n, ready: make(chan struct{}), pins: 1, opens: 1}
			if hs.had != nil {
				h.opens = hs.had(n)
				hs.count(h, open, 1)
				h.pins = 1
			}
			hs.table[n] = h
			hs.mu.Unlock()
			return hs.first(ctx, h, open)
		}
		hs.count(h, open, 1)
		hs.mu.Unlock()
		select {
		case <-h.ready:
		case <-ctx.Done():
			hs.release(h, open)
			return nil, ctx.Err()
		}
		if h.err == nil {
			return h, nil
		}
		hs.release(h, open)
		if ctx.Err() != nil || !isInterrupt(h.err) {
			return nil, h.err
		}
		// Whoever opened it was interrupted; that is no reason to fail this one.
	}
}

// first opens the reader of a new handle, which already counts as open once.
func (hs *handles) first(ctx context.Context, h *handle, open bool) (*handle, error) {
	opened, err := hs.open(ctx, h.node)
	hs.mu.Lock()
	if err == nil {
		h.image, h.reader, h.file, h.fd = opened.image, opened.reader, opened.file, opened.fd
		h.backing, h.attr = opened.backing, opened.attr
	} else {
		h.err = err
		hs.forget(h)
	}
	if open || err != nil {
		h.pins-- // an operation keeps its pin
	}
	close(h.ready)
	hs.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return h, nil
}

func (hs *handles) count(h *handle, open bool, by int) {
	if open {
		h.opens += by
	} else {
		h.pins += by
	}
}

// release gives back what acquire returned.
func (hs *handles) release(h *handle, open bool) {
	hs.mu.Lock()
	hs.count(h, open, -1)
	last := h.opens <= 0 && h.pins == 0 && !h.removed
	if last {
		hs.forget(h)
	}
	hs.mu.Unlock()
	if last {
		hs.shut(h)
	}
}

// closed tells that the kernel closed the node once. Closing what is not known to be open is what a predecessor's
// files do, and nothing happens.
func (hs *handles) closed(n node) (known bool) {
	hs.mu.Lock()
	h, ok := hs.table[n]
	hs.mu.Unlock()
	if ok {
		<-h.ready
		hs.release(h, true)
	}
	return ok
}

// attr returns the attributes of a node that is open, for one that left the tree: no name leads to it.
func (hs *handles) attr(n node) (attr, bool) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	h, ok := hs.table[n]
	if !ok || h.reader == nil {
		return attr{}, false
	}
	a := h.attr
	a.nlink = 0
	return a, true
}

// imageOf returns the image whose bytes the node is, if it is open and was in the tree when it was opened.
func (hs *handles) imageOf(n node) image.ID {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	if h, ok := hs.table[n]; ok {
		return h.image
	}
	return ""
}

// inUse returns how many files are open: those that this process reads for the kernel, and those that the kernel reads
// by itself.
func (hs *handles) inUse() (served, passed int) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	for _, h := range hs.table {
		if h.backing != 0 {
			passed++
		} else {
			served++
		}
	}
	return served, passed
}

// images returns the images that are open by their numbers, as far as they were in the tree when they were opened.
func (hs *handles) images() map[int64]image.ID {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	ids := make(map[int64]image.ID)
	for _, h := range hs.table {
		if h.reader != nil && h.image != "" {
			ids[h.node.number()] = h.image
		}
	}
	return ids
}

// closeAll closes what is open when the kernel is gone and will never release it.
func (hs *handles) closeAll() {
	hs.mu.Lock()
	left := slices.Collect(maps.Values(hs.table))
	for _, h := range left {
		hs.forget(h)
	}
	hs.mu.Unlock()
	for _, h := range left {
		hs.shut(h)
	}
}

// forget takes the handle out of the table; the caller has the lock.
func (hs *handles) forget(h *handle) {
	h.removed = true
	if hs.table[h.node] == h {
		delete(hs.table, h.node)
	}
}

func isInterrupt(err error) bool {
	errno, _ := errnoOf(err)
	return errno == syscall.EINTR || errno == syscall.ETIMEDOUT
}

// openHandle opens the bytes of an image and decides how they are read, once for as long as they are open.
func (m *Mount) openHandle(ctx context.Context, n node) (*handle, error) {
	img, err := m.source.Image(ctx, n.number())
	if errors.Is(err, image.ErrNotFound) { // left the tree; whether it still opens is the source's to say
		img, err = &image.Image{Number: n.number(), CreatedAt: time.Unix(0, 0)}, nil
	}
	if err != nil {
		return nil, err
	}
	open := m.source.Open
	if n.isRawView() {
		open = m.source.OpenDisk
	}
	r, err := open(ctx, n.number())
	if err != nil {
		return nil, err
	}
	size, known := r.Size(), sizeOf(img, n)
	if *known != nil && **known != size {
		r.Close()
		return nil, fmt.Errorf("there are %d bytes where %d were expected: %w", size, **known, image.ErrCorrupt)
	}
	*known = &size
	a, err := m.fileAttr(img, n)
	if err != nil {
		r.Close()
		return nil, err
	}
	h := &handle{node: n, image: img.ID, reader: r, attr: a}
	if f, ok := r.(FileReader); ok {
		h.file = f.File()
	}
	if h.file != nil {
		h.fd = h.file.Fd()
	}
	switch had := m.had(n); {
	case had.opens > 0: // it stays as it is
		h.backing = had.backing
	case h.file != nil && n.isPassed():
		h.backing = m.register(h.fd, h.file.Name())
	}
	if n.isRawView() && h.backing == 0 {
		h.file = nil // the reader knows what to do when the file is broken
	}
	return h, nil
}

func (m *Mount) shutHandle(h *handle) {
	if h.backing != 0 && m.had(h.node).opens == 0 {
		m.unregister(h.backing)
	}
	if err := h.reader.Close(); err != nil {
		m.status("close", h.node, err)
	}
}
