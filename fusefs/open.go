package fusefs

import (
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// Open opens a file for reading. The node tells everything; the handle only tells one open of it from another, for those
// who come after this process.
func (m *Mount) Open(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	n := node(in.NodeId)
	if in.Flags&syscall.O_ACCMODE != syscall.O_RDONLY || in.Flags&syscall.O_TRUNC != 0 {
		return fuse.EROFS
	}
	switch k := n.kind(); {
	case n.isData():
		return m.openData(n, in.Unique&^resent, in.Pid, out)
	case k == kindDocument, k == kindSum:
		// Read past the kernel's cache: the size may just be changing, and whoever reads gets all of one document.
		out.OpenFlags = fuse.FOPEN_DIRECT_IO | fuse.FOPEN_NOFLUSH
		return fuse.OK
	}
	return fuse.Status(syscall.ESTALE)
}

func (m *Mount) openData(n node, unique uint64, pid uint32, out *fuse.OpenOut) fuse.Status {
	ctx, stop := m.patient()
	defer stop()
	h, err := m.handles.acquire(ctx, n, true)
	if err != nil {
		return m.status("open", n, err)
	}
	if m.journal != nil {
		known, err := m.journal.opened(n, unique, h.backing)
		if known || err != nil {
			m.handles.release(h, true)
		}
		if err != nil {
			return m.status("open", n, syscall.ENFILE)
		}
	}
	out.Fh = unique
	m.openers.add(unique, n, pid)
	if h.backing != 0 {
		out.OpenFlags = fuse.FOPEN_PASSTHROUGH | fuse.FOPEN_NOFLUSH
		out.BackingID = h.backing
		return fuse.OK
	}
	out.OpenFlags = fuse.FOPEN_KEEP_CACHE | fuse.FOPEN_NOFLUSH // the bytes never change
	return fuse.OK
}

// Release ends one Open.
func (m *Mount) Release(_ <-chan struct{}, in *fuse.ReleaseIn) {
	n := node(in.NodeId)
	if !n.isData() {
		return
	}
	m.openers.remove(in.Fh)
	if m.journal == nil {
		m.handles.closed(n)
		return
	}
	if left, ok := m.journal.closed(in.Fh); ok && !m.handles.closed(n) && left.opens == 0 && left.backing != 0 {
		m.unregister(left.backing) // a predecessor registered it
	}
}

// Flush tells the kernel not to ask: there is nothing to flush.
func (m *Mount) Flush(<-chan struct{}, *fuse.FlushIn) fuse.Status { return fuse.ENOSYS }
