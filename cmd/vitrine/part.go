package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/commandline"
)

// A part is a file that is being saved: hidden beside its target until it is complete. Written zeros become holes. It is
// locked, so that no two programs write one.
type part struct {
	f      *os.File
	target string
	force  bool  // replace the target
	size   int64 // bytes that are there
}

// openPart opens the part of an image and a target, empty unless what is there shall go on.
func openPart(target string, id image.ID, force, goOn bool) (*part, error) {
	switch info, err := os.Lstat(target); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, commandline.Usagef("%s is a directory: give --file the name of a file", target)
	case !info.Mode().IsRegular() && info.Mode().Type() != fs.ModeSymlink:
		return nil, commandline.Usagef("%s is no regular file: leave --file out, and redirect standard output into it", target)
	case !force:
		return nil, existsError(target)
	}
	sum := sha256.Sum256([]byte(filepath.Base(target)))
	name := fmt.Sprintf(".vitrine-%s-%s.part", id, hex.EncodeToString(sum[:4])) // short, however long the target is
	f, err := openLocked(filepath.Join(filepath.Dir(target), name))
	if err != nil {
		return nil, forTarget(target, err)
	}
	p := &part{f: f, target: target, force: force}
	if goOn {
		p.size, err = f.Seek(0, io.SeekEnd)
	} else {
		err = f.Truncate(0)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return p, nil
}

func existsError(target string) error {
	return &hinted{fmt.Errorf("the file %s exists", target), "--force overwrites it"}
}

// forTarget names the file that the person knows instead of the hidden one.
func forTarget(target string, err error) error {
	if failed := (*fs.PathError)(nil); errors.As(err, &failed) {
		return fmt.Errorf("%s %s: %w", failed.Op, target, failed.Err)
	}
	return err
}

// openLocked opens or creates a file that nobody else has locked.
func openLocked(path string) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o666)
		if err != nil {
			return nil, err
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			f.Close()
			if errors.Is(err, unix.EWOULDBLOCK) {
				return nil, fmt.Errorf("another program is saving the same: %s is locked", path)
			}
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		// Whoever had the lock before may have renamed or removed the file in between.
		mine, err := f.Stat()
		if err == nil {
			var there os.FileInfo
			if there, err = os.Lstat(path); err == nil && os.SameFile(mine, there) {
				return f, nil
			}
		}
		f.Close()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
}

// have returns what is there already, nil when there is nothing.
func (p *part) have() io.Reader {
	if p.size == 0 {
		return nil
	}
	return io.NewSectionReader(p.f, 0, p.size)
}

// hole is the smallest run of zeros that becomes a hole, at multiples of its size.
const hole = 4096

var zeros [hole]byte

// Write appends data, leaving out blocks of zeros.
func (p *part) Write(data []byte) (n int, err error) {
	n, err = p.WriteAt(data, p.size)
	p.size += int64(n)
	return n, err
}

// WriteAt writes data where there was none before, leaving out blocks of zeros.
func (p *part) WriteAt(data []byte, off int64) (n int, err error) {
	for n < len(data) {
		run, zero := nextRun(data[n:], off+int64(n))
		if !zero {
			if _, err := p.f.WriteAt(data[n:n+run], off+int64(n)); err != nil {
				return n, forTarget(p.target, err)
			}
		}
		n += run
	}
	return n, nil
}

// ReadAt reads what was written, and zeros in between.
func (p *part) ReadAt(data []byte, off int64) (int, error) { return p.f.ReadAt(data, off) }

// Truncate gives the part its size before its data comes in any order.
func (p *part) Truncate(size int64) error {
	p.size = size
	return forTarget(p.target, p.f.Truncate(size))
}

// nextRun returns the length of the longest beginning of data, which stands at off, that is all blocks of zeros or all
// other blocks.
func nextRun(data []byte, off int64) (n int, zero bool) {
	for n < len(data) {
		end := min(n+hole-int((off+int64(n))%hole), len(data))
		z := bytes.Equal(data[n:end], zeros[:end-n])
		if n > 0 && z != zero {
			break
		}
		n, zero = end, z
	}
	return n, zero
}

// publish makes the data safe and gives the file its name. On an error the part is gone.
func (p *part) publish() error {
	err := p.f.Truncate(p.size) // zeros at the end were not written
	if err == nil {
		err = p.f.Sync()
	}
	if err == nil {
		err = p.rename()
	}
	if err != nil {
		p.remove()
		return forTarget(p.target, err)
	}
	p.f.Close()
	dir, err := os.Open(filepath.Dir(p.target))
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) { // some file systems do not know it
		return err
	}
	return nil
}

// rename never overwrites a file that appeared meanwhile, unless it may.
func (p *part) rename() error {
	if p.force {
		return os.Rename(p.f.Name(), p.target)
	}
	switch err := os.Link(p.f.Name(), p.target); {
	case errors.Is(err, fs.ErrExist):
		return existsError(p.target)
	case err == nil:
		return os.Remove(p.f.Name())
	}
	if _, err := os.Lstat(p.target); err == nil { // a file system without links
		return existsError(p.target)
	}
	return os.Rename(p.f.Name(), p.target)
}

// keep leaves the data there for another run.
func (p *part) keep() error {
	return errors.Join(p.f.Truncate(p.size), p.f.Close())
}

func (p *part) remove() {
	os.Remove(p.f.Name()) // before the lock goes
	p.f.Close()
}
