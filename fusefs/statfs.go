package fusefs

import (
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/vitrine-image/vitrine/image"
)

const blockSize = 4096

// StatFs tells the space of the stores.
func (m *Mount) StatFs(_ <-chan struct{}, header *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	ctx, stop := m.patient()
	defer stop()
	total, free, err := m.source.Space(ctx)
	if err != nil {
		return m.status("statfs", node(header.NodeId), err)
	}
	*out = fuse.StatfsOut{
		Bsize:   blockSize,
		Frsize:  blockSize,
		Blocks:  uint64(max(total, 0)) / blockSize,
		Bfree:   uint64(max(free, 0)) / blockSize,
		Bavail:  uint64(max(free, 0)) / blockSize,
		NameLen: image.MaxEntryName,
	}
	return fuse.OK
}
