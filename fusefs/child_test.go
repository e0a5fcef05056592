package fusefs

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sort"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// The process that serves a mount must never touch it: a lookup that waits for oneself waits for ever, in a state that
// no signal ends. So everything below a mount is done by a child, which is this test binary again.

const childEnv = "FUSEFS_TEST_CHILD"

func TestMain(m *testing.M) {
	if config := os.Getenv(mounterEnv); config != "" {
		mounterMain(config)
		return
	}
	if os.Getenv(childEnv) != "" {
		childMain()
		return
	}
	goleak.VerifyTestMain(m)
}

// A request is one system call (or a few) that the child makes; an answer is what came of it.
type request struct {
	Op     string
	Path   string
	Path2  string
	FD     int
	Offset int64
	Size   int
	Flags  int
}

type answer struct {
	Errno  syscall.Errno
	N      int64
	Data   []byte
	Names  []string
	Inos   []uint64
	Stat   unix.Stat_t
	Statfs unix.Statfs_t
}

// A child runs requests, one after the other.
type child struct {
	t   testing.TB
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// childPatience bounds every request: one that takes longer hangs.
const childPatience = 20 * time.Second

func startChild(t testing.TB) *child {
	t.Helper()
	return startChildAs(t, nil, os.Stderr)
}

// startChildAs starts a child that runs as another user, nil for the same, and writes its log to stderr.
func startChildAs(t testing.TB, user *syscall.Credential, stderr io.Writer) *child {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), childEnv+"=1", "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: user}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &child{t: t, cmd: cmd, in: in, out: bufio.NewReader(out)}
	t.Cleanup(c.stop)
	return c
}

// stop ends the child, whatever it is doing.
func (c *child) stop() {
	if c.cmd == nil {
		return
	}
	c.in.Close()
	kill := time.AfterFunc(childPatience, func() { c.cmd.Process.Kill() })
	c.cmd.Wait()
	kill.Stop()
	c.cmd = nil
}

// do runs a request; its errno is in the answer.
func (c *child) do(r request) answer {
	c.t.Helper()
	a, err := c.send(r)()
	if err != nil {
		c.t.Fatalf("%s %s: the child did not answer: %v", r.Op, r.Path, err)
	}
	return a
}

// send starts a request; the returned func waits for its answer.
func (c *child) send(r request) func() (answer, error) {
	line, err := json.Marshal(r)
	if err == nil {
		_, err = c.in.Write(append(line, '\n'))
	}
	return func() (a answer, _ error) {
		if err != nil {
			return a, err
		}
		kill := time.AfterFunc(childPatience, func() { c.cmd.Process.Kill() })
		defer kill.Stop()
		line, err := c.out.ReadBytes('\n')
		if err != nil {
			return a, err
		}
		return a, json.Unmarshal(line, &a)
	}
}

// ok is do for what must succeed.
func (c *child) ok(r request) answer {
	c.t.Helper()
	a := c.do(r)
	if a.Errno != 0 {
		c.t.Fatalf("%s %s: %v", r.Op, r.Path, a.Errno)
	}
	return a
}

func (c *child) stat(path string) answer { c.t.Helper(); return c.do(request{Op: "lstat", Path: path}) }
func (c *child) names(path string) []string {
	c.t.Helper()
	return c.ok(request{Op: "list", Path: path}).Names
}
func (c *child) content(path string) string {
	c.t.Helper()
	return string(c.ok(request{Op: "cat", Path: path}).Data)
}
func (c *child) link(path string) string {
	c.t.Helper()
	return string(c.ok(request{Op: "readlink", Path: path}).Data)
}
func (c *child) open(path string) int {
	c.t.Helper()
	return int(c.ok(request{Op: "open", Path: path}).N)
}
func (c *child) read(fd int, off int64) string {
	c.t.Helper()
	return string(c.ok(request{Op: "pread", FD: fd, Offset: off, Size: 4096}).Data)
}
func (c *child) close(fd int) { c.t.Helper(); c.ok(request{Op: "close", FD: fd}) }

func childMain() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		var r request
		if err := json.Unmarshal(in.Bytes(), &r); err != nil {
			fmt.Fprintln(os.Stderr, "child:", err)
			os.Exit(1)
		}
		var a answer
		if err := perform(r, &a); err != nil {
			errno, ok := err.(syscall.Errno)
			if !ok {
				fmt.Fprintln(os.Stderr, "child:", r.Op, err)
				os.Exit(1)
			}
			a.Errno = errno
		}
		line, _ := json.Marshal(a)
		os.Stdout.Write(append(line, '\n'))
	}
}

