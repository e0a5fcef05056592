package daemon

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// selfTest returns what tells whether the daemon works: the database answers, and, until serving ends, so does the mount. What is not on
// this machine does not count; nothing would be better after a restart.
func (d *daemon) selfTest(serving context.Context, mounted bool) func(context.Context) error {
	probe := newMountProbe(d.cfg.Mount.Path)
	return func(ctx context.Context) error {
		if err := d.service.CheckReady(ctx); err != nil {
			return err
		}
		if !mounted || serving.Err() != nil { // the mount is about to wait for the daemon after this one
			return nil
		}
		return probe.ask(ctx)
	}
}

// status is the line that systemctl shows.
func (d *daemon) status(mounted bool) string {
	if mounted {
		return "Serving the API, and images at " + d.cfg.Mount.Path
	}
	return "Serving the API"
}

// A mountProbe finds out whether a mount answers. This process must not touch its own mount, on which it might wait for
// itself: a child does, and if the mount hangs the child does so, too, until the mount is served again, or ended. So there is
// one at most.
type mountProbe struct {
	path string
	busy chan struct{}                                // holds something while a child is under way
	run  func(ctx context.Context, path string) error // probeByChild
}

func newMountProbe(path string) *mountProbe {
	return &mountProbe{path: path, busy: make(chan struct{}, 1), run: probeByChild}
}

// ask returns why the mount does not answer. It does not wait for a child when ctx ends.
func (p *mountProbe) ask(ctx context.Context) error {
	select {
	case p.busy <- struct{}{}:
	default:
		return errors.New("the mount has not answered what it was asked last")
	}
	answer := make(chan error, 1)
	go func() {
		defer func() { <-p.busy }()
		answer <- p.run(ctx, p.path)
	}()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return fmt.Errorf("the mount does not answer: %w", ctx.Err())
	}
}

// probeByChild runs the command of probeCommand. It returns when the child has ended, which may be long after ctx.
func probeByChild(ctx context.Context, path string) error {
	runtime.LockOSThread() // whose end would kill the child
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, "/proc/self/exe", probeUse, path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("ask the mount: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// probeUse is the name of the command; testdaemon knows it, too.
const probeUse = "probe-mount"

// probeCommand is what the daemon runs as a child to find out whether its mount answers.
func probeCommand() *cobra.Command {
	return &cobra.Command{Use: probeUse + " DIRECTORY", Short: "Ask a mount for a file that it does not have", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return probeMount(args[0]) }}
}

// probeMount asks for a name that nobody has asked for, so that the kernel cannot know the answer.
func probeMount(path string) error {
	var stat unix.Stat_t
	err := unix.Lstat(filepath.Join(path, "by-id", rand.Text()), &stat)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return &os.PathError{Op: "lstat", Path: path, Err: err}
}
