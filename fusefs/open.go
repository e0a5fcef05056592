package fusefs

import (
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// Open opens a file for reading. File handles are 0: the node tells everything.
func (m *Mount) Open(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	n := node(in.NodeId)
	if in.Flags&syscall.O_ACCMODE != syscall.O_RDONLY || in.Flags&syscall.O_TRUNC != 0 {
		return fuse.EROFS
	}
	switch k := n.kind(); {
	case n.isData():
		return m.openData(n, out)
	case k == kindDocument, k == kindSum:
		// Read past the kernel's cache: the size may just be changing, and whoever reads gets all of one document.
		out.OpenFlags = fuse.FOPEN_DIRECT_IO | fuse.FOPEN_NOFLUSH
		return fuse.OK
	}
	return fuse.Status(syscall.ESTALE)
}

func (m *Mount) openData(n node, out *fuse.OpenOut) fuse.Status {
	ctx, stop := m.patient()
	defer stop()
	h, err := m.handles.acquire(ctx, n, true)
	if err != nil {
		return m.status("open", n, err)
	}
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
	if n := node(in.NodeId); n.isData() {
		m.handles.closed(n)
	}
}

// Flush tells the kernel not to ask: there is nothing to flush.
func (m *Mount) Flush(<-chan struct{}, *fuse.FlushIn) fuse.Status { return fuse.ENOSYS }