// perform makes the system calls of a request. Errors are errnos.
func perform(r request, a *answer) (err error) {
	switch r.Op {
	case "lstat":
		return unix.Lstat(r.Path, &a.Stat)
	case "fstat":
		return unix.Fstat(r.FD, &a.Stat)
	case "statfs":
		return unix.Statfs(r.Path, &a.Statfs)
	case "readlink":
		buf := make([]byte, 4096)
		n, err := unix.Readlink(r.Path, buf)
		a.Data = buf[:max(n, 0)]
		return err
	case "open":
		fd, err := unix.Open(r.Path, r.Flags|unix.O_CLOEXEC, 0o600)
		a.N = int64(fd)
		return err
	case "close":
		return unix.Close(r.FD)
	case "pread":
		buf := aligned(r.Size)
		n, err := unix.Pread(r.FD, buf, r.Offset)
		a.Data = buf[:max(n, 0)]
		return err
	case "seek":
		a.N, err = unix.Seek(r.FD, r.Offset, r.Flags)
		return err
	case "mmap":
		return withMapped(r.FD, r.Size, func(b []byte) { a.Data = append(a.Data, hash(b)...) })
	case "mmap-shared-write":
		_, err := unix.Mmap(r.FD, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		return err
	case "hash":
		return hashFile(r, a)
	case "cat":
		return cat(r.Path, a)
	case "list":
		return list(r, a)
	case "serve":
		return serveHere(r.Path, r.Path2, r.Flags != 0)
	case "unserve":
		return unserve()
	case "take":
		return takeHere(r)
	case "remove":
		serving.source.set(r.Offset, nil)
		return nil
	case "in use":
		a.N, a.Data = inUseHere()
		return nil
	case "hammer":
		return hammer(r)
	case "hammered":
		a.Data = hammered()
		return nil
	case "chdir":
		return unix.Chdir(r.Path)
	}
	return performWrite(r)
}

// performWrite tries what a read-only mount refuses.
func performWrite(r request) error {
	switch r.Op {
	case "mkdir":
		return unix.Mkdir(r.Path, 0o700)
	case "rmdir":
		return unix.Rmdir(r.Path)
	case "unlink":
		return unix.Unlink(r.Path)
	case "rename":
		return unix.Rename(r.Path, r.Path2)
	case "link":
		return unix.Link(r.Path, r.Path2)
	case "symlink":
		return unix.Symlink("x", r.Path)
	case "mknod":
		return unix.Mknod(r.Path, unix.S_IFREG|0o600, 0)
	case "chmod":
		return unix.Chmod(r.Path, 0o600)
	case "chown":
		return unix.Lchown(r.Path, 1, 1)
	case "truncate":
		return unix.Truncate(r.Path, 0)
	case "utimes":
		return unix.UtimesNanoAt(unix.AT_FDCWD, r.Path, []unix.Timespec{{}, {}}, 0)
	case "setxattr":
		return unix.Setxattr(r.Path, "user.x", []byte("y"), 0)
	case "removexattr":
		return unix.Removexattr(r.Path, "user.x")
	case "getxattr":
		_, err := unix.Getxattr(r.Path, "user.x", nil)
		return err
	case "write":
		_, err := unix.Write(r.FD, []byte("x"))
		return err
	case "fallocate":
		return unix.Fallocate(r.FD, 0, 0, 4096)
	}
	return fmt.Errorf("unknown operation")
}

// aligned returns a buffer that O_DIRECT takes.
func aligned(size int) []byte {
	buf := make([]byte, size+4096)
	shift := 4096 - int(uintptr(unsafe.Pointer(&buf[0]))%4096)
	return buf[shift : shift+size]
}

func withMapped(fd, size int, use func([]byte)) error {
	b, err := unix.Mmap(fd, 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	use(b)
	return unix.Munmap(b)
}

func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// hashFile reads a file in blocks of Size with open flags Flags.
func hashFile(r request, a *answer) error {
	fd, err := unix.Open(r.Path, r.Flags|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	h, buf := sha256.New(), aligned(r.Size)
	for {
		n, err := unix.Read(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		if n == 0 {
			a.Data = []byte(hex.EncodeToString(h.Sum(nil)))
			return nil
		}
		h.Write(buf[:n])
		a.N += int64(n)
	}
}

func cat(path string, a *answer) error {
	fd, err := unix.Open(path, unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	buf := make([]byte, 64<<10)
	for {
		n, err := unix.Read(fd, buf)
		if err != nil || n == 0 {
			return err
		}
		a.Data = append(a.Data, buf[:n]...)
	}
}

// list reads a directory, with . and .., in buffers of Size bytes; Offset and a Size below 0 make it stop after one.
func list(r request, a *answer) error {
	fd, err := unix.Open(r.Path, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	buf := make([]byte, max(r.Size, 32<<10))
	if r.Size > 0 {
		buf = buf[:r.Size]
	}
	for {
		n, err := unix.Getdents(fd, buf)
		if err != nil || n == 0 {
			sort.Strings(a.Names)
			return err
		}
		for b := buf[:n]; len(b) > 0; {
			d := (*unix.Dirent)(unsafe.Pointer(&b[0]))
			name := b[19:d.Reclen]
			for i, c := range name {
				if c == 0 {
					name = name[:i]
					break
				}
			}
			if s := string(name); s != "." && s != ".." {
				a.Names = append(a.Names, s)
			}
			a.Inos = append(a.Inos, d.Ino)
			b = b[d.Reclen:]
		}
	}
}
