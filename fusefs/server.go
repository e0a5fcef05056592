package fusefs

import (
	"errors"
	"fmt"
	"log"
	"os"
	"runtime/debug"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// maxRead is the size of one read request. Larger ones cost memory and gain nothing.
const maxRead = 128 << 10

// connect mounts and makes the go-fuse server, which takes the kernel's first request. Everything that depends on how
// the descriptor of /dev/fuse came to be is here.
func (m *Mount) connect() error {
	path := m.cfg.Path
	fd, err := mountDirectly(path, m.cfg)
	switch {
	case err == nil:
		path = fmt.Sprintf("/dev/fd/%d", fd) // go-fuse takes this for a descriptor and owns it from now on
	case errors.Is(err, unix.EPERM) && haveFusermount(): // go-fuse calls it
	default:
		return mountError(m.cfg.Path, err)
	}
	m.server, err = fuse.NewServer(m, path, m.options())
	if err != nil {
		return m.serverError(fd, err)
	}
	mounts, err := mountsAt(m.cfg.Path)
	if err != nil || len(mounts) == 0 {
		release(m.cfg.Path, true)
		return mountError(m.cfg.Path, fmt.Errorf("it is not among the mounts of this process: %w", err))
	}
	m.device = mounts[len(mounts)-1].minor
	return nil
}

// serverError undoes the mount, and tells why there is no server. A helper printed its own reasons.
func (m *Mount) serverError(fd int, err error) error {
	if fd >= 0 {
		unix.Unmount(m.cfg.Path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		return mountError(m.cfg.Path, err)
	}
	why := fusermount + " refused"
	if m.cfg.AllowOther {
		why += "; to let other users in it wants user_allow_other in /etc/fuse.conf"
	}
	return &MountError{Path: m.cfg.Path, Why: why, Err: err}
}

func (m *Mount) options() *fuse.MountOptions {
	return &fuse.MountOptions{
		Name:          m.cfg.Name,
		FsName:        fsName,
		AllowOther:    m.cfg.AllowOther,
		Options:       []string{"ro", "nosuid", "nodev", "default_permissions"}, // for fusermount
		MaxBackground: m.cfg.MaxBackground,
		MaxWrite:      maxRead,
		MaxStackDepth: stackDepth,
		DisableXAttrs: true,
		DisableSplice: m.cfg.NoSplice,
		// Targets never change, nor do bytes: an image's times may change without its pages being dropped.
		EnableSymlinkCaching:     true,
		ExplicitDataCacheControl: true,
		ExtraCapabilities:        fuse.CAP_READDIRPLUS_AUTO | fuse.CAP_ASYNC_DIO,
		Logger:                   log.New(library{m}, "", 0),
		PanicHandler: func(v any) fuse.Status {
			m.log.Error("panic in a mount operation", "panic", v, "stack", string(debug.Stack()))
			return fuse.EIO
		},
	}
}

const fsName = "vitrine"

func (m *Mount) fsType() string { return "fuse." + m.cfg.Name }

// mountDirectly mounts without help, which takes CAP_SYS_ADMIN, and returns the descriptor of /dev/fuse.
func mountDirectly(path string, cfg Config) (int, error) {
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: "/dev/fuse", Err: err}
	}
	data := fmt.Sprintf("fd=%d,rootmode=%o,user_id=%d,group_id=%d,max_read=%d,default_permissions",
		fd, syscall.S_IFDIR, os.Geteuid(), os.Getegid(), maxRead)
	if cfg.AllowOther {
		data += ",allow_other"
	}
	const flags = unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV
	if err := unix.Mount(fsName, path, "fuse."+cfg.Name, flags, data); err != nil {
		unix.Close(fd)
		return -1, &os.PathError{Op: "mount", Path: path, Err: err}
	}
	return fd, nil
}
