// Package qemuimg writes disks as files of other formats: raw by itself, and what nobody here writes by qemu-img, in a child that sees
// nothing but two files. The one that it reads is the disk as raw, which was read here: qemu-img never sees the bytes of a user's image
// format. Start reading at Converter.Convert.
package qemuimg

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/sys/unix"

	"github.com/vitrine-image/vitrine/image"
)

// Raw is the format that needs no qemu-img.
const Raw = "raw"

// drivers are those of qemu-img, by the formats that it is run for, with the options of each.
var drivers = map[string]struct{ name, options string }{
	"vmdk": {"vmdk", ""},
	"vhd":  {"vpc", "force_size=on"}, // else the size is rounded to that of a disk with cylinders
	"vhdx": {"vhdx", fmt.Sprintf("block_size=%d", block)},
	"vdi":  {"vdi", ""},
}

// Formats returns those for which qemu-img is run, sorted.
func Formats() []string { return slices.Sorted(maps.Keys(drivers)) }

// Config says how conversions are carried out.
type Config struct {
	Dir     string        // where their files lie meanwhile, without names; required
	Scratch int64         // bytes that those of all may have, 0 for 64 GiB
	AtOnce  int64         // runs of qemu-img, 0 for 2
	Memory  int64         // bytes of address space of one, 0 for 1 GiB
	Timeout time.Duration // of one, on the wall clock, 0 for an hour
	User    string        // whose rights it has when this process is root; "" for nobody, if there is one
	Logger  *slog.Logger  // nil discards
}

// A Converter carries out conversions. It is safe for concurrent use.
type Converter struct {
	cfg     Config
	scratch *semaphore.Weighted
	slots   *semaphore.Weighted
	owner   *syscall.Credential // nil for this process's own
}

// New checks the configuration. qemu-img is looked for when it is needed.
func New(cfg Config) (*Converter, error) {
	if cfg.Dir == "" {
		return nil, errors.New("qemuimg: no directory")
	}
	cfg.Scratch, cfg.AtOnce = cmp.Or(cfg.Scratch, 64<<30), cmp.Or(cfg.AtOnce, 2)
	cfg.Memory, cfg.Timeout = cmp.Or(cfg.Memory, 1<<30), cmp.Or(cfg.Timeout, time.Hour)
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	owner, err := findUser(cfg.User)
	if err != nil {
		return nil, err
	}
	return &Converter{cfg, semaphore.NewWeighted(cfg.Scratch), semaphore.NewWeighted(cfg.AtOnce), owner}, nil
}

// Check reports what is missing to convert to a format. Error: image.ErrUnsupportedContent.
func (c *Converter) Check(format string) error {
	if format == Raw {
		return nil
	}
	if _, known := drivers[format]; !known {
		return fmt.Errorf("qemuimg: %q is no format", format)
	}
	for _, program := range []string{"qemu-img", "prlimit"} {
		if _, err := exec.LookPath(program); err != nil {
			return image.Errorf(image.ErrUnsupportedContent, "This server cannot convert to %s: it has no %s. raw and qcow2 can be had.", format, program)
		}
	}
	return nil
}

// A Disk is what a guest sees.
type Disk interface {
	ReadAt(ctx context.Context, p []byte, off int64) (int, error)
	Size() int64
	// DataAt returns the data at off or the first behind it, [start, end); start is Size() when there is none.
	DataAt(ctx context.Context, off int64) (start, end int64, err error)
}

// A File is a disk in a format, with any offset. It has no name: Close frees its space, and so does the end of the process.
type File struct {
	*os.File
	Size    int64
	release func()
}

// Close closes the file.
func (f *File) Close() error {
	defer f.release()
	return f.File.Close()
}

// Convert returns the disk as a file of the format: Raw, or one of Formats. Without patience it does not wait for others to end.
// Errors: image.ErrUnavailable then, and image.ErrTooLarge for a disk that needs more than all the room there is; image.ErrTooLarge
// for a conversion that takes too long; image.ErrStoreFull; image.ErrUnsupportedContent where the format cannot be had; those of the disk.
func (c *Converter) Convert(ctx context.Context, disk Disk, format string, patient bool) (*File, error) {
	if err := c.Check(format); err != nil {
		return nil, err
	}
	data, err := room(ctx, disk)
	if err != nil {
		return nil, err
	}
	limit := data + data/16 + disk.Size()>>10 + 64<<20 // of a format, which has tables beside the data
	need := data
	if format != Raw {
		need += limit
		if err := acquire(ctx, c.slots, 1, patient); err != nil {
			return nil, err
		}
		defer c.slots.Release(1)
	}
	reserved, err := c.acquireScratch(ctx, need, patient)
	if err != nil {
		return nil, err
	}
	out, err := c.write(ctx, disk, format, limit)
	return c.keep(out, err, reserved)
}

// Keep is Convert for what somebody else can write, size bytes of it.
func (c *Converter) Keep(ctx context.Context, size int64, patient bool, write func(io.Writer) error) (*File, error) {
	reserved, err := c.acquireScratch(ctx, size, patient)
	if err != nil {
		return nil, err
	}
	out, err := c.create(nil)
	if err == nil {
		if err = write(out); err != nil {
			out.Close()
		}
	}
	return c.keep(out, err, reserved)
}

