package sqlite

import (
	"errors"
	"fmt"

	"github.com/mattn/go-sqlite3"

	"github.com/vitrine-image/vitrine/image"
)

// translate turns an error of SQLite into ours. What a person can mend (space, rights, hardware) is image.ErrUnavailable.
func translate(path string, err error) error {
	var e sqlite3.Error
	if !errors.As(err, &e) {
		return err
	}
	if advice := adviceFor(e.Code); advice != "" {
		return fmt.Errorf("metadata database %s: %w: %s (%s)", path, image.ErrUnavailable, e.Error(), advice)
	}
	return fmt.Errorf("metadata database %s: %w", path, err)
}

func adviceFor(code sqlite3.ErrNo) string {
	switch code {
	case sqlite3.ErrFull:
		return "free space on its file system; it goes on by itself then"
	case sqlite3.ErrIoErr:
		return "look at the kernel's log for errors of the disk, and at its free space"
	case sqlite3.ErrBusy, sqlite3.ErrLocked, sqlite3.ErrProtocol:
		return "another process holds it locked, such as a vacuum; try again"
	case sqlite3.ErrReadonly, sqlite3.ErrPerm, sqlite3.ErrCantOpen, sqlite3.ErrAuth:
		return "check the owner and the mode of the file and its directory"
	case sqlite3.ErrNomem:
		return "out of memory"
	case sqlite3.ErrCorrupt, sqlite3.ErrNotADB:
		return "run `vitrined admin db check`, and restore the last backup"
	}
	return ""
}

// isConstraint reports whether a statement was refused because the row exists.
func isConstraint(err error) bool {
	var e sqlite3.Error
	return errors.As(err, &e) && e.Code == sqlite3.ErrConstraint
}
