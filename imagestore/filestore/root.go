package filestore

import (
	"errors"
	"os"
	"path"
	"strconv"

	"golang.org/x/sys/unix"
)

const (
	fileMode = 0o640
	dirMode  = 0o750
)

// A root is an open directory. Its methods take paths that are resolved below it, and follow no symbolic link on the
// way. It is safe for concurrent use, Close included.
type root struct {
	f      *os.File
	device uint64 // of a store's directory
}

// openRoot opens a directory by any path, as an operator may have made it.
func openRoot(name string) (*root, error) {
	f, err := os.OpenFile(name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return &root{f: f}, nil
}

func (r *root) Close() error { return r.f.Close() }

// control calls fn with the directory's descriptor, which stays open meanwhile.
func (r *root) control(fn func(dir int) error) error {
	c, err := r.f.SyscallConn()
	if err != nil {
		return err
	}
	var result error
	if err := c.Control(func(fd uintptr) { result = again(func() error { return fn(int(fd)) }) }); err != nil {
		return err
	}
	return result
}

// again repeats a call that a signal interrupted.
func again(fn func() error) error {
	for {
		if err := fn(); err != unix.EINTR {
			return err
		}
	}
}

// open opens what name is, or with O_CREAT and O_TMPFILE makes a file. A FIFO does not block it.
func (r *root) open(name string, flags int) (*os.File, error) {
	how := unix.OpenHow{
		Flags:   uint64(flags | unix.O_CLOEXEC | unix.O_NOFOLLOW | unix.O_NONBLOCK),
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS,
	}
	if flags&(unix.O_CREAT|unix.O_TMPFILE&^unix.O_DIRECTORY) != 0 {
		how.Mode = fileMode
	}
	fd := -1
	err := r.control(func(dir int) (err error) {
		fd, err = unix.Openat2(dir, name, &how)
		return err
	})
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: r.path(name), Err: err}
	}
	if err := unix.SetNonblock(fd, false); err != nil { // it was for the opening alone
		unix.Close(fd)
		return nil, &os.PathError{Op: "fcntl", Path: r.path(name), Err: err}
	}
	return os.NewFile(uintptr(fd), r.path(name)), nil
}

// openFile opens a regular file for reading. Errors: errNotRegular, also for a symbolic link.
func (r *root) openFile(name string) (*os.File, os.FileInfo, error) {
	// Opening a device can act on it, so look first. What is opened is looked at again, in case they were exchanged.
	if st, err := r.stat(name); err != nil {
		return nil, nil, err
	} else if kind := kindOf(st.Mode); kind != "" {
		return nil, nil, &notRegularError{r.path(name), kind}
	}
	f, err := r.open(name, unix.O_RDONLY)
	if errors.Is(err, unix.ELOOP) {
		return nil, nil, &notRegularError{r.path(name), "symbolic link"}
	}
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &notRegularError{r.path(name), info.Mode().Type().String()}
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// sub opens a directory below.
func (r *root) sub(name string) (*root, error) {
	f, err := r.open(name, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	return &root{f: f}, nil
}

// isAt returns why r is not the directory at the path, nil if it is.
func (r *root) isAt(path string) error {
	own, err := r.stat(".")
	if err != nil {
		return err
	}
	var there unix.Stat_t
	switch err := unix.Stat(path, &there); {
	case notExist(err):
		return errors.New("nothing lies at its path any more")
	case err != nil:
		return nil // who may not look there does not know
	}
	if own.Dev != there.Dev || own.Ino != there.Ino {
		return errors.New("another directory lies at its path (was the disk unmounted?)")
	}
	return nil
}

// stat describes what the entry itself is. The directory part of name is resolved as by open.
func (r *root) stat(name string) (st unix.Stat_t, err error) {
	err = r.in("stat", name, func(dir int, base string) error {
		return unix.Fstatat(dir, base, &st, unix.AT_SYMLINK_NOFOLLOW)
	})
	return st, err
}

func (r *root) mkdir(name string) error {
	return r.in("mkdir", name, func(dir int, base string) error { return unix.Mkdirat(dir, base, dirMode) })
}

func (r *root) unlink(name string) error {
	return r.in("unlink", name, func(dir int, base string) error { return unix.Unlinkat(dir, base, 0) })
}

// rename moves an entry over another one of this directory.
func (r *root) rename(from, to string) error {
	return r.in("rename", from, func(dir int, base string) error { return unix.Renameat(dir, base, dir, to) })
}

// in calls fn with the directory that holds name, and the rest of the name.
func (r *root) in(op, name string, fn func(dir int, base string) error) error {
	holder, base := r, path.Base(name)
	if dir := path.Dir(name); dir != "." {
		sub, err := r.sub(dir)
		if err != nil {
			return err
		}
		defer sub.Close()
		holder = sub
	}
	if err := holder.control(func(dir int) error { return fn(dir, base) }); err != nil {
		return &os.PathError{Op: op, Path: r.path(name), Err: err}
	}
	return nil
}

// link gives the open file f a name that must be free. Errors: fs.ErrExist.
func (r *root) link(f *os.File, name string) error {
	fd := int(f.Fd())
	err := r.control(func(dir int) error {
		// Linking by descriptor alone is allowed to whoever opened the file since Linux 6.10; /proc serves the others.
		err := unix.Linkat(fd, "", dir, name, unix.AT_EMPTY_PATH)
		if err == unix.ENOENT || err == unix.EPERM || err == unix.EINVAL {
			err = unix.Linkat(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(fd), dir, name, unix.AT_SYMLINK_FOLLOW)
		}
		return err
	})
	if err != nil {
		return &os.PathError{Op: "link", Path: r.path(name), Err: err}
	}
	return nil
}

// move gives the file named from in the directory old a name here that must be free. Errors: fs.ErrExist.
func (r *root) move(old *root, from, name string) error {
	err := old.control(func(olddir int) error {
		return r.control(func(dir int) error {
			return unix.Renameat2(olddir, from, dir, name, unix.RENAME_NOREPLACE)
		})
	})
	if err != nil {
		return &os.PathError{Op: "rename", Path: r.path(name), Err: err}
	}
	return nil
}

func (r *root) sync() error { return r.f.Sync() }

func (r *root) statfs() (st unix.Statfs_t, err error) {
	err = r.control(func(dir int) error { return unix.Fstatfs(dir, &st) })
	return st, err
}

func (r *root) path(name string) string { return path.Join(r.f.Name(), name) }

// kindOf names what is no regular file, "" for one.
func kindOf(mode uint32) string {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return ""
	case unix.S_IFLNK:
		return "symbolic link"
	case unix.S_IFDIR:
		return "directory"
	case unix.S_IFIFO:
		return "named pipe"
	case unix.S_IFSOCK:
		return "socket"
	}
	return "device"
}

// A notRegularError tells what lies where a file should be.
type notRegularError struct{ path, kind string }

func (e *notRegularError) Error() string { return e.path + " is no file but a " + e.kind }