// acquireScratch reserves room for n bytes. Whoever has patience gets all the room for what needs more.
func (c *Converter) acquireScratch(ctx context.Context, n int64, patient bool) (reserved int64, err error) {
	if n > c.cfg.Scratch && !patient {
		return 0, image.Errorf(image.ErrTooLarge, "The disk has too much data to be converted here: %d bytes are needed for that, and there may be %d.", n, c.cfg.Scratch)
	}
	reserved = min(n, c.cfg.Scratch)
	return reserved, acquire(ctx, c.scratch, reserved, patient)
}

// keep returns a file that was written without an error, and keeps as much of the room reserved for it as it needs.
func (c *Converter) keep(f *os.File, err error, reserved int64) (*File, error) {
	size := int64(0)
	if err == nil {
		if size, err = f.Seek(0, io.SeekEnd); err != nil {
			f.Close()
		}
	}
	if err != nil {
		c.scratch.Release(reserved)
		if errors.Is(err, syscall.ENOSPC) {
			c.cfg.Logger.Warn("there is no room to convert a disk", "directory", c.cfg.Dir, "error", err)
			err = fmt.Errorf("%w (%w)", image.Errorf(image.ErrStoreFull, "There is no room to convert the disk."), err)
		}
		return nil, err
	}
	kept := min(reserved, size)
	c.scratch.Release(reserved - kept)
	return &File{File: f, Size: size, release: func() { c.scratch.Release(kept) }}, nil
}

func acquire(ctx context.Context, s *semaphore.Weighted, n int64, patient bool) error {
	switch {
	case patient:
		if s.Acquire(ctx, n) != nil {
			return context.Cause(ctx)
		}
	case !s.TryAcquire(n):
		return image.Errorf(image.ErrUnavailable, "Too many images are being converted. Please try again later.")
	}
	return nil
}

// write makes the files.
func (c *Converter) write(ctx context.Context, disk Disk, format string, limit int64) (*os.File, error) {
	owner := c.owner
	if format == Raw {
		owner = nil
	}
	raw, err := c.create(owner)
	if err != nil {
		return nil, err
	}
	if err := copySparse(ctx, raw, disk); err != nil {
		raw.Close()
		return nil, err
	}
	if format == Raw {
		return raw, nil
	}
	defer raw.Close()
	out, err := c.create(owner)
	if err != nil {
		return nil, err
	}
	if err := c.run(ctx, raw, out, format, limit); err != nil {
		out.Close()
		return nil, err
	}
	return out, nil
}

// create returns a file without a name, which its owner may open by its descriptor.
func (c *Converter) create(owner *syscall.Credential) (*os.File, error) {
	fd, err := unix.Open(c.cfg.Dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create a file in %s: %w", c.cfg.Dir, err)
	}
	f := os.NewFile(uintptr(fd), "conversion")
	if owner != nil {
		if err := f.Chown(int(owner.Uid), int(owner.Gid)); err != nil {
			f.Close()
			return nil, err
		}
	}
	return f, nil
}

// threadStack is the address space for the stack of a thread of qemu-img, in bytes. It has up to 64 that write, which the usual 8 MiB would
// leave nothing of its limit.
const threadStack = 1 << 20

// run has qemu-img convert raw to out. It is told both formats and given both files as descriptors: it never guesses, and has
// nothing to open by a path.
func (c *Converter) run(ctx context.Context, raw, out *os.File, format string, limit int64) error {
	d := drivers[format]
	args := []string{fmt.Sprintf("--as=%d", c.cfg.Memory), fmt.Sprintf("--cpu=%d", 2*c.cfg.Timeout/time.Second+1), fmt.Sprintf("--fsize=%d", limit), "--core=0",
		fmt.Sprintf("--stack=%d", threadStack), "qemu-img", "convert", "--image-opts", "-O", d.name}
	if d.options != "" {
		args = append(args, "-o", d.options)
	}
	args = append(args, "driver=raw,read-only=on,file.driver=file,file.locking=off,file.filename=/proc/self/fd/3", "/proc/self/fd/4")
	ctx, stop := context.WithTimeout(ctx, c.cfg.Timeout)
	defer stop()
	complaint, err := c.runJailed(ctx, args, raw, out)
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return image.Errorf(image.ErrTooLarge, "The conversion took too long and was given up.")
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case strings.Contains(complaint, "No space left"):
		return fmt.Errorf("%w: %s", syscall.ENOSPC, complaint)
	case errors.As(err, new(*exec.ExitError)):
		c.cfg.Logger.WarnContext(ctx, "qemu-img failed", "target", format, "error", err, "complaint", complaint)
		return fmt.Errorf("%w (%w: %s)", image.Errorf(image.ErrUnsupportedContent, "The disk cannot be converted to %s.", format), err, complaint)
	}
	return fmt.Errorf("run qemu-img: %w", err)
}
