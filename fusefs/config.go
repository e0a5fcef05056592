package fusefs

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Config says what to serve and how. Path and Source are needed; the zero value of everything else is a good choice.
type Config struct {
	Path   string // where to mount; made if it is missing
	Source Source
	Logger *slog.Logger // nil discards

	Helper   string // socket of the mounter that makes the mount and keeps it when this process ends; "" mounts without
	TakeOver bool   // from the daemon that the helper has, which goes then
	Identity string // of what gives images their numbers; a mount whose numbers are another's is not taken over
	View     string // what the source shows and to whom, in any words: when it changes the kernel forgets what it knows

	Name       string // the file system type is fuse.<Name>; vitrine
	UID, GID   uint32 // owner and group of everything in the tree; the process's own
	FileMode   uint32 // of files; 0440
	DirMode    uint32 // of directories; 0550
	AllowOther bool   // let other users in, as far as the modes allow

	Observer Observer // nil for none

	NoPassthrough bool // never let the kernel read local files by itself

	Timeout       time.Duration // how long the kernel keeps names and attributes unless told otherwise; an hour
	MaxBackground int           // requests that the kernel may have waiting, each with a buffer; 192
	MaxOpen       int           // images open at once; half of the file descriptors that the process may have
	ReadAhead     int           // KiB; 8192
	Linger        time.Duration // how long to go on for files that are open when it ends; 10 seconds
}

func (c Config) withDefaults() (Config, error) {
	if c.Path == "" || c.Source == nil {
		return c, errors.New("fusefs: path and source must be set")
	}
	abs, err := filepath.Abs(c.Path)
	if err != nil {
		return c, fmt.Errorf("fusefs: %w", err)
	}
	c.Path = abs
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	c.Name = cmp.Or(c.Name, "vitrine")
	c.UID = cmp.Or(c.UID, uint32(os.Geteuid()))
	c.GID = cmp.Or(c.GID, uint32(os.Getegid()))
	c.FileMode = cmp.Or(c.FileMode, 0o440)
	c.DirMode = cmp.Or(c.DirMode, 0o550)
	c.Timeout = cmp.Or(c.Timeout, time.Hour)
	c.MaxBackground = cmp.Or(c.MaxBackground, 192)
	c.MaxOpen = cmp.Or(c.MaxOpen, halfOfFiles())
	c.ReadAhead = cmp.Or(c.ReadAhead, 8192)
	c.Linger = cmp.Or(c.Linger, 10*time.Second)
	switch {
	case !plain.MatchString(c.Name):
		return c, fmt.Errorf("fusefs: %q cannot be part of a file system type", c.Name)
	case c.FileMode&^0o555 != 0 || c.DirMode&^0o555 != 0:
		return c, fmt.Errorf("fusefs: modes %#o and %#o must only hold bits of 0555", c.FileMode, c.DirMode)
	case c.MaxBackground < 1 || c.MaxBackground > 1<<16-1:
		return c, fmt.Errorf("fusefs: max background is %d, must be from 1 to 65535", c.MaxBackground)
	}
	return c, nil
}

func halfOfFiles() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 512
	}
	return int(min(limit.Cur/2, 1<<20))
}
