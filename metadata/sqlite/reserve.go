package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vitrine-image/vitrine/image"
)

// reserveBytes is more than the log has when SQLite folds it into the database by itself (see openWriter): given back to a
// disk without any room it is enough to fold the log, so that the log can be written from its beginning again.
const reserveBytes = 20 << 20

// headroom is what an update takes of the disk at most, commonly.
const headroom = 1 << 20

// reservePause is how long a reserve that was given back stays so, and how often it is tried to fold the log meanwhile.
const reservePause = time.Second

// A reserve keeps disk space for updates that free space: a file beside the database. Without it nothing could be deleted on
// a full disk, for to delete is to write, too. When such an update finds no room, the file is removed, and until there is room
// for it again all other updates are refused: they would take what the deletions need.
// It belongs to who has the turn to write.
type reserve struct {
	database string
	size     int64 // bytes
	pause    time.Duration
	log      *slog.Logger
	gone     bool
	next     time.Time // to try to have it back
}

func newReserve(database string, log *slog.Logger) *reserve {
	return &reserve{database: database, size: reserveBytes, pause: reservePause, log: log}
}

func (r *reserve) path() string { return r.database + ".reserve" }

// begin sees to it that the reserve is there when a database has been opened. Where there is no room for it the database
// begins as on a full disk.
func (r *reserve) begin(c *conn) error {
	err := r.make()
	if err == nil {
		r.gone = false
		return nil
	}
	if !isFull(err) {
		return fmt.Errorf("keep space for deletions: %w: %w", image.ErrUnavailable, err)
	}
	r.gone = true
	if err := foldByItself(c, false); err != nil {
		return err
	}
	if r.restore(c); r.gone {
		r.log.Error("there is no room for the space that is kept for deletions: only these are carried out until there is",
			"path", r.path(), "bytes", r.size, "error", err)
	}
	return nil
}

// make takes the space. What is left of a file that is not whole is replaced; what was never ours is refused.
func (r *reserve) make() error {
	switch info, err := os.Lstat(r.path()); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a regular file (%s)", r.path(), info.Mode())
	case info.Size() >= r.size && allocated(info) >= r.size:
		return nil
	default:
		if err := os.Remove(r.path()); err != nil {
			return err
		}
	}
	if free := r.free(); free < r.size {
		return fmt.Errorf("%w: %d bytes are free", unix.ENOSPC, free)
	}
	f, err := os.OpenFile(r.path(), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err = errors.Join(allocate(f, r.size), f.Close()); err != nil {
		return errors.Join(err, os.Remove(r.path()))
	}
	return nil
}

func allocated(info fs.FileInfo) int64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return stat.Blocks * 512
	}
	return info.Size()
}

// allocate gives a file real space. Where the file system knows no other way it is written full, with bytes that cannot be
// compressed.
func allocate(f *os.File, size int64) error {
	err := unix.Fallocate(int(f.Fd()), 0, 0, size)
	for errors.Is(err, unix.EINTR) {
		err = unix.Fallocate(int(f.Fd()), 0, 0, size)
	}
	if !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.ENOSYS) {
		return err
	}
	if _, err := io.CopyN(f, rand.NewChaCha8([32]byte{}), size); err != nil {
		return err
	}
	return f.Sync() // some file systems look for the space only then
}

// free returns how many bytes this process may still take of the file system.
func (r *reserve) free() int64 {
	var stat unix.Statfs_t
	if err := unix.Statfs(filepath.Dir(r.database), &stat); err != nil {
		return 0
	}
	blocks := stat.Bavail
	if os.Geteuid() == 0 {
		blocks = stat.Bfree // with those that ext4 keeps for root
	}
	return int64(blocks) * stat.Bsize
}

// giveBack makes room.
func (r *reserve) giveBack(c *conn) {
	if !r.gone {
		r.log.Error("the disk of the metadata database is full: what was kept for deletions is in use, and other changes are "+
			"refused until there is room again", "path", r.database)
	}
	r.gone, r.next = true, time.Now().Add(r.pause)
	if err := r.remove(); err != nil {
		r.log.Error("the space that was kept for deletions cannot be used", "path", r.path(), "error", err)
	}
	// From now on a commit must not fold what may not fit: it would use up the space and leave the log as long as it is.
	if err := errors.Join(foldByItself(c, false), r.fold(c)); err != nil {
		r.log.Warn("the log of the metadata database could not be folded into it", "path", r.database, "error", err)
	}
}

// remove reports no error when there is no reserve.
func (r *reserve) remove() error {
	if err := os.Remove(r.path()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncDir(filepath.Dir(r.path())) // ext4 lends freed blocks again only then
}

// fold brings the log into the database and cuts it off, if there is room for what the database grows by.
func (r *reserve) fold(c *conn) error {
	ctx := context.Background()
	pages, _, err := c.queryInt(ctx, "PRAGMA page_count")
	if err != nil {
		return err
	}
	pageSize, _, err := c.queryInt(ctx, "PRAGMA page_size")
	if err != nil {
		return err
	}
	info, err := os.Stat(r.database)
	if err != nil {
		return err
	}
	if growth, free := pages*pageSize-info.Size(), r.free(); growth > 0 && growth > free {
		return fmt.Errorf("it needs %d bytes: %w: %d are free", growth, unix.ENOSPC, free)
	}
	return c.query(ctx, "PRAGMA wal_checkpoint(TRUNCATE)", nil, ignoreRow)
}

// restore has the reserve back once there is room for it. No transaction may be open.
func (r *reserve) restore(c *conn) {
	now := time.Now()
	if !r.gone || now.Before(r.next) {
		return
	}
	r.next = now.Add(r.pause)
	if r.free() < r.size+headroom { // a log that was folded leaves room for the updates that follow, too
		if err := r.fold(c); r.free() < r.size || isFull(err) { // the disk is as full as it was
			return
		}
	}
	if err := errors.Join(r.make(), foldByItself(c, true)); err != nil {
		if !isFull(err) {
			r.log.Warn("the space that is kept for deletions cannot be taken", "path", r.path(), "error", err)
		}
		return
	}
	r.gone = false
	r.log.Info("there is room for the metadata database again: all changes are carried out", "path", r.database)
}

// refusal is what updates are told that free nothing, nil when they are carried out.
func (r *reserve) refusal() error {
	if !r.gone {
		return nil
	}
	return fmt.Errorf("metadata database %s cannot be written: its disk is full (delete images or free space on its file system, "+
		"%d bytes at least; it goes on by itself then): %w", r.database, r.size, image.ErrUnavailable)
}

// foldByItself sets whether SQLite folds the log into the database by itself when it is long.
func foldByItself(c *conn, on bool) error {
	pages := 0
	if on {
		pages = autoFold
	}
	return c.query(context.Background(), fmt.Sprintf("PRAGMA wal_autocheckpoint = %d", pages), nil, ignoreRow)
}
