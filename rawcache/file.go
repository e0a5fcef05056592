package rawcache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vitrine-image/vitrine/image"
)

// A file is a disk on disk. Its name tells which, of which copy it was made, and the sum of what was written.
type file struct {
	*os.File
	name  string
	id    image.ID
	disk  uint64
	from  uint64 // the number of the copy
	sum   uint64
	bytes int64 // that it takes

	// Guarded by the Cache's mutex.
	number int64 // of the image; unknown in what was found
	pins   int   // the cache's own, while it has a name, and one for each reader
	used   time.Time
	reason error // why it must go, nil if it need not
}

// newName is what a file is called until it is complete.
const newName = "new"

func fileName(id image.ID, disk, from, sum uint64) string {
	return fmt.Sprintf("%s.%016x.%016x.%016x", id, disk, from, sum)
}

// reopen opens a file of that name in the cache's directory, nil when it is none of ours.
func (c *Cache) reopen(name string) *file {
	f := &file{name: name, pins: 1, used: time.Now()}
	id, rest, _ := strings.Cut(name, ".")
	valid := false
	f.id, valid = image.ParseID(id)
	if _, err := fmt.Sscanf(rest, "%16x.%16x.%16x", &f.disk, &f.from, &f.sum); !valid || err != nil || fileName(f.id, f.disk, f.from, f.sum) != name {
		return nil
	}
	var err error
	if f.File, err = c.root.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0); err != nil {
		return nil
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		f.Close()
		return nil
	}
	f.bytes = st.Blocks * 512
	return f
}

// pin returns the disk's file for an operation or longer, nil for none. Give it back by unpin.
func (c *Cache) pin(img Image) *file {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.fileOf(img)
	if f != nil {
		f.pins++
		f.used = time.Now()
	}
	return f
}

func (c *Cache) unpin(f *file) {
	c.mu.Lock()
	f.pins--
	last := f.pins == 0
	if last {
		c.taken -= f.bytes
	}
	c.mu.Unlock()
	if last {
		f.Close()
	}
}

// fail takes the file of a disk out of use that could not be read.
func (c *Cache) fail(img Image, f *file, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.drop(f, err) {
		c.heatOf(img, time.Now()).again = time.Now().Add(later)
	}
}

// drop takes a file out of use, and reports whether it was in use. Run removes it. The caller has the mutex.
func (c *Cache) drop(f *file, reason error) bool {
	if c.files[f.disk] != f {
		return false
	}
	delete(c.files, f.disk)
	f.reason = reason
	c.broken = append(c.broken, f)
	c.rouse()
	return true
}

// discard removes a file that is in no table any more. Who has it open reads on.
func (c *Cache) discard(f *file) {
	if err := c.root.Remove(f.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.log.Warn("a file of a disk cannot be removed", "file", f.name, "error", err)
	}
	c.unpin(f)
}

// holds tells whether the file holds the disk.
func (f *file) holds(img Image) bool {
	return f.disk == img.Disk && slices.Contains(img.Copies, f.from)
}
