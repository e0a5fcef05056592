package fusefs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/fusemount"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

func TestEveryWriteIsRefused(t *testing.T) {
	testservers.Require(t, "root") // to remount
	f := newFake(t)
	img := f.add(t, "a", make([]byte, 8192))
	s, c := serve(t, f), startChild(t)
	for _, remount := range []bool{false, true} {
		if remount { // then it is the daemon that refuses, not the kernel
			if err := unix.Mount("", s.path, "", unix.MS_REMOUNT|unix.MS_NOSUID|unix.MS_NODEV, ""); err != nil {
				t.Fatal(err)
			}
		}
		dir := s.in("by-id", string(img.ID))
		file := dir + "/disk.raw"
		fd := c.open(file)
		for _, r := range []request{
			{Op: "open", Path: file, Flags: unix.O_RDWR},
			{Op: "open", Path: file, Flags: unix.O_WRONLY},
			{Op: "open", Path: file, Flags: unix.O_RDONLY | unix.O_TRUNC},
			{Op: "open", Path: dir + "/metadata.json", Flags: unix.O_RDWR},
			{Op: "open", Path: dir + "/new", Flags: unix.O_CREAT | unix.O_WRONLY},
			{Op: "open", Path: dir, Flags: unix.O_TMPFILE | unix.O_RDWR},
			{Op: "mkdir", Path: s.in("new")},
			{Op: "rmdir", Path: dir},
			{Op: "unlink", Path: file},
			{Op: "rename", Path: file, Path2: dir + "/new"},
			{Op: "link", Path: file, Path2: dir + "/new"},
			{Op: "symlink", Path: s.in("by-name", "new")},
			{Op: "mknod", Path: dir + "/new"},
			{Op: "chmod", Path: file},
			{Op: "chown", Path: file},
			{Op: "truncate", Path: file},
			{Op: "utimes", Path: file},
			{Op: "setxattr", Path: file},
			{Op: "removexattr", Path: file},
		} {
			a := c.do(r)
			if a.Errno != syscall.EROFS && !(remount && a.Errno == syscall.EOPNOTSUPP && strings.HasSuffix(r.Op, "xattr")) {
				t.Errorf("%s %s (remounted %v): %v, want EROFS", r.Op, r.Path, remount, a.Errno)
			}
		}
		for _, r := range []request{
			{Op: "write", FD: fd}, {Op: "fallocate", FD: fd}, {Op: "mmap-shared-write", FD: fd}} {
			if a := c.do(r); a.Errno != syscall.EBADF && a.Errno != syscall.EACCES {
				t.Errorf("%s on a file open for reading: %v, want EBADF or EACCES", r.Op, a.Errno)
			}
		}
		if a := c.do(request{Op: "getxattr", Path: file}); a.Errno != syscall.EOPNOTSUPP {
			t.Errorf("getxattr: %v, want EOPNOTSUPP", a.Errno)
		}
		c.close(fd)
	}
}

func TestEndWithFilesOpen(t *testing.T) {
	f := newFake(t)
	data := someBytes(1 << 20)
	img := f.add(t, "a", data)
	w := &watch{slog.NewTextHandler(io.Discard, nil), "the mount is still in use, it is served on", make(chan struct{}, 1)}
	s := serve(t, f, func(cfg *Config) { cfg.NoPassthrough, cfg.Linger, cfg.Logger = true, childPatience, slog.New(w) })
	c := startChild(t)
	fd := c.ok(request{Op: "open", Path: s.in("by-id", string(img.ID), "disk.raw"), Flags: unix.O_DIRECT})
	s.cancel()
	<-w.logged
	if left, err := fusemount.At(s.path); err != nil || len(left) > 0 {
		t.Errorf("still mounted while a file is open: %v, %v", left, err)
	}
	if got := c.read(int(fd.N), 4096); got != string(data[4096:8192]) {
		t.Error("an open file reads wrong after the mount left the tree")
	}
	c.close(int(fd.N))
	if err := s.end(); err != nil {
		t.Errorf("Serve = %v, want nil after the last close", err)
	}
	s.isOpen(img, 0)
}

// A watch is a logger that tells when it is given a message.
type watch struct {
	slog.Handler
	message string
	logged  chan struct{}
}

func (w *watch) Handle(ctx context.Context, r slog.Record) error {
	if strings.HasPrefix(r.Message, w.message) {
		w.logged <- struct{}{}
	}
	return w.Handler.Handle(ctx, r)
}

