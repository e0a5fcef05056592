package fusefs

import (
	"errors"
	"fmt"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/vitrine-image/vitrine/mounter"
)

// The kernel can read a file by itself that we register with it (Linux 6.9, CAP_SYS_ADMIN; regular files only, and not
// on file systems that are stacked too high). Where that does not work, bytes go through this process instead, and
// nobody notices but by the speed.

// stackDepth lets images lie on an overlayfs; the kernel's own limit is 2.
const stackDepth = 2

// refused remembers the file systems whose files the kernel would not take.
type refused struct {
	mu      sync.Mutex
	devices map[uint64]bool
}

// A kernel does what takes more than an answer to a request: it reads files by itself, and forgets what it knows.
type kernel interface {
	Register(fd int) (int32, error)
	Unregister(id int32) error
	Forget(node uint64, name string) error // an entry, or the attributes of the node; what it does not know is ENOENT
}

// byOurselves asks the kernel with the rights of this process.
type byOurselves struct{ *fuse.Server }

func (s byOurselves) Forget(node uint64, name string) error {
	status := fuse.OK
	if name != "" {
		status = s.EntryNotify(node, name)
	} else {
		status = s.InodeNotify(node, -1, 0)
	}
	if status != fuse.OK {
		return syscall.Errno(status)
	}
	return nil
}

func (s byOurselves) Register(fd int) (int32, error) {
	id, errno := s.RegisterBackingFd(&fuse.BackingMap{Fd: int32(fd)})
	if errno != 0 {
		return 0, errno
	}
	return id, nil
}

func (s byOurselves) Unregister(id int32) error {
	if errno := s.UnregisterBackingFd(id); errno != 0 {
		return errno
	}
	return nil
}

// canPass finds out whether registering works at all, with a file in memory.
func (m *Mount) canPass() bool {
	if m.cfg.NoPassthrough || m.server.KernelSettings().Flags64()&fuse.CAP_PASSTHROUGH == 0 {
		return false
	}
	fd, err := unix.MemfdCreate("vitrine-probe", unix.MFD_CLOEXEC)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	forReading, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", fd), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(forReading)
	id, err := m.kernel.Register(forReading)
	if err != nil {
		m.log.Info("passthrough is not possible, image data goes through the daemon", "error", err)
		return false
	}
	m.kernel.Unregister(id)
	return true
}

// register lets the kernel read a file by itself and returns the number to open it with, or 0 if it will not.
func (m *Mount) register(fd uintptr, name string) int32 {
	var st unix.Stat_t
	if err := unix.Fstat(int(fd), &st); err != nil || m.refused.has(st.Dev) {
		return 0
	}
	id, err := m.kernel.Register(int(fd))
	switch {
	case err == nil:
		return id
	case errors.Is(err, mounter.ErrNotConnected): // says nothing of the file system
	case m.refused.add(st.Dev):
		m.log.Info("no passthrough for this file system, its data goes through the daemon", "file", name, "error", err)
	}
	return 0
}

func (m *Mount) unregister(id int32) {
	switch err := m.kernel.Unregister(id); err {
	case nil, unix.EBADF, unix.ENOTCONN, mounter.ErrNotConnected: // with the connection all are released
	default:
		m.log.Warn("cannot release a passthrough file", "error", err)
	}
}

func (r *refused) has(dev uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.devices[dev]
}

// add reports whether the device is new.
func (r *refused) add(dev uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.devices[dev] {
		return false
	}
	if r.devices == nil {
		r.devices = make(map[uint64]bool)
	}
	r.devices[dev] = true
	return true
}
