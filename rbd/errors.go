//go:build ceph

package rbd

import (
	"errors"
	"fmt"
	"syscall"
)

// What can go wrong. Errors of this package wrap one of these, or only what librbd said.
var (
	ErrNotFound    = errors.New("no such image or snapshot")
	ErrNoPool      = errors.New("no such pool")
	ErrNoConfig    = errors.New("the configuration file cannot be read")
	ErrNoKeyring   = errors.New("there is no keyring with the user's key")
	ErrDenied      = errors.New("the cluster does not allow it") // a wrong key, or capabilities that are missing
	ErrExists      = errors.New("the image exists")
	ErrBusy        = errors.New("somebody uses it") // watches it, or has clones of it
	ErrSnapshots   = errors.New("the image has snapshots")
	ErrReadOnly    = errors.New("it is open for reading only")
	ErrInvalid     = errors.New("that cannot be") // a size beyond all bounds, a clone of a snapshot that is not protected
	ErrFull        = errors.New("the pool is full")
	ErrAway        = errors.New("the cluster does not answer")
	ErrBlocklisted = errors.New("the cluster has shut this client out") // the next call connects anew
	ErrClosed      = errors.New("it is closed")
)

// kinds gives librbd's codes names. One that means something else in one place is named there.
var kinds = map[syscall.Errno]error{
	syscall.ENOENT:    ErrNotFound,
	syscall.EPERM:     ErrDenied,
	syscall.EACCES:    ErrDenied,
	syscall.EEXIST:    ErrExists,
	syscall.EBUSY:     ErrBusy,
	syscall.ENOTEMPTY: ErrSnapshots,
	syscall.EROFS:     ErrReadOnly,
	syscall.EINVAL:    ErrInvalid,
	syscall.ENOSPC:    ErrFull,
	syscall.EDQUOT:    ErrFull,
	syscall.ETIMEDOUT: ErrAway,
	syscall.ENOTCONN:  ErrAway,
	syscall.ESHUTDOWN: ErrBlocklisted,
}

// code returns the number in an error of librbd, 0 if there is none.
func code(err error) syscall.Errno {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	var coded interface{ ErrorCode() int }
	if !errors.As(err, &coded) {
		return 0
	}
	return syscall.Errno(max(coded.ErrorCode(), -coded.ErrorCode()))
}

// named says what was done and gives the error of go-ceph its name, that of notFound for ENOENT.
func named(act string, err error, notFound error) error {
	if err == nil {
		return nil
	}
	kind := kinds[code(err)]
	switch {
	case kind == nil:
		return fmt.Errorf("%s: %w", act, err)
	case kind == ErrNotFound:
		kind = notFound
	}
	return fmt.Errorf("%s: %w (%w)", act, kind, err)
}