func TestEndThoughAReaderHangs(t *testing.T) {
	testservers.Require(t, "root") // to cut readers off
	f := newFake(t)
	started := make(chan struct{}, 16)
	f.wrap = func(file *os.File, size int64) Reader { return &blockedReader{plainReader{file, size}, started} }
	img := f.add(t, "a", make([]byte, 8192))
	s, c := serve(t, f, func(cfg *Config) { cfg.Linger = 50 * time.Millisecond }), startChild(t)
	hung := c.send(request{Op: "hash", Path: s.in("by-id", string(img.ID), "disk.raw"), Size: 4096, Flags: unix.O_DIRECT})
	<-started
	if err := s.end(); err != nil {
		t.Errorf("Serve = %v, want nil", err)
	}
	if a, err := hung(); err != nil || a.Errno == 0 {
		t.Errorf("the reader got %v, %v, want an error", a.Errno, err)
	}
	s.isOpen(img, 0)
}

// Who still has files open after the time that is given for it gets errors from what the daemon reads, and reads on in
// what the kernel reads by itself. The log says which.
func TestEndLeavesReadersBehind(t *testing.T) {
	testservers.Require(t, "root") // to cut readers off
	const cutOff, readsOn = "their readers get errors", "the kernel reads on"
	for _, way := range ways[:2] {
		t.Run(way.name, func(t *testing.T) {
			f := newFake(t)
			data := someBytes(1 << 20)
			img := f.add(t, "a", data)
			var log bytes.Buffer // used after the end
			s := serve(t, f, way.edit, func(cfg *Config) {
				cfg.Linger, cfg.Logger = 50*time.Millisecond, slog.New(slog.NewTextHandler(&log, nil))
			})
			passes := way.name == "passthrough"
			if passes {
				s.mustPass()
			}
			c := startChild(t)
			fd := int(c.ok(request{Op: "open", Path: s.in("by-id", string(img.ID), "disk.raw"), Flags: unix.O_DIRECT}).N)
			if err := s.end(); err != nil {
				t.Errorf("Serve = %v, want nil", err)
			}
			a := c.do(request{Op: "pread", FD: fd, Offset: 4096, Size: 4096})
			if passes && (a.Errno != 0 || string(a.Data) != string(data[4096:8192])) || !passes && a.Errno == 0 {
				t.Errorf("after the end a reader got %d bytes, %v", len(a.Data), a.Errno)
			}
			if strings.Contains(log.String(), cutOff) == passes || strings.Contains(log.String(), readsOn) != passes {
				t.Errorf("the log tells something else of its readers:\n%s", &log)
			}
			s.isOpen(img, 0)
		})
	}
}

func TestUnmountedFromOutside(t *testing.T) {
	testservers.Require(t, "root") // to abort
	for name, end := range map[string]func(s *served) error{
		"unmounted": func(s *served) error { return fusemount.Release(s.path, false) },
		"aborted":   func(s *served) error { return fusemount.Abort(s.device) }, // which leaves a dead mount
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, newFake(t))
			if err := end(s); err != nil {
				t.Fatal(err)
			}
			if err := <-s.done; !errors.Is(err, ErrUnmounted) {
				t.Errorf("Serve = %v, want ErrUnmounted", err)
			}
			s.done <- nil
			if left, err := fusemount.At(s.path); err != nil || len(left) > 0 {
				t.Errorf("there is %v at the path, %v, want nothing", left, err)
			}
		})
	}
}

// Directories are made on the way to the mount, also behind a symbolic link: the kernel's table names the mount without.
func TestMountBehindALink(t *testing.T) {
	f := newFake(t)
	img := f.add(t, "a", []byte("x"))
	dir := t.TempDir()
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "real"), 0o755), os.Symlink("real", filepath.Join(dir, "link"))); err != nil {
		t.Fatal(err)
	}
	s := serve(t, f, func(cfg *Config) { cfg.Path = filepath.Join(dir, "link", "on", "the way", "mnt") })
	if got := startChild(t).content(s.in("by-id", string(img.ID), "disk.raw")); got != "x" {
		t.Errorf("disk.raw holds %q", got)
	}
}

