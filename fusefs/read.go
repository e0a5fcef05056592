package fusefs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/vitrine-image/vitrine/image"
)

// Read fills buf from in.Offset; a short result means end of file. The node alone names the bytes, so a successor of
// this process answers for files that it never opened. Bytes of files are copied, not spliced: splice(2) ends before a sector that
// cannot be read as it does at the end of the file, and go-fuse passes that on.
func (m *Mount) Read(cancel <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	n := node(in.NodeId)
	if !n.isData() {
		return m.readContent(in, n)
	}
	ctx := interruptible{cancel}
	h, err := m.handles.acquire(ctx, n, false)
	if err != nil {
		return nil, m.status("open", n, err)
	}
	size := min(int64(len(buf)), int64(in.Size), h.attr.size-int64(in.Offset))
	if size <= 0 {
		m.handles.release(h, false)
		return fuse.ReadResultData(nil), fuse.OK
	}
	defer m.handles.release(h, false)
	got, err := h.reader.ReadAt(ctx, buf[:size], int64(in.Offset))
	if int64(got) < size {
		return nil, m.status("read", n, tooShort(err))
	}
	return fuse.ReadResultData(buf[:got]), fuse.OK
}

// tooShort is the error of a read within the image that gave fewer bytes than it was asked for.
func tooShort(err error) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("the bytes in the store end before the image does: %w", image.ErrCorrupt)
	}
	return err
}

// readContent reads a file that is made up on the spot.
func (m *Mount) readContent(in *fuse.ReadIn, n node) (fuse.ReadResult, fuse.Status) {
	if k := n.kind(); k != kindDocument && k != kindSum {
		return nil, fuse.EISDIR
	}
	ctx, stop := m.patient()
	defer stop()
	img, err := m.source.Image(ctx, n.number())
	if err != nil {
		return nil, m.status("read", n, err)
	}
	b, err := m.content(img, n)
	if err != nil {
		return nil, m.status("read", n, err)
	}
	from := min(in.Offset, uint64(len(b)))
	return fuse.ReadResultData(b[from:min(from+uint64(in.Size), uint64(len(b)))]), fuse.OK
}

// content returns the bytes of a file that is made up.
func (m *Mount) content(img *image.Image, n node) ([]byte, error) {
	if n.kind() == kindSum {
		return sum(img), nil
	}
	return m.source.Document(img)
}

// Lseek answers SEEK_DATA and SEEK_HOLE; the kernel knows the rest. It takes no notice of interrupts: QEMU's event loop (io_uring) causes
// some without any signal, and after EINTR QEMU takes all of a disk for data.
func (m *Mount) Lseek(_ <-chan struct{}, in *fuse.LseekIn, out *fuse.LseekOut) fuse.Status {
	n := node(in.NodeId)
	if !n.isData() { // not ENOSYS: the kernel would never ask again, for any file
		return m.seekContent(in, n, out)
	}
	ctx, stop := m.patient()
	defer stop()
	h, err := m.handles.acquire(ctx, n, false)
	if err != nil {
		return m.status("open", n, err)
	}
	defer m.handles.release(h, false)
	if in.Offset >= uint64(h.attr.size) {
		return fuse.Status(syscall.ENXIO)
	}
	off, err := seek(ctx, h, int64(in.Offset), in.Whence)
	if err != nil {
		return m.status("seek", n, err)
	}
	out.Offset = uint64(off)
	return fuse.OK
}

// seek finds the next data or hole at or after off, which lies within the file. Behind the end is a hole.
func seek(ctx context.Context, h *handle, off int64, whence uint32) (int64, error) {
	if whence != unix.SEEK_DATA && whence != unix.SEEK_HOLE {
		return 0, syscall.EINVAL
	}
	if h.file != nil { // it lies one to one in the file, whose own offset is nobody's
		return unix.Seek(int(h.fd), off, int(whence))
	}
	if r, ok := h.reader.(ExtentReader); ok {
		start, end, err := r.DataAt(ctx, off)
		switch {
		case err != nil:
			return 0, err
		case whence == unix.SEEK_DATA && start >= h.attr.size:
			return 0, syscall.ENXIO
		case whence == unix.SEEK_DATA:
			return max(start, off), nil
		case start > off:
			return off, nil
		}
		return nextHole(ctx, r, end, h.attr.size)
	}
	if whence == unix.SEEK_DATA {
		return off, nil
	}
	return h.attr.size, nil
}

// nextHole returns where the data that goes on at off ends; ranges of data may touch.
func nextHole(ctx context.Context, r ExtentReader, off, size int64) (int64, error) {
	for off < size {
		start, end, err := r.DataAt(ctx, off)
		if err != nil {
			return 0, err
		}
		if start > off || end <= off {
			break
		}
		off = end
	}
	return min(off, size), nil
}

// seekContent answers for a file that is made up: all of it is data.
func (m *Mount) seekContent(in *fuse.LseekIn, n node, out *fuse.LseekOut) fuse.Status {
	ctx, stop := m.patient()
	defer stop()
	a, err := m.attrOf(ctx, n)
	if err == nil && in.Offset >= uint64(a.size) {
		err = syscall.ENXIO
	}
	if err != nil {
		return m.status("seek", n, err)
	}
	out.Offset = in.Offset
	if in.Whence == unix.SEEK_HOLE {
		out.Offset = uint64(a.size)
	}
	return fuse.OK
}
