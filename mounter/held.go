package mounter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/vitrine-image/vitrine/internal/fusemount"
)

// held is a mount that the server holds.
type held struct {
	fuse  int // the descriptor of /dev/fuse
	state int
	minor uint32
	place *os.File // the directory below, locked; nil if another process mounted
}

// mount makes a mount and reads the kernel's first request.
func mount(path string, o fusemount.Options, readAhead int, log *slog.Logger) (_ *held, err error) {
	place, _, err := fusemount.Prepare(path, o.Type(), log)
	if err != nil {
		return nil, err
	}
	h := &held{fuse: -1, state: -1, place: place}
	defer func() {
		if err != nil {
			if h.fuse >= 0 {
				fusemount.Release(path, true)
			}
			h.close()
		}
	}()
	if h.fuse, err = fusemount.Mount(path, o); err != nil {
		return nil, fusemount.Explain(path, err)
	}
	first := make([]byte, 64<<10)
	n, err := unix.Read(h.fuse, first)
	if err != nil {
		return nil, fmt.Errorf("read the kernel's first request: %w", err)
	}
	if h.state, err = makeState(first[:n]); err != nil {
		return nil, err
	}
	top, found, err := fusemount.Top(path, o.Type())
	if err == nil && !found {
		err = errors.New("the mount is not among those of this process")
	}
	if err != nil {
		return nil, err
	}
	h.minor = top.Minor
	if err := fusemount.RaiseReadAhead(h.minor, readAhead); err != nil {
		log.Warn("cannot raise the read-ahead of the mount", "error", err)
	}
	return h, nil
}

func (h *held) close() {
	for _, fd := range []int{h.fuse, h.state} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	if h.place != nil {
		h.place.Close()
	}
}

// lives tells whether the mount is at the path still, and its connection not aborted.
func (h *held) lives(path, fsType string) bool {
	top, found, err := fusemount.Top(path, fsType)
	if err != nil || !found || top.Minor != h.minor {
		return false
	}
	fds := []unix.PollFd{{Fd: int32(h.fuse)}}
	_, err = unix.Poll(fds, 0)
	return err == nil && fds[0].Revents&unix.POLLERR == 0
}

// Kernel interface: include/uapi/linux/fuse.h, FUSE_DEV_IOC_BACKING_OPEN and what follows it, fuse_notify_code.
const (
	backingOpen  = 0x4010e501
	backingClose = 0x4004e502
)

type backingMap struct {
	fd      int32
	flags   uint32
	padding uint64
}

// register lets the kernel read a file of the mount by itself from the file that the descriptor names: a regular one that was
// opened for reading. Nothing else may come in this way, since the kernel opens the file anew, with the rights of the server.
func (h *held) register(fd int) (int32, error) {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		return 0, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, err
	}
	if flags&(unix.O_ACCMODE|unix.O_PATH) != unix.O_RDONLY || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return 0, unix.EINVAL
	}
	m := backingMap{fd: int32(fd)}
	id, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(h.fuse), backingOpen, uintptr(unsafe.Pointer(&m)))
	if errno != 0 {
		return 0, errno
	}
	return int32(id), nil
}

func (h *held) unregister(id int32) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(h.fuse), backingClose, uintptr(unsafe.Pointer(&id)))
	if errno != 0 {
		return errno
	}
	return nil
}

// forget lets the kernel forget an entry of a directory, or the attributes of a node if the name is empty. It waits for the requests
// of that directory that are under way.
func forget(fuse int, node uint64, name string) error {
	const invalidateInode, invalidateEntry = 2, 3
	b := make([]byte, 16, 64+len(name))
	order := binary.NativeEndian
	b = order.AppendUint64(b, node)
	code := uint32(invalidateInode)
	if name == "" {
		b = order.AppendUint64(b, ^uint64(0)) // no data
		b = order.AppendUint64(b, 0)
	} else {
		code = invalidateEntry
		b = order.AppendUint32(b, uint32(len(name)))
		b = order.AppendUint32(b, 0)
		b = append(append(b, name...), 0)
	}
	order.PutUint32(b, uint32(len(b)))
	order.PutUint32(b[4:], code)
	_, err := unix.Write(fuse, b)
	return err
}

// The names that the descriptors are kept under, by systemd or over exec. That of /dev/fuse ends with the mount's number.
const (
	keptFuse   = "vitrine-fuse-"
	keptState  = "vitrine-state"
	keptListen = "vitrine-listen" // over exec; systemd says otherwise
)

func (h *held) fuseName() string { return keptFuse + strconv.FormatUint(uint64(h.minor), 10) }

// heldFrom puts a mount together from the descriptors that were kept, by their names; nil if they are not all there.
func heldFrom(kept map[string]int) *held {
	for name, fd := range kept {
		number, ok := strings.CutPrefix(name, keptFuse)
		minor, err := strconv.ParseUint(number, 10, 32)
		state, have := kept[keptState]
		if ok && err == nil && have {
			return &held{fuse: fd, state: state, minor: uint32(minor)}
		}
	}
	return nil
}
