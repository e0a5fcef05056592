package fusefs

import (
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// maxRead is the size of one read request. Larger ones cost memory, and gain little.
const maxRead = 256 << 10

// connect mounts and makes the go-fuse server, which takes the kernel's first request. Everything that depends on how
// the descriptor of /dev/fuse came to be is here.
func (m *Mount) connect() error {
	fd, err := mountDirectly(m.cfg.Path, m.cfg)
	switch {
	case err == nil:
		err = m.newServer(fd)
	case errors.Is(err, fs.ErrPermission) && haveFusermount():
		if helpless := m.connectWithHelp(); helpless != nil {
			err = fmt.Errorf("%w; %s, which may mount for others, failed: %s", err, fusermount, strings.TrimSpace(helpless.Error()))
		} else {
			err = nil
		}
	}
	if err == nil {
		m.device, err = m.findDevice()
	}
	if err != nil {
		return mountError(m.cfg.Path, err)
	}
	return nil
}

// connectWithHelp lets fusermount3 mount. It lets other users in only if the administrator has allowed that. If not, a mount
// for this user alone is better than none.
func (m *Mount) connectWithHelp() error {
	fd, err := mountWithHelp(m.cfg.Path, m.cfg)
	if err == nil {
		return m.newServer(fd)
	}
	if !m.cfg.AllowOther {
		return err
	}
	m.cfg.AllowOther = false
	fd, alone := mountWithHelp(m.cfg.Path, m.cfg)
	if alone != nil {
		return err
	}
	if err := m.newServer(fd); err != nil {
		return err
	}
	m.log.Warn("only this user can reach the mount; for others put the line user_allow_other into /etc/fuse.conf, "+
		"or set allow_other = false to be told no more", "path", m.cfg.Path, "uid", os.Geteuid())
	return nil
}

// newServer makes the go-fuse server of the mount whose descriptor of /dev/fuse that is, and which go-fuse owns from now on.
// If that fails nothing stays mounted.
func (m *Mount) newServer(fd int) (err error) {
	if m.server, err = fuse.NewServer(m, fmt.Sprintf("/dev/fd/%d", fd), m.options()); err == nil {
		return nil
	}
	mounts, _ := mountsAt(m.cfg.Path)
	if len(mounts) > 0 && mounts[len(mounts)-1].fsType == m.fsType() { // there was none before
		release(m.cfg.Path, true)
	}
	return err
}

// findDevice returns the minor number of the mount that was just made.
func (m *Mount) findDevice() (uint32, error) {
	mounts, err := mountsAt(m.cfg.Path)
	if err == nil && len(mounts) == 0 {
		err = errors.New("it is not among the mounts of this process")
	}
	if err != nil {
		release(m.cfg.Path, true)
		return 0, err
	}
	return mounts[len(mounts)-1].minor, nil
}

func (m *Mount) options() *fuse.MountOptions {
	return &fuse.MountOptions{
		Name:          m.cfg.Name,
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
