package daemon

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A databaseLock makes sure that no second daemon works on the same database: that is what lets this one say that every
// other instance named in it is dead. It lies on a file beside the database, which is there before the database is made, and
// on the database itself, which is not removed by mistake as easily. It ends with the process.
type databaseLock struct {
	path string
	held []*os.File
}

// lockDatabase takes the lock, that on the database only if there is one. Call lockFile once it was made.
func lockDatabase(path string) (_ *databaseLock, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, fmt.Errorf("make the directory of the database: %w", err)
	}
	lock := &databaseLock{path: path}
	defer func() {
		if err != nil {
			lock.Close()
		}
	}()
	f, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, fmt.Errorf("lock the database: %w", err)
	}
	lock.held = append(lock.held, f)
	if err := lock.result(unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)); err != nil {
		return nil, err
	}
	// What cannot be opened is told in better words by who opens the database.
	if err := lock.lockFile(); err != nil && !errors.As(err, new(*fs.PathError)) {
		return nil, err
	}
	return lock, nil
}

// lockedByte is one that no database reaches; SQLite's own locks lie at 1 GiB.
const lockedByte = 1 << 62

// lockFile locks the database file unless that is done. The lock belongs to the open file, so that SQLite, whose locks belong
// to the process, does not lose it. But to close the file would lose SQLite's locks: close this lock after the database.
func (l *databaseLock) lockFile() error {
	if len(l.held) > 1 {
		return nil
	}
	f, err := os.OpenFile(l.path, os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("lock the database: %w", err)
	}
	l.held = append(l.held, f)
	return l.result(unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK,
		&unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: lockedByte, Len: 1}))
}

func (l *databaseLock) result(err error) error {
	switch {
	case errors.Is(err, unix.EWOULDBLOCK), errors.Is(err, unix.EACCES):
		return fmt.Errorf("another vitrined works on %s; stop it first, or give this one another --data directory", l.path)
	case err != nil:
		return fmt.Errorf("lock %s: %w", l.path, err)
	}
	return nil
}

// Close gives the lock up.
func (l *databaseLock) Close() (err error) {
	for _, f := range l.held {
		err = errors.Join(err, f.Close())
	}
	return err
}
