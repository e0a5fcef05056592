package filestore

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// A temporary is a file that vanishes unless it gets a name: either it never had one, or it has one in the directory
// tmp and is locked, so that a sweep knows that somebody is at it.
type temporary struct {
	f    *os.File
	tmp  *root // nil for a file without a name
	name string
}

const tmpPrefix = "put-"

// noUnnamed are the answers of file systems and layers that know no files without names.
var noUnnamed = []error{unix.EOPNOTSUPP, unix.EISDIR, unix.EINVAL}

// createTemporary makes a file on the file system of shard, a directory below r.
func (s *Store) createTemporary(r, shard *root) (t *temporary, err error) {
	err = s.step(stepCreateUnnamed, func() error {
		f, err := shard.open(".", unix.O_TMPFILE|unix.O_RDWR)
		if err == nil {
			t = &temporary{f: f}
		}
		return err
	})
	if !isOneOf(err, noUnnamed) {
		return t, err
	}
	err = s.step(stepCreateNamed, func() (err error) {
		t, err = createNamed(r)
		return err
	})
	return t, err
}

// openTmp opens the directory tmp of a store's directory.
func openTmp(r *root) (*root, error) {
	if err := r.mkdir(tmpName); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return r.sub(tmpName)
}

// adopt makes a temporary of a file that lies elsewhere on the file system, and keeps its name there.
func adopt(r *root, f *os.File) (*temporary, error) {
	tmp, err := openTmp(r)
	if err != nil {
		return nil, err
	}
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		tmp.Close()
		return nil, err
	}
	t := &temporary{f: os.NewFile(uintptr(fd), f.Name()), tmp: tmp, name: tmpPrefix + rand.Text()}
	if err = tmp.link(t.f, t.name); err != nil {
		tmp.Close()
		t.f.Close()
		return nil, err
	}
	if err = lock(t.f); err != nil {
		return nil, errors.Join(err, t.close())
	}
	return t, nil
}

func createNamed(r *root) (*temporary, error) {
	tmp, err := openTmp(r)
	if err != nil {
		return nil, err
	}
	for {
		t := &temporary{tmp: tmp, name: tmpPrefix + rand.Text()}
		if t.f, err = tmp.open(t.name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL); err != nil {
			tmp.Close()
			return nil, err
		}
		same := false
		if err = lock(t.f); err == nil {
			same, err = t.is(tmp, t.name)
		}
		switch {
		case same:
			return t, nil
		case err == nil, errors.Is(err, unix.EWOULDBLOCK), notExist(err): // a sweep took it before it was locked
			t.f.Close()
		default:
			return nil, errors.Join(err, t.close())
		}
	}
}

// lock keeps other processes' sweeps off the file, until it is closed. It does not wait.
func lock(f *os.File) error {
	return again(func() error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) })
}

// noLinks are the answers of file systems that know no hard links.
var noLinks = []error{unix.EPERM, unix.EOPNOTSUPP, unix.ENOSYS, unix.ENOENT}

// link gives the file its name in dir, which must be free. Errors: fs.ErrExist.
func (s *Store) link(t *temporary, dir *root, name string) error {
	err := s.step(stepLink, func() error { return dir.link(t.f, name) })
	if t.tmp != nil && isOneOf(err, noLinks) {
		err = s.step(stepRename, func() error { return dir.move(t.tmp, t.name, name) })
	}
	return err
}

// is reports whether the name in dir is the file's. Errors: fs.ErrNotExist when nothing has the name.
func (t *temporary) is(dir *root, name string) (bool, error) {
	named, err := dir.stat(name)
	if err != nil {
		return false, err
	}
	var own unix.Stat_t
	if err := unix.Fstat(int(t.f.Fd()), &own); err != nil {
		return false, err
	}
	return own.Dev == named.Dev && own.Ino == named.Ino, nil
}

// close removes the temporary name, and with it the bytes if they have no other.
func (t *temporary) close() error {
	var err error
	if t.tmp != nil {
		err = t.tmp.unlink(t.name)
		t.tmp.Close()
	}
	return errors.Join(err, t.f.Close())
}
