package fusemount

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

// Fusermount mounts and unmounts for those who have no right to.
const Fusermount = "fusermount3"

// HaveFusermount tells whether it is installed.
func HaveFusermount() bool {
	_, err := exec.LookPath(Fusermount)
	return err == nil
}

// MountWithHelp lets fusermount3 mount, and returns the descriptor of /dev/fuse that it hands over. What it prints when it
// refuses is part of the error. Source: mount.c of libfuse 3, fuse_mount_fusermount.
func MountWithHelp(path string, o Options) (int, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socketpair", err)
	}
	defer unix.Close(pair[0])
	remote := os.NewFile(uintptr(pair[1]), "the other end for "+Fusermount)
	options := fmt.Sprintf("ro,nosuid,nodev,default_permissions,fsname=%s,subtype=%s,max_read=%d", fsName, o.Name, o.MaxRead)
	if o.AllowOther {
		options += ",allow_other"
	}
	cmd := exec.Command(Fusermount, "-o", options, "--", path)
	cmd.Env = append(os.Environ(), "_FUSE_COMMFD=3")
	cmd.ExtraFiles = []*os.File{remote} // the first is 3
	out, err := cmd.CombinedOutput()
	remote.Close() // or it would be waited for
	if err != nil {
		return -1, fmt.Errorf("%w: %s", err, bytes.TrimSpace(out))
	}
	return receiveDescriptor(pair[0])
}

// receiveDescriptor returns the file descriptor that comes over a socket.
func receiveDescriptor(socket int) (int, error) {
	control := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(socket, make([]byte, 1), control, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return -1, os.NewSyscallError("recvmsg", err)
	}
	messages, err := unix.ParseSocketControlMessage(control[:n])
	if err != nil {
		return -1, os.NewSyscallError("recvmsg", err)
	}
	for _, m := range messages {
		if fds, err := unix.ParseUnixRights(&m); err == nil && len(fds) == 1 {
			return fds[0], nil
		}
	}
	return -1, errors.New("it handed over no descriptor")
}
