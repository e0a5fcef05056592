package fusefs

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"
)

// A MountError says why there is no mount, and what to do.
type MountError struct {
	Path string
	Why  string
	Err  error // nil if Why tells all
}

func (e *MountError) Error() string {
	s := fmt.Sprintf("cannot mount at %s: %s", e.Path, e.Why)
	if e.Err != nil {
		s += fmt.Sprintf(" (%v)", e.Err)
	}
	return s
}

// Unwrap returns the cause.
func (e *MountError) Unwrap() error { return e.Err }

func mountError(path string, err error) error {
	why := "the kernel refused"
	var pe *fs.PathError
	device := errors.As(err, &pe) && pe.Path == "/dev/fuse"
	switch {
	case device && errors.Is(err, fs.ErrNotExist):
		why = "there is no /dev/fuse; load the kernel module fuse, or give the container that device"
	case device && errors.Is(err, fs.ErrPermission):
		why = "this user may not open /dev/fuse; give the container that device, or the user rights to it"
	case device && errors.Is(err, unix.ENODEV), device && errors.Is(err, unix.ENXIO):
		why = "the kernel knows no FUSE; load the kernel module fuse"
	case errors.Is(err, fs.ErrPermission):
		why = "no right to mount; run as root or with CAP_SYS_ADMIN"
		if !haveFusermount() {
			why += ", or install fuse3 for " + fusermount
		}
	}
	return &MountError{Path: path, Why: why, Err: err}
}
