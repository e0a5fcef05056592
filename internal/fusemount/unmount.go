package fusemount

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// Release unmounts what is at the path, lazily if files may be open.
func Release(path string, lazily bool) error {
	flags, args := unix.UMOUNT_NOFOLLOW, []string{"-u"}
	if lazily {
		flags, args = flags|unix.MNT_DETACH, []string{"-u", "-z"}
	}
	err := unix.Unmount(path, flags)
	if !errors.Is(err, unix.EPERM) || !HaveFusermount() {
		return err
	}
	out, err := exec.Command(Fusermount, append(args, path)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", Fusermount, err, out)
	}
	return nil
}

// Abort ends the connection of the FUSE mount with that minor number: whoever reads from it gets an error.
func Abort(minor uint32) error {
	const usual = "/sys/fs/fuse/connections"
	name := filepath.Join(strconv.FormatUint(uint64(minor), 10), "abort")
	err := os.WriteFile(filepath.Join(usual, name), []byte("1"), 0)
	if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	// Nobody mounted the control file system, as systemd does; there is only one, wherever it is mounted.
	dir, err := os.MkdirTemp("", "vitrine-fusectl-")
	if err != nil {
		return err
	}
	defer os.Remove(dir)
	if err := unix.Mount("fusectl", dir, "fusectl", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount fusectl: %w", err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	return os.WriteFile(filepath.Join(dir, name), []byte("1"), 0)
}
