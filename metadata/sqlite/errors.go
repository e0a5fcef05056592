package sqlite

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/mattn/go-sqlite3"

	"github.com/vitrine-image/vitrine/image"
)

// A fault is image.ErrUnavailable in other words: those of SQLite, what they mean, and what a person can do.
type fault struct {
	path  string
	cause sqlite3.Error
	remedy
}

func (f *fault) Error() string {
	return fmt.Sprintf("metadata database %s %s: %s (%s)", f.path, f.state, f.cause.Error(), f.advice)
}

func (f *fault) Unwrap() []error { return []error{image.ErrUnavailable, f.cause} }

// A remedy tells what is the matter with a database and how to mend it.
type remedy struct{ state, advice string }

var (
	damaged  = remedy{"is damaged", "`vitrined admin db check` tells more; restore the last backup"}
	locked   = remedy{"is locked", "another process holds it, such as a vacuum; try again"}
	noRights = remedy{"cannot be opened or written", "check the owner and the mode of the file and its directory, and whether the file system is read-only"}
)

var remedies = map[sqlite3.ErrNo]remedy{
	sqlite3.ErrFull:     {"cannot be written", "free space on its file system; it goes on by itself then"},
	sqlite3.ErrIoErr:    {"cannot be read or written", "look at the kernel's log for errors of the disk, and at its free space"},
	sqlite3.ErrNomem:    {"cannot be read or written", "the memory of the machine or of the process's limit is used up"},
	sqlite3.ErrNotADB:   {"is not a database", "restore the last backup"},
	sqlite3.ErrCorrupt:  damaged,
	sqlite3.ErrBusy:     locked,
	sqlite3.ErrLocked:   locked,
	sqlite3.ErrProtocol: locked,
	sqlite3.ErrReadonly: noRights,
	sqlite3.ErrPerm:     noRights,
	sqlite3.ErrCantOpen: noRights,
	sqlite3.ErrAuth:     noRights,
}

// translate turns an error of SQLite into ours. What a person can mend (space, rights, hardware) is image.ErrUnavailable.
func translate(path string, err error) error {
	var e sqlite3.Error
	if !errors.As(err, &e) {
		return err
	}
	if r, ok := remedies[e.Code]; ok {
		return &fault{path, e, r}
	}
	return fmt.Errorf("metadata database %s: %w", path, err)
}

// isTaken reports whether a statement was refused because the row exists.
func isTaken(err error) bool {
	return hasExtended(err, sqlite3.ErrConstraintUnique) || hasExtended(err, sqlite3.ErrConstraintPrimaryKey)
}

// isOrphan reports whether a statement was refused because what the row belongs to does not exist.
func isOrphan(err error) bool { return hasExtended(err, sqlite3.ErrConstraintForeignKey) }

// isBusy reports whether another process held the lock.
func isBusy(err error) bool {
	var e sqlite3.Error
	return errors.As(err, &e) && e.Code == sqlite3.ErrBusy
}

// isFull reports whether there was no space on the disk, or no more that this process may take.
func isFull(err error) bool {
	var e sqlite3.Error
	if errors.As(err, &e) && (e.Code == sqlite3.ErrFull || e.ExtendedCode == sqlite3.ErrIoErrSHMSize ||
		e.SystemErrno == syscall.ENOSPC || e.SystemErrno == syscall.EDQUOT) {
		return true
	}
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

func hasExtended(err error, code sqlite3.ErrNoExtended) bool {
	var e sqlite3.Error
	return errors.As(err, &e) && e.ExtendedCode == code
}
