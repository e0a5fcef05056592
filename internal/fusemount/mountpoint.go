package fusemount

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Prepare makes the directory ready to be mounted on as a file system of that type: what a dead process left is unmounted
// first, since nothing else can be done with it, not even stat. It returns the directory, locked until it is closed, and
// its path as Resolve has it.
func Prepare(path, fsType string, log *slog.Logger) (place *os.File, real string, err error) {
	if real, err = Resolve(path); err != nil {
		return nil, path, err
	}
	if err := clearStale(real, fsType, log); err != nil {
		return nil, real, err
	}
	place, err = emptyDir(real)
	return place, real, err
}

// Resolve returns the path as the kernel's table has it, absolute and without symbolic links, and makes the directories on the
// way to it.
func Resolve(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return path, err
	}
	parent := filepath.Dir(path)
	dir, err := filepath.EvalSymlinks(parent) // not of the last part: that may be a dead mount
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(parent, 0o755); err != nil {
			return path, &Error{Path: path, Why: "the directory cannot be made", Err: err}
		}
		dir, err = filepath.EvalSymlinks(parent)
	}
	if err != nil {
		return path, &Error{Path: path, Why: "its directory cannot be found", Err: err}
	}
	return filepath.Join(dir, filepath.Base(path)), nil
}

// clearStale unmounts what dead processes left at the path. It never displaces a mount that is served, nor one of
// another kind.
func clearStale(path, fsType string, log *slog.Logger) error {
	for {
		mounts, err := At(path)
		if err != nil {
			return &Error{Path: path, Why: "cannot tell what is mounted", Err: err}
		}
		if len(mounts) == 0 || mounts[len(mounts)-1].Type != fsType {
			return nil
		}
		if alive(mounts[len(mounts)-1]) {
			return &Error{Path: path, Why: "another process serves its mount there; stop it first, or name another directory"}
		}
		log.Warn("clearing the mount that a dead process left", "path", path)
		if err := Release(path, true); err != nil {
			return &Error{Path: path, Why: "the mount that a dead process left cannot be cleared; try umount -l", Err: err}
		}
	}
}

// emptyDir makes the directory if it is missing, and refuses one that holds anything, which a mount would hide. The
// directory is locked until it is closed: of two processes that start at the same moment one mounts.
func emptyDir(path string) (*os.File, error) {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, &Error{Path: path, Why: "the directory cannot be made", Err: err}
	}
	if st, err := os.Lstat(path); err == nil && st.Mode()&fs.ModeSymlink != 0 {
		return nil, &Error{Path: path, Why: "it is a symbolic link; name the directory itself"}
	}
	d, err := os.Open(path)
	if err != nil {
		return nil, &Error{Path: path, Why: "the directory cannot be read", Err: err}
	}
	names, err := d.Readdirnames(1)
	switch {
	case err != nil && err != io.EOF:
		err = &Error{Path: path, Why: "the directory cannot be read", Err: err}
	case len(names) > 0:
		err = &Error{Path: path, Why: fmt.Sprintf("it is not empty, it holds %q; name an empty directory", names[0])}
	case unix.Flock(int(d.Fd()), unix.LOCK_EX|unix.LOCK_NB) == unix.EWOULDBLOCK: // other errors: no locks on that file system
		err = &Error{Path: path, Why: "another process is about to mount there; stop it first, or name another directory"}
	default:
		return d, nil
	}
	d.Close()
	return nil, err
}

// A Mounted is a line of mountinfo.
type Mounted struct {
	Path, Type string
	Minor      uint32 // of the device, which is the number of the connection, too
	UID, GID   int    // who mounted it, of FUSE mounts
}

// At returns the mounts at the path, the uppermost last. It asks nobody but the kernel's table: to
// touch a mount whose server is gone may hang for ever.
func At(path string) ([]Mounted, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var found []Mounted
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if mnt, ok := parse(lines.Text()); ok && mnt.Path == path {
			found = append(found, mnt)
		}
	}
	return found, lines.Err()
}

// parse reads a line such as
//
//	36 35 0:98 / /srv/vitrine ro,nosuid - fuse.vitrine vitrine ro,user_id=0
//
// Source: proc_pid_mountinfo(5).
func parse(line string) (Mounted, bool) {
	left, right, ok := strings.Cut(line, " - ")
	fields, rest := strings.Fields(left), strings.Fields(right)
	if !ok || len(fields) < 6 || len(rest) < 1 {
		return Mounted{}, false
	}
	_, minor, _ := strings.Cut(fields[2], ":")
	n, err := strconv.ParseUint(minor, 10, 32)
	if err != nil {
		return Mounted{}, false
	}
	m := Mounted{Path: unescape(fields[4]), Type: rest[0], Minor: uint32(n)}
	for option := range strings.SplitSeq(rest[len(rest)-1], ",") {
		fmt.Sscanf(option, "user_id=%d", &m.UID)
		fmt.Sscanf(option, "group_id=%d", &m.GID)
	}
	return m, true
}

// unescape turns \040 and the like into what they stand for.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// Top returns the uppermost mount at the path, if it is of that type.
func Top(path, fsType string) (Mounted, bool, error) {
	mounts, err := At(path)
	if err != nil || len(mounts) == 0 || mounts[len(mounts)-1].Type != fsType {
		return Mounted{}, false, err
	}
	return mounts[len(mounts)-1], true, nil
}

// RaiseReadAhead lets the kernel read ahead further, in KiB, than FUSE may ask for: programs that map files are ten times
// slower otherwise.
func RaiseReadAhead(minor uint32, size int) error {
	return os.WriteFile(fmt.Sprintf("/sys/class/bdi/0:%d/read_ahead_kb", minor), []byte(strconv.Itoa(size)), 0)
}
