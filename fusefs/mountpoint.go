package fusefs

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// prepare makes the directory ready to be mounted on: what a dead process left is unmounted first, since nothing else
// can be done with it, not even stat.
func (m *Mount) prepare() error {
	parent := filepath.Dir(m.cfg.Path)
	dir, err := filepath.EvalSymlinks(parent) // not of the last part: that may be a dead mount
	if errors.Is(err, fs.ErrNotExist) {       // made now: what the kernel's table says is the path without symbolic links
		if err := os.MkdirAll(parent, 0o755); err != nil {
			return &MountError{Path: m.cfg.Path, Why: "the directory cannot be made", Err: err}
		}
		dir, err = filepath.EvalSymlinks(parent)
	}
	if err != nil {
		return &MountError{Path: m.cfg.Path, Why: "its directory cannot be found", Err: err}
	}
	m.cfg.Path = filepath.Join(dir, filepath.Base(m.cfg.Path))
	if err := m.clearStale(); err != nil {
		return err
	}
	m.place, err = emptyDir(m.cfg.Path)
	return err
}

// clearStale unmounts what dead processes left at the path. It never displaces a mount that is served, nor one of
// another kind.
func (m *Mount) clearStale() error {
	for {
		mounts, err := mountsAt(m.cfg.Path)
		if err != nil {
			return &MountError{Path: m.cfg.Path, Why: "cannot tell what is mounted", Err: err}
		}
		if len(mounts) == 0 || mounts[len(mounts)-1].fsType != m.fsType() {
			return nil
		}
		if alive(mounts[len(mounts)-1]) {
			return &MountError{Path: m.cfg.Path, Why: "another process serves its mount there; stop it first, or name another directory"}
		}
		m.log.Warn("clearing the mount that a dead process left", "path", m.cfg.Path)
		if err := release(m.cfg.Path, true); err != nil {
			return &MountError{Path: m.cfg.Path, Why: "the mount that a dead process left cannot be cleared; try umount -l", Err: err}
		}
	}
}

// emptyDir makes the directory if it is missing, and refuses one that holds anything, which a mount would hide. The
// directory is locked until it is closed: of two processes that start at the same moment one mounts.
func emptyDir(path string) (*os.File, error) {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, &MountError{Path: path, Why: "the directory cannot be made", Err: err}
	}
	if st, err := os.Lstat(path); err == nil && st.Mode()&fs.ModeSymlink != 0 {
		return nil, &MountError{Path: path, Why: "it is a symbolic link; name the directory itself"}
	}
	d, err := os.Open(path)
	if err != nil {
		return nil, &MountError{Path: path, Why: "the directory cannot be read", Err: err}
	}
	names, err := d.Readdirnames(1)
	switch {
	case err != nil && err != io.EOF:
		err = &MountError{Path: path, Why: "the directory cannot be read", Err: err}
	case len(names) > 0:
		err = &MountError{Path: path, Why: fmt.Sprintf("it is not empty, it holds %q; name an empty directory", names[0])}
	case unix.Flock(int(d.Fd()), unix.LOCK_EX|unix.LOCK_NB) == unix.EWOULDBLOCK: // other errors: no locks on that file system
		err = &MountError{Path: path, Why: "another process is about to mount there; stop it first, or name another directory"}
	default:
		return d, nil
	}
	d.Close()
	return nil, err
}

// A mounted is a line of mountinfo.
type mounted struct {
	path, fsType string
	minor        uint32
	uid, gid     int // who mounted it, of FUSE mounts
}

// mountsAt returns the mounts at the path, the uppermost last. It asks nobody but the kernel's table: to
// touch a mount whose server is gone may hang for ever.
func mountsAt(path string) ([]mounted, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var found []mounted
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if mnt, ok := parseMount(lines.Text()); ok && mnt.path == path {
			found = append(found, mnt)
		}
	}
	return found, lines.Err()
}

// parseMount reads a line such as
//
//	36 35 0:98 / /srv/vitrine ro,nosuid - fuse.vitrine vitrine ro,user_id=0
//
// Source: proc_pid_mountinfo(5).
func parseMount(line string) (mounted, bool) {
	left, right, ok := strings.Cut(line, " - ")
	fields, rest := strings.Fields(left), strings.Fields(right)
	if !ok || len(fields) < 6 || len(rest) < 1 {
		return mounted{}, false
	}
	_, minor, _ := strings.Cut(fields[2], ":")
	n, err := strconv.ParseUint(minor, 10, 32)
	if err != nil {
		return mounted{}, false
	}
	m := mounted{path: unescape(fields[4]), fsType: rest[0], minor: uint32(n)}
	for option := range strings.SplitSeq(rest[len(rest)-1], ",") {
		fmt.Sscanf(option, "user_id=%d", &m.uid)
		fmt.Sscanf(option, "group_id=%d", &m.gid)
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

// raiseReadAhead lets the kernel read ahead further than FUSE may ask for: programs that map files are ten times
// slower otherwise.
func (m *Mount) raiseReadAhead() {
	path := fmt.Sprintf("/sys/class/bdi/0:%d/read_ahead_kb", m.device)
	if err := os.WriteFile(path, []byte(strconv.Itoa(m.cfg.ReadAhead)), 0); err != nil {
		m.log.Debug("cannot raise the read-ahead of the mount", "error", err)
	}
}