// A user who may not mount has fusermount3 do it. Other users are let in only if /etc/fuse.conf says so; if not, the
// mount is the user's alone, and the log tells what to do.
func TestUserMounts(t *testing.T) {
	testservers.Require(t, "fuse", "fusermount", "root") // to be another user
	conf, err := os.ReadFile("/etc/fuse.conf")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	othersMay := regexp.MustCompile(`(?m)^\s*user_allow_other\s*$`).Match(conf)
	dir := t.TempDir()
	nobody := &syscall.Credential{Uid: 65534, Gid: 65534}
	if err := errors.Join(os.Chmod(filepath.Dir(dir), 0o755), os.Chown(dir, 65534, 65534)); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer // read when the child has ended
	user, path := startChildAs(t, nobody, &log), filepath.Join(dir, "mnt")
	user.ok(request{Op: "serve", Path: path, Path2: "/proc/sys/kernel/ostype", Flags: 1})
	file := path + "/by-id/00000000-0000-4000-8000-abcd00000001/disk.raw"
	if a := startChildAs(t, nobody, os.Stderr).stat(file); a.Errno != 0 || a.Stat.Uid != nobody.Uid {
		t.Errorf("the user who mounted finds a file of %d, %v", a.Stat.Uid, a.Errno)
	}
	if a := startChild(t).stat(file); (a.Errno == 0) != othersMay {
		t.Errorf("another user gets %v, and user_allow_other is %v", a.Errno, othersMay)
	}
	startChildAs(t, nobody, os.Stderr).open(file) // nor is it an error to end with files open, which only root can cut off
	user.ok(request{Op: "unserve"})
	if left, err := fusemount.At(path); err != nil || len(left) > 0 {
		t.Errorf("there is %v at the path, %v, want nothing", left, err)
	}
	user.stop()
	if printed := regexp.MustCompile(`(?m)^fusermount.*`).FindString(log.String()); printed != "" {
		t.Errorf("what fusermount3 prints is in the middle of the log: %s", printed)
	}
	if warned := strings.Contains(log.String(), "put the line user_allow_other into /etc/fuse.conf"); warned == othersMay {
		t.Errorf("user_allow_other is %v, and the log says\n%s", othersMay, &log)
	}
}

// A daemon that was killed leaves a mount on which even stat fails; the next one clears it.
func TestStaleMountIsCleared(t *testing.T) {
	f := newFake(t)
	img := f.add(t, "a", []byte("x"))
	path := filepath.Join(t.TempDir(), "mnt")
	dead := startChild(t)
	dead.ok(request{Op: "serve", Path: path, Path2: "/dev/null"})
	if err := dead.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	dead.stop()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != unix.ENOTCONN {
		t.Fatalf("stat of the dead mount = %v, want ENOTCONN", err)
	}
	s, c := serve(t, f, func(cfg *Config) { cfg.Path = path }), startChild(t)
	if got := c.content(s.in("by-id", string(img.ID), "disk.raw")); got != "x" {
		t.Errorf("disk.raw holds %q", got)
	}
	if left, err := fusemount.At(path); err != nil || len(left) != 1 {
		t.Errorf("there are %d mounts at the path, %v, want 1", len(left), err)
	}
}

