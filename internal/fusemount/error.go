package fusemount

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"
)

// An Error says why there is no mount, and what to do.
type Error struct {
	Path string
	Why  string
	Err  error // nil if Why tells all
}

func (e *Error) Error() string {
	s := fmt.Sprintf("cannot mount at %s: %s", e.Path, e.Why)
	if e.Err != nil {
		s += fmt.Sprintf(" (%v)", e.Err)
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Explain returns the error of a Mount as an *Error.
func Explain(path string, err error) error {
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
		if !HaveFusermount() {
			why += ", or install fuse3 for " + Fusermount
		}
	}
	return &Error{Path: path, Why: why, Err: err}
}
