package filestore

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"golang.org/x/sys/unix"
)

const (
	blockSize    = 4 << 10  // of zeros that become a hole
	uncachedSize = 64 << 10 // bytes of one write that need not be gathered with others
	flushSize    = 16 << 20 // bytes after which the kernel is told to begin writing to the disk
)

// A writer fills one new file.
type writer struct {
	store *Store
	dir   *directory
	root  *root // of dir when the write began
	shard *root
	file  *temporary

	size     int64 // announced, or -1
	promised int64 // bytes of size that are to come, counted in the store's promises
	offset   int64 // where the next byte goes
	flushed  int64 // up to where the kernel was told to write
	cloned   bool  // the file has all bytes, and its size, already
	cached   bool  // writes go through the page cache: they are to, or the file system knows no others
}

// write appends b. Blocks of zeros are left out and become holes: nothing was written there before.
func (w *writer) write(b []byte) error {
	if w.cloned {
		w.offset += int64(len(b))
		return nil
	}
	for len(b) > 0 {
		zeros, data := leadingRuns(b, w.offset)
		if data > 0 {
			err := w.store.step(stepWrite, func() error {
				return w.writeAt(b[zeros:zeros+data], w.offset+int64(zeros))
			})
			if err != nil {
				return err
			}
		}
		b = b[zeros+data:]
		w.advance(int64(zeros + data))
	}
	if w.offset-w.flushed >= flushSize {
		return w.flush()
	}
	return nil
}

// writeAt writes data in such a way that the page cache does not keep it, where the kernel (Linux 6.14) and the file
// system can: most of a write's time goes into finding memory for pages that nobody may ever read. Such a write goes to
// the disk at once, so small ones take the common way and are gathered.
func (w *writer) writeAt(p []byte, off int64) error {
	for len(p) >= uncachedSize && !w.cached {
		n, err := unix.Pwritev2(int(w.file.f.Fd()), [][]byte{p}, off, unix.RWF_DONTCACHE)
		switch err {
		case nil:
		case unix.EINTR:
			continue
		case unix.EOPNOTSUPP, unix.ENOSYS, unix.EINVAL:
			w.cached = true
			continue
		default:
			return err
		}
		p, off = p[n:], off+int64(n)
	}
	_, err := w.file.f.WriteAt(p, off)
	return err
}

// advance moves on, and gives back what was promised for the bytes.
func (w *writer) advance(n int64) {
	w.offset += n
	if kept := min(n, w.promised); kept > 0 {
		w.promised -= kept
		w.store.promises.add(w.root.device, -kept)
	}
}

// flush starts the writing of what is new, so that the fsync at the end finds little left and is four times faster.
func (w *writer) flush() error {
	// A file system that cannot do it will write at the end; one that fails says so again at the fsync.
	_ = unix.SyncFileRange(int(w.file.f.Fd()), w.flushed, w.offset-w.flushed, unix.SYNC_FILE_RANGE_WRITE)
	w.flushed = w.offset
	return w.keepFree()
}

// keepFree fails when the space to keep free is not there any more. Errors: image.ErrStoreFull.
func (w *writer) keepFree() error {
	if w.store.minFree == 0 {
		return nil
	}
	space, err := spaceOf(w.root)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if err == nil && space.Free < w.store.minFree {
		return fmt.Errorf("directory %s: less than %d bytes would stay free: %w", w.dir.path, w.store.minFree, image.ErrStoreFull)
	}
	return err
}

// takeFile takes a file that holds the same bytes as it is, if nobody else needs it, or shares its blocks, where the file
// system can.
func (w *writer) takeFile(src imagestore.FileSource) {
	info, err := src.File().Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() == 0 || info.Size() != src.Size() {
		return
	}
	if src.Spare() && w.adopt(src.File()) == nil {
		w.cloned = true
		return
	}
	err = w.store.step(stepClone, func() error {
		return unix.IoctlFileClone(int(w.file.f.Fd()), int(src.File().Fd()))
	})
	w.cloned = err == nil
}

// adopt puts a file in the place of the new one, if it is the same to everybody else: its owner, group and mode are those
// that a new one gets here.
func (w *writer) adopt(f *os.File) error {
	var own, other unix.Stat_t
	if err := cmp.Or(unix.Fstat(int(w.file.f.Fd()), &own), unix.Fstat(int(f.Fd()), &other)); err != nil {
		return err
	}
	if own.Uid != other.Uid || own.Gid != other.Gid || own.Mode != other.Mode {
		return errors.ErrUnsupported
	}
	var t *temporary
	err := w.store.step(stepAdopt, func() (err error) {
		t, err = adopt(w.root, f)
		return err
	})
	unused := w.file
	if err != nil {
		unused = t
	} else {
		w.file = t
	}
	w.discard(unused)
	return err
}

// finish sets the size, which holes at the end do not.
func (w *writer) finish() error {
	if w.size >= 0 && w.offset != w.size {
		return fmt.Errorf("store %s: only %d of the %d bytes announced came: %w", w.store.id, w.offset, w.size, image.ErrInvalid)
	}
	var err error
	if !w.cloned {
		err = w.store.step(stepSize, func() error { return w.file.f.Truncate(w.offset) })
	}
	if err == nil {
		err = w.keepFree()
	}
	if err != nil {
		return w.store.failure(w.dir, w.root, err)
	}
	return nil
}

// close gives everything back that has no name by now.
func (w *writer) close() {
	w.advance(w.promised)
	w.discard(w.file)
	if w.shard != nil {
		w.shard.Close()
	}
}

// discard removes a temporary file, which may be nil.
func (w *writer) discard(t *temporary) {
	if t == nil {
		return
	}
	if err := t.close(); err != nil && !notExist(err) {
		w.store.log.Warn("could not remove a temporary file", "path", t.f.Name(), "error", err)
	}
}

var zeroBlock [blockSize]byte

// leadingRuns returns how many zeros in whole blocks b begins with, and how much data follows up to the next such block.
// b begins at offset off; a block that b holds only in part counts as whole.
func leadingRuns(b []byte, off int64) (zeros, data int) {
	for zeros < len(b) {
		n := blockAt(b[zeros:], off+int64(zeros))
		if !isZero(b[zeros : zeros+n]) {
			break
		}
		zeros += n
	}
	end := zeros
	for end < len(b) {
		n := blockAt(b[end:], off+int64(end))
		if end > zeros && isZero(b[end:end+n]) {
			break
		}
		end += n
	}
	return zeros, end - zeros
}

// blockAt returns how much of b belongs to the block that off lies in.
func blockAt(b []byte, off int64) int { return min(len(b), int(blockSize-off%blockSize)) }

func isZero(block []byte) bool {
	return block[0] == 0 && bytes.Equal(block, zeroBlock[:len(block)])
}
