package qemuimg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// findUser returns whom a child is to be, nil for this process's own user.
func findUser(name string) (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		if name != "" {
			return nil, fmt.Errorf("qemuimg: only root can run qemu-img as %s", name)
		}
		return nil, nil
	}
	wanted := name
	if name == "" {
		wanted = "nobody"
	}
	u, err := user.Lookup(wanted)
	if err != nil {
		if name == "" {
			return nil, nil
		}
		return nil, fmt.Errorf("qemuimg: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// runJailed runs a program under prlimit, without the environment, and without a network where that can be had. It returns the
// beginning of what the program complained of.
func (c *Converter) runJailed(ctx context.Context, args []string, files ...*os.File) (complaint string, err error) {
	runtime.LockOSThread() // whose end would kill the child
	defer runtime.UnlockOSThread()
	var said bytes.Buffer
	start := func(flags uintptr) (*exec.Cmd, error) {
		cmd := exec.CommandContext(ctx, "prlimit", args...)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "MALLOC_ARENA_MAX=1"} // else each thread reserves 64 MiB of address space
		cmd.Dir = "/"
		cmd.Stderr = &limitedBuffer{&said}
		cmd.ExtraFiles = files
		cmd.WaitDelay = 5 * time.Second
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true, Cloneflags: flags, Credential: c.owner}
		if flags&syscall.CLONE_NEWUSER != 0 {
			cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getuid(), HostID: os.Getuid(), Size: 1}}
			cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}}
		}
		cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
		return cmd, cmd.Start()
	}
	flags := uintptr(syscall.CLONE_NEWNET)
	if os.Getuid() != 0 {
		flags |= syscall.CLONE_NEWUSER
	}
	cmd, err := start(flags)
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOSPC) {
		c.cfg.Logger.WarnContext(ctx, "qemu-img runs with the network of the daemon, since this kernel gives it no other", "error", err)
		cmd, err = start(0)
	}
	if err == nil {
		err = cmd.Wait()
	}
	return strings.TrimSpace(said.String()), err
}

// limitedBuffer keeps the beginning of what is written.
type limitedBuffer struct{ buf *bytes.Buffer }

func (b *limitedBuffer) Write(p []byte) (int, error) {
	b.buf.Write(p[:min(len(p), max(0, 4096-b.buf.Len()))])
	return len(p), nil
}
