package fusefs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/vitrine-image/vitrine/image"
)

// errnos gives each error the number that a program sees; the first match wins. What is not here is EIO.
var errnos = []struct {
	err   error
	errno syscall.Errno
}{
	{image.ErrNotFound, syscall.ENOENT},
	{image.ErrGone, syscall.ESTALE},
	{image.ErrInvalid, syscall.EINVAL},
	{image.ErrForbidden, syscall.EACCES},
	{image.ErrUnauthorized, syscall.EACCES},
	{image.ErrInUse, syscall.EBUSY},
	{image.ErrConflict, syscall.EBUSY},
	{image.ErrTooLarge, syscall.EFBIG},
	{image.ErrStoreFull, syscall.ENOSPC},
	{image.ErrStoreOffline, syscall.EHOSTDOWN},
	{image.ErrStoreReadOnly, syscall.EROFS},
	{image.ErrUnsupportedContent, syscall.EMEDIUMTYPE},
	{image.ErrUnsupportedType, syscall.EMEDIUMTYPE},
	{image.ErrNoData, syscall.ENODATA},
	{image.ErrDataMissing, syscall.ENODATA}, // active, but the bytes are lost
	{image.ErrCorrupt, syscall.EBADMSG},     // what ext4 and btrfs say of a bad checksum
	{image.ErrRange, syscall.ENXIO},
	{image.ErrUnavailable, syscall.EAGAIN},
	{image.ErrInterrupted, syscall.EINTR},
	{context.Canceled, syscall.EINTR},
	{context.DeadlineExceeded, syscall.ETIMEDOUT},
}

// errnoOf returns the number for an error; known is false for one that nobody mapped. Numbers of our own pass through.
func errnoOf(err error) (errno syscall.Errno, known bool) {
	for _, e := range errnos {
		if errors.Is(err, e.err) {
			return e.errno, true
		}
	}
	if direct, ok := err.(syscall.Errno); ok {
		return direct, true
	}
	return syscall.EIO, false
}

// status turns the error of an operation into the answer to the kernel. It logs what a person has to know of: errors
// that nobody mapped, bytes or stores that are not there or cannot be read, and limits.
func (m *Mount) status(op string, n node, err error) fuse.Status {
	if err == nil {
		return fuse.OK
	}
	errno, known := errnoOf(err)
	switch {
	case !known, errors.Is(err, image.ErrDataMissing), errors.Is(err, image.ErrCorrupt):
		m.complain(slog.LevelError, op, n, errno, err)
	case errors.Is(err, image.ErrStoreOffline), errors.Is(err, image.ErrUnsupportedContent), errors.Is(err, context.DeadlineExceeded),
		errno == syscall.EOVERFLOW, errno == syscall.ENFILE:
		m.complain(slog.LevelWarn, op, n, errno, err)
	}
	return fuse.Status(errno)
}

// A library is what go-fuse logs to; it repeats itself when a disk is broken.
type library struct{ m *Mount }

func (l library) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	if !l.m.stopped.Load() && !l.m.quiet.seen(text) { // it does not know that it was stopped
		l.m.log.Warn("go-fuse reports a problem", "problem", text)
	}
	return len(line), nil
}

// complain logs a failure, but not more than once in a while for the same operation and node: a guest that reads on
// over a broken disk must not fill the log.
func (m *Mount) complain(level slog.Level, op string, n node, errno syscall.Errno, err error) {
	if m.quiet.seen(fmt.Sprint(op, n)) {
		return
	}
	m.log.LogAttrs(m.ctx, level, "mount operation failed", slog.String("op", op), m.subject(n), slog.String("errno", errno.Error()),
		slog.Any("error", err))
}

// subject tells a person which image or directory a node is.
func (m *Mount) subject(n node) slog.Attr {
	if id := m.handles.imageOf(n); id != "" {
		return slog.String("image_id", string(id))
	}
	if n.kind() >= kindImage {
		return slog.Int64("image_number", n.number())
	}
	return slog.String("directory_node", fmt.Sprintf("%#x", uint64(n)))
}
