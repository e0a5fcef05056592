package fusefs

import (
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"runtime/debug"
	"strings"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/vitrine-image/vitrine/internal/fusemount"
)

// maxRead is the size of one read request. Larger ones cost memory, and gain little.
const maxRead = 256 << 10

// connect mounts and makes the go-fuse server, which takes the kernel's first request. Everything that depends on how
// the descriptor of /dev/fuse came to be is here.
func (m *Mount) connect() error {
	fd, err := fusemount.Mount(m.cfg.Path, m.mountOptions())
	switch {
	case err == nil:
		err = m.newServer(fd)
	case errors.Is(err, fs.ErrPermission) && fusemount.HaveFusermount():
		if helpless := m.connectWithHelp(); helpless != nil {
			err = fmt.Errorf("%w; %s, which may mount for others, failed: %s", err, fusemount.Fusermount, strings.TrimSpace(helpless.Error()))
		} else {
			err = nil
		}
	}
	if err == nil {
		m.device, err = m.findDevice()
	}
	if err != nil {
		return fusemount.Explain(m.cfg.Path, err)
	}
	return nil
}

// connectWithHelp lets fusermount3 mount. It lets other users in only if the administrator has allowed that. If not, a mount
// for this user alone is better than none.
func (m *Mount) connectWithHelp() error {
	fd, err := fusemount.MountWithHelp(m.cfg.Path, m.mountOptions())
	if err == nil {
		return m.newServer(fd)
	}
	if !m.cfg.AllowOther {
		return err
	}
	m.cfg.AllowOther = false
	fd, alone := fusemount.MountWithHelp(m.cfg.Path, m.mountOptions())
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
	if m.server, err = fuse.NewServer(m.observed(), fmt.Sprintf("/dev/fd/%d", fd), m.options()); err == nil {
		return nil
	}
	if _, found, _ := fusemount.Top(m.cfg.Path, m.mountOptions().Type()); found { // there was none before
		fusemount.Release(m.cfg.Path, true)
	}
	return err
}

// findDevice returns the minor number of the mount that was just made.
func (m *Mount) findDevice() (uint32, error) {
	top, found, err := fusemount.Top(m.cfg.Path, m.mountOptions().Type())
	if err == nil && !found {
		err = errors.New("it is not among the mounts of this process")
	}
	if err != nil {
		fusemount.Release(m.cfg.Path, true)
	}
	return top.Minor, err
}

func (m *Mount) mountOptions() fusemount.Options {
	return fusemount.Options{Name: m.cfg.Name, MaxRead: maxRead, AllowOther: m.cfg.AllowOther, UID: os.Geteuid(), GID: os.Getegid()}
}

func (m *Mount) options() *fuse.MountOptions {
	return &fuse.MountOptions{
		Name:          m.cfg.Name,
		MaxBackground: m.cfg.MaxBackground,
		MaxWrite:      maxRead,
		MaxStackDepth: stackDepth,
		DisableXAttrs: true,
		DisableSplice: true, // see Read
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
