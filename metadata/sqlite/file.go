package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"github.com/vitrine-image/vitrine/image"
)

// magic is how every file of SQLite begins.
var magic = []byte("SQLite format 3\x00")

// suffixes are those of the files that make up a database.
var suffixes = []string{"", "-wal", "-shm", "-journal"}

// inspect reports whether there is a database at path. It refuses what cannot be one, before SQLite would take an empty
// file for a new database, throw away a log without its database, or follow a link out of the directory. It opens nothing:
// to close a file loses the locks that this process has on it.
func inspect(path string) (exists bool, err error) {
	var log int64
	for _, suffix := range suffixes {
		switch info, err := os.Lstat(path + suffix); {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return false, fmt.Errorf("open the metadata database: %w: %w", image.ErrUnavailable, err)
		case !info.Mode().IsRegular():
			return false, fmt.Errorf("open the metadata database: %s%s is not a regular file (%s)", path, suffix, info.Mode())
		case suffix == "" && info.Size() == 0:
			return false, fmt.Errorf("the metadata database %[1]s is empty: restore the last backup; only if there never were any images, "+
				"remove it and %[1]s-wal", path)
		case suffix == "":
			exists = true
		case suffix == "-wal":
			log = info.Size()
		}
	}
	if !exists && log > 0 {
		return false, fmt.Errorf("the metadata database %[1]s is gone, but its log %[1]s-wal is there: put the database back beside it, "+
			"or restore a backup once the log is moved away", path)
	}
	return exists, nil
}

// tryFile looks at the first bytes, and says better than SQLite what is not allowed. This process must not have the database
// open.
func tryFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("open the metadata database: %w: %w", image.ErrUnavailable, err)
	}
	defer f.Close()
	start := make([]byte, len(magic))
	if _, err := io.ReadFull(f, start); err != nil && err != io.ErrUnexpectedEOF {
		return fmt.Errorf("read the metadata database: %w: %w", image.ErrUnavailable, err)
	}
	if !bytes.Equal(start, magic) {
		return fmt.Errorf("%s is not a database: it does not begin like one; it is left as it is; restore the last backup, or name another file", path)
	}
	return nil
}

// create makes a new database. It comes to its name complete and durable, so that an empty or half-made file is never
// ours. One process at a time may do it.
func create(ctx context.Context, path string) error {
	partial := path + ".new"
	for _, suffix := range suffixes {
		if err := os.Remove(partial + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) { // of a process that died here
			return fmt.Errorf("make the metadata database: %w: %w", image.ErrUnavailable, err)
		}
	}
	err := putInPlace(partial, path, func(partial string) (err error) {
		c, err := openTuned(partial, url.Values{"mode": {"rw"}}, []string{"PRAGMA journal_mode = MEMORY", "PRAGMA synchronous = OFF"})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, c.close()) }()
		if _, _, err := migrate(ctx, c); err != nil {
			return err
		}
		// Were it to change its mode later, a crash could leave a journal that a reader in mode readOnly cannot roll back.
		return c.query(ctx, "PRAGMA journal_mode = WAL", nil, ignoreRow)
	})
	if err != nil {
		return fmt.Errorf("make the metadata database: %w: %w", image.ErrUnavailable, err)
	}
	return nil
}

// putInPlace makes a file under the name partial, has it written, and gives it its final name once it is durable. It replaces
// nothing, and leaves nothing behind when it fails.
func putInPlace(partial, path string, write func(partial string) error) error {
	f, err := os.OpenFile(partial, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600) // locations may carry credentials
	if err != nil {
		return err
	}
	err = write(partial)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Link(partial, path) // unlike a rename it refuses to replace
	}
	if err = errors.Join(err, os.Remove(partial)); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
