package events

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// FileConfig says which file lines go to, and when it makes room for another one.
type FileConfig struct {
	Path    string // its directory must exist
	MaxSize int64  // bytes, after which it becomes Path.1, what was that Path.2, and so on; 0 for never
	Keep    int    // how many files beside Path are kept
}

// Check reports what can never work, without opening anything.
func (c FileConfig) Check() error {
	switch {
	case c.Path == "":
		return errors.New("there is no path")
	case c.MaxSize < 0 || c.Keep < 0:
		return errors.New("the size of a file or the number of files is negative")
	}
	return nil
}

// A lineFile appends lines to a file, one process alone. Written lines outlive a crash of the process at once, and a crash
// of the machine after sync. It is safe for concurrent use.
type lineFile struct {
	cfg FileConfig
	log *slog.Logger

	mu    sync.Mutex
	f     *os.File // nil when closed
	size  int64
	limit int64 // size at which to rotate; grows when that fails
	torn  bool  // the file ends within a line
	dirty bool  // there is something to sync
}

// openLines opens or creates the file.
func openLines(cfg FileConfig, log *slog.Logger) (*lineFile, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	f := &lineFile{cfg: cfg, log: cmp.Or(log, slog.New(slog.DiscardHandler))}
	return f, f.open()
}

// open opens what is at the path now, in the place of what was open before; the caller has the lock.
func (f *lineFile) open() error {
	opened, err := os.OpenFile(f.cfg.Path, os.O_RDWR|os.O_APPEND|os.O_CREATE|unix.O_NONBLOCK, 0o640) // a FIFO must not block
	if err != nil {
		return err
	}
	info, err := opened.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file", f.cfg.Path)
	}
	torn := false
	if err == nil && info.Size() > 0 {
		last := make([]byte, 1)
		_, err = opened.ReadAt(last, info.Size()-1)
		torn = last[0] != '\n'
	}
	if err != nil {
		opened.Close()
		return err
	}
	if info.Size() == 0 {
		if err := syncDir(filepath.Dir(f.cfg.Path)); err != nil {
			f.log.Warn("the name of a new file may not survive a power cut", "path", f.cfg.Path, "error", err)
		}
	}
	if f.f != nil {
		if err := errors.Join(f.f.Sync(), f.f.Close()); err != nil {
			f.log.Error("the last lines before a new file may be lost", "path", f.cfg.Path, "error", err)
		}
	}
	f.f, f.size, f.limit, f.torn, f.dirty = opened, info.Size(), f.cfg.MaxSize, torn, true
	return nil
}

// write appends whole lines and returns how many bytes of them are in the file as whole lines: all, unless err is not
// nil. What is left may be written again; a line of which only a part was written is ended first.
func (f *lineFile) write(lines []byte) (n int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.f == nil {
		return 0, os.ErrClosed
	}
	if f.limit > 0 && f.size > 0 && f.size+int64(len(lines)) > f.limit {
		f.rotate()
	}
	extra := 0
	if f.torn {
		lines, extra = append([]byte("\n"), lines...), 1
	}
	n, err = f.f.Write(lines)
	if n > 0 {
		f.size += int64(n)
		f.dirty = true
		f.torn = lines[n-1] != '\n'
	}
	return max(bytes.LastIndexByte(lines[:n], '\n')+1-extra, 0), err
}

// rotate makes room for a new file. If it cannot, the old one grows on; the caller has the lock.
func (f *lineFile) rotate() {
	err := f.shift()
	if err == nil {
		err = f.open()
	}
	if err != nil {
		f.log.Error("a full file cannot be moved away, it grows on", "path", f.cfg.Path, "error", err)
		f.limit = f.size + f.cfg.MaxSize
	}
}

// shift renames the files, unless somebody has moved the current one away already.
func (f *lineFile) shift() error {
	if moved, err := f.moved(); moved || err != nil {
		return err
	}
	if f.cfg.Keep == 0 {
		return os.Remove(f.cfg.Path)
	}
	free := 1 // the first number that is free, or the last to be kept
	for ; free < f.cfg.Keep; free++ {
		if _, err := os.Lstat(f.numbered(free)); errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	for i := free - 1; i >= 0; i-- {
		if err := os.Rename(f.numbered(i), f.numbered(i+1)); err != nil {
			return err
		}
		// A power cut must not leave the next renaming, onto the name that is free now, without this one.
		if err := syncDir(filepath.Dir(f.cfg.Path)); err != nil {
			return err
		}
	}
	return nil
}

func (f *lineFile) numbered(i int) string {
	if i == 0 {
		return f.cfg.Path
	}
	return fmt.Sprintf("%s.%d", f.cfg.Path, i)
}

// moved reports whether the path does not name the open file any more; the caller has the lock.
func (f *lineFile) moved() (bool, error) {
	at, err := os.Stat(f.cfg.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	own, err := f.f.Stat()
	if err != nil {
		return false, err
	}
	f.size = own.Size() // somebody may have truncated it
	return !os.SameFile(at, own), nil
}

// follow opens the file again if somebody moved or removed it. If it cannot, lines go where they went.
func (f *lineFile) follow() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.f == nil {
		return nil
	}
	moved, err := f.moved()
	if moved {
		err = f.open()
	}
	return err
}

// sync makes what was written survive a power cut. Writers do not wait for it.
func (f *lineFile) sync() error {
	f.mu.Lock()
	file, dirty := f.f, f.dirty
	f.dirty = false
	f.mu.Unlock()
	if file == nil || !dirty {
		return nil
	}
	err := file.Sync()
	if err == nil || errors.Is(err, os.ErrClosed) { // by open, which synced it
		return nil
	}
	f.mu.Lock()
	f.dirty = true
	f.mu.Unlock()
	return err
}

// close syncs and closes. Later writes fail.
func (f *lineFile) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.f == nil {
		return nil
	}
	err := errors.Join(f.f.Sync(), f.f.Close())
	f.f = nil
	return err
}

// syncDir makes the names in a directory survive a power cut.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
