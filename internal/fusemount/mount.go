package fusemount

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Options are those of a mount, which is always read-only, nosuid and nodev, and whose permissions the kernel checks.
type Options struct {
	Name       string // the file system type is fuse.<Name>
	MaxRead    int    // bytes of a read request
	AllowOther bool   // let other users in than the owner
	UID, GID   int    // of the owner
}

// Type returns the file system type.
func (o Options) Type() string { return "fuse." + o.Name }

const fsName = "vitrine"

// Mount mounts, which takes CAP_SYS_ADMIN, and returns the descriptor of /dev/fuse.
func Mount(path string, o Options) (int, error) {
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: "/dev/fuse", Err: err}
	}
	data := fmt.Sprintf("fd=%d,rootmode=%o,user_id=%d,group_id=%d,max_read=%d,default_permissions",
		fd, syscall.S_IFDIR, o.UID, o.GID, o.MaxRead)
	if o.AllowOther {
		data += ",allow_other"
	}
	const flags = unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV
	if err := unix.Mount(fsName, path, o.Type(), flags, data); err != nil {
		unix.Close(fd)
		return -1, &os.PathError{Op: "mount", Path: path, Err: err}
	}
	return fd, nil
}
