// Package blockcache keeps what was read of remote images in a file on a local disk, bounded and shared by all readers:
// what one guest has read, the next one does not fetch again, also when it reads past the kernel's cache. The bytes are in
// the kernel's page cache and on that disk, not in this process. Start reading at Cache.Reader.
package blockcache

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vitrine-image/vitrine/imagestore"
)

// Config says where the cache lies and what it may take.
type Config struct {
	Dir     string       // made if it is missing
	Size    int64        // bytes of data, at least MinSize
	Reserve int64        // bytes of the file system that the cache leaves free
	Logger  *slog.Logger // nil discards
}

// MinSize is the least that a cache can do with.
const MinSize = 16 * blockSize

// A Cache holds blocks of images in a file without a name, so that a crash leaves nothing behind. What goes wrong with it
// (a full disk, a broken one) costs speed and is no error to a reader: the file is only believed where the sums agree.
// It takes some three MiB of memory for each GiB of data.
type Cache struct {
	file  *os.File
	bytes storage // file
	log   *slog.Logger

	reserve int64

	mu     sync.Mutex
	blocks map[blockKey]*block
	queues queues
	most   int       // blocks that fit
	places int       // blocks that have a place in the file
	paused time.Time // nothing new is kept before this
	stats  Stats     // but for Bytes
}

// Stats are what a cache has done so far.
type Stats struct {
	Hits, Misses uint64 // steps of reads, of up to a block, that found all their bytes, or none
	Bytes        int64  // that its file takes
}

// Stats returns what the cache has done so far.
func (c *Cache) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	stats := c.stats
	stats.Bytes = int64(c.places) * blockSize
	return stats
}

// storage is what the bytes go to.
type storage interface {
	io.ReaderAt
	io.WriterAt
}

// Open makes an empty cache. Close it when all its readers are closed.
func Open(cfg Config) (*Cache, error) {
	if cfg.Dir == "" || cfg.Size < MinSize {
		return nil, fmt.Errorf("blockcache: a directory and a size of at least %d bytes are needed", MinSize)
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("blockcache: %w", err)
	}
	file, err := unnamedFile(cfg.Dir)
	if err != nil { // as file systems say, in several ways, that know no such files
		file, err = namelessFile(cfg.Dir)
	}
	if err != nil {
		return nil, fmt.Errorf("blockcache: %w", err)
	}
	most := int(min(cfg.Size/blockSize, 1<<31-1))
	return &Cache{file: file, bytes: file, log: cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler)), reserve: cfg.Reserve,
		blocks: make(map[blockKey]*block), queues: newQueues(most), most: most}, nil
}

// unnamedFile makes a file that never has a name.
func unnamedFile(dir string) (*os.File, error) {
	return os.OpenFile(dir, unix.O_TMPFILE|os.O_RDWR, 0o600)
}

// namelessFile makes a file and takes its name away. A crash between the two leaves an empty file to the next cache.
func namelessFile(dir string) (*os.File, error) {
	path := dir + "/blocks"
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(path); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// Close gives the space back.
func (c *Cache) Close() error { return c.file.Close() }

// Reader returns a Reader over below, data that never changes and has the number for ever, whose blocks are kept for all its readers.
// Closing it closes below. It knows its extents if below does.
func (c *Cache) Reader(number uint64, below imagestore.Reader) imagestore.Reader {
	r := &reader{Reader: below, cache: c, data: number, size: below.Size()}
	if extents, ok := below.(imagestore.ExtentReader); ok {
		return struct {
			*reader
			extenter
		}{r, extents}
	}
	return r
}

// pause is how long nothing new is kept after something went wrong with the file.
const pause = time.Minute

// fail is told that the file could not be written or read, or did not hold what was written.
func (c *Cache) fail(err error) {
	c.mu.Lock()
	again := c.isPaused()
	c.paused = time.Now().Add(pause)
	c.mu.Unlock()
	if !again {
		c.log.Warn("the cache of remote images takes nothing new for a while", "directory", c.file.Name(), "duration", pause, "error", err)
	}
}

func (c *Cache) isPaused() bool { return time.Now().Before(c.paused) }

// mayGrow tells whether the file may hold one more block. What it holds already may have holes, which count as taken: they
// are filled without asking.
func (c *Cache) mayGrow() bool {
	var fs unix.Statfs_t
	var file unix.Stat_t
	fd := int(c.file.Fd())
	if unix.Fstatfs(fd, &fs) != nil || unix.Fstat(fd, &file) != nil {
		return false
	}
	unfilled := int64(c.places+1)*blockSize - file.Blocks*512
	return int64(fs.Bavail)*fs.Frsize-unfilled >= c.reserve
}
