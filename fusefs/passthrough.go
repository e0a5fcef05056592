package fusefs

import (
	"sync"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// The kernel can read a file by itself that we register with it (Linux 6.9, CAP_SYS_ADMIN; regular files only, and not
// on file systems that are stacked too high). Where that does not work, bytes go through this process instead, spliced
// from the file if there is one and the read is large, and nobody notices but by the speed.

// stackDepth lets images lie on an overlayfs; the kernel's own limit is 2.
const stackDepth = 2

// refused remembers the file systems whose files the kernel would not take.
type refused struct {
	mu      sync.Mutex
	devices map[uint64]bool
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
	id, errno := m.server.RegisterBackingFd(&fuse.BackingMap{Fd: int32(fd)})
	if errno != 0 {
		m.log.Info("passthrough is not possible, image data goes through the daemon", "error", errno)
		return false
	}
	m.server.UnregisterBackingFd(id)
	return true
}

// register lets the kernel read a file by itself and returns the number to open it with, or 0 if it will not.
func (m *Mount) register(fd uintptr, name string) int32 {
	var st unix.Stat_t
	if err := unix.Fstat(int(fd), &st); err != nil || m.refused.has(st.Dev) {
		return 0
	}
	id, errno := m.server.RegisterBackingFd(&fuse.BackingMap{Fd: int32(fd)})
	if errno == 0 {
		return id
	}
	if m.refused.add(st.Dev) {
		m.log.Info("no passthrough for this file system, its data goes through the daemon", "file", name, "error", errno)
	}
	return 0
}

func (m *Mount) unregister(id int32) {
	errno := m.server.UnregisterBackingFd(id)
	if errno != 0 && errno != unix.EBADF && errno != unix.ENOTCONN { // with the connection all are released
		m.log.Warn("cannot release a passthrough file", "error", errno)
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