// Only a dead mount is cleared: the guests of a live one would lose their disks.
func TestLiveMountIsNotDisplaced(t *testing.T) {
	testservers.Require(t, "root") // to mount something else
	f := newFake(t)
	img := f.add(t, "a", []byte("x"))
	path := filepath.Join(t.TempDir(), "mnt")
	live := startChild(t)
	live.ok(request{Op: "serve", Path: path, Path2: "/dev/null"})
	m, err := New(Config{Path: path, Source: f})
	if err != nil {
		t.Fatal(err)
	}
	refused := func(want string) {
		t.Helper()
		before, _ := fusemount.At(path)
		var me *fusemount.Error
		if err := m.Attach(t.Context()); !errors.As(err, &me) || !strings.Contains(err.Error(), want) {
			t.Errorf("Attach = %v, want a fusemount.Error with %q", err, want)
		}
		if after, err := fusemount.At(path); err != nil || !slices.Equal(after, before) {
			t.Errorf("there are %v at the path, %v, were %v", after, err, before)
		}
	}
	refused("another process serves its mount")
	if err := os.Mkdir(path+"2", 0o700); err != nil {
		t.Fatal(err)
	}
	starting, _, err := fusemount.Prepare(path+"2", m.mountOptions().Type(), m.log)
	if err != nil {
		t.Fatal(err)
	}
	defer starting.Close()
	if _, _, err := fusemount.Prepare(path+"2", m.mountOptions().Type(), m.log); err == nil || !strings.Contains(err.Error(), "about to mount") {
		t.Errorf("the place of a mount that is being made: %v", err)
	}
	if err := unix.Mount("foreign", path, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(path, unix.MNT_DETACH) })
	if err := os.WriteFile(filepath.Join(path, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	refused(`it holds "x"`)
	if err := unix.Unmount(path, 0); err != nil {
		t.Fatal(err)
	}
	live.ok(request{Op: "unserve"})
	s, c := serve(t, f, func(cfg *Config) { cfg.Path = path }), startChild(t)
	if got := c.content(s.in("by-id", string(img.ID), "disk.raw")); got != "x" {
		t.Errorf("disk.raw holds %q", got)
	}
}

func TestAttachRefuses(t *testing.T) {
	dir := t.TempDir()
	full, file, link := filepath.Join(dir, "full"), filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := errors.Join(os.MkdirAll(filepath.Join(full, "x"), 0o700), os.WriteFile(file, nil, 0o600),
		os.Symlink(dir, link)); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		full:        `it is not empty, it holds "x"`,
		file:        "the directory cannot be made",
		link:        "it is a symbolic link",
		file + "/x": "the directory cannot be made",
	} {
		m, err := New(Config{Path: path, Source: newFake(t)})
		if err != nil {
			t.Fatal(err)
		}
		err = m.Attach(t.Context())
		var me *fusemount.Error
		if !errors.As(err, &me) || !strings.Contains(err.Error(), want) {
			t.Errorf("Attach at %s = %v, want a fusemount.Error with %q", path, err, want)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	f := newFake(t)
	for _, cfg := range []Config{
		{Source: f},
		{Path: "/x"},
		{Path: "/x", Source: f, FileMode: 0o644},
		{Path: "/x", Source: f, DirMode: 0o4555},
		{Path: "/x", Source: f, MaxBackground: 1 << 16},
		{Path: "/x", Source: f, Name: "a,b"},
	} {
		if m, err := New(cfg); err == nil {
			t.Errorf("New(%+v) = %v, want an error", cfg, m)
		}
	}
}

func TestMountOptions(t *testing.T) {
	s := serve(t, newFake(t), func(cfg *Config) { cfg.ReadAhead = 4096 })
	table, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for line := range strings.Lines(string(table)) {
		if fields := strings.Fields(line); fields[1] == s.path {
			found++
			if fields[0] != "vitrine" || fields[2] != "fuse.vitrine" || !strings.HasPrefix(fields[3], "ro,nosuid,nodev") ||
				!strings.Contains(fields[3], "default_permissions") || strings.Contains(fields[3], "allow_other") {
				t.Errorf("mounted as %s", line)
			}
		}
	}
	if found != 1 {
		t.Errorf("there are %d mounts at %s, want 1", found, s.path)
	}
	if os.Geteuid() == 0 {
		b, err := os.ReadFile(fmt.Sprintf("/sys/class/bdi/0:%d/read_ahead_kb", s.device))
		if err != nil || strings.TrimSpace(string(b)) != "4096" {
			t.Errorf("read-ahead is %s, %v, want 4096", b, err)
		}
		connections := t.TempDir()
		if err := unix.Mount("fusectl", connections, "fusectl", 0, ""); err != nil {
			t.Fatal(err)
		}
		defer unix.Unmount(connections, 0)
		b, err = os.ReadFile(fmt.Sprintf("%s/%d/max_background", connections, s.device))
		if err != nil || strings.TrimSpace(string(b)) != "192" {
			t.Errorf("the kernel lets %s requests wait, %v, want 192", b, err)
		}
	}
}

func FuzzLookup(f *testing.F) {
	src := newFake(f)
	img := src.add(f, "a", []byte("x"), func(img *image.Image) { img.Tags = []string{"t"} })
	m, err := New(Config{Path: f.TempDir(), Source: src})
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{"", "..", "by-id", string(img.ID), "latest", "a", "\xff", "a/b", strings.Repeat("x", 300)} {
		f.Add(uint64(rootNode), s)
		f.Add(uint64(dirNode(kindName, 0, 1)), s)
		f.Add(uint64(imageNode(kindImage, 1)), s)
	}
	f.Fuzz(func(t *testing.T, dir uint64, name string) {
		a, err := m.find(context.Background(), node(dir), name)
		if err == nil && a.node == noNode {
			t.Errorf("%q in %#x is found without a node", name, dir)
		}
		if err != nil {
			if errno, _ := errnoOf(err); errno != syscall.ENOENT && errno != syscall.ENAMETOOLONG {
				t.Errorf("%q in %#x: %v", name, dir, err)
			}
		}
	})
}
