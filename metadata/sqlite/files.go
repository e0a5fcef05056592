package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"

	"github.com/vitrine-image/vitrine/image"
)

// openFiles are the files that make up a database that is open, as they were then. Who moves, removes or replaces one of them
// leaves this process with files that have no name any more: what is written there is lost when it ends.
type openFiles struct {
	path  string
	found map[string]fs.FileInfo // by suffix
	log   *slog.Logger

	mu   sync.Mutex
	lost bool // and told so
}

// lookAtFiles remembers the files of a database that a connection has read from.
func lookAtFiles(path string, log *slog.Logger) (*openFiles, error) {
	f := &openFiles{path: path, found: map[string]fs.FileInfo{}, log: log}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Lstat(path + suffix)
		if err != nil {
			return nil, fmt.Errorf("open the metadata database: %w: %w", image.ErrUnavailable, err)
		}
		f.found[suffix] = info
	}
	return f, nil
}

// check reports what is not there any more, as image.ErrUnavailable. It costs three calls of the kernel.
func (f *openFiles) check() error {
	err := f.compare()
	f.mu.Lock()
	defer f.mu.Unlock()
	if lost := err != nil; lost != f.lost {
		if f.lost = lost; lost {
			f.log.Error("the metadata database was taken away: changes are refused", "path", f.path, "error", err)
		} else {
			f.log.Info("the metadata database is back", "path", f.path)
		}
	}
	return err
}

func (f *openFiles) compare() error {
	for suffix, opened := range f.found {
		state := "another file than the one that was opened"
		switch now, err := os.Lstat(f.path + suffix); {
		case errors.Is(err, fs.ErrNotExist):
			state = "gone"
		case err != nil:
			return fmt.Errorf("look at the metadata database: %w: %w", image.ErrUnavailable, err)
		case os.SameFile(opened, now):
			continue
		}
		return fmt.Errorf("the metadata database %s%s is %s: put the file back that was there, or stop the daemon and restore a backup: %w",
			f.path, suffix, state, image.ErrUnavailable)
	}
	return nil
}
