// Package crashfs is a file system that forgets, for tests of durability. It lies under a program's data directory as
// a FUSE mount, knows for each file and each directory what was made durable by fsync and what was not, and on command
// cuts the power: what was not synced is dropped, torn or scattered, and the survivors can be written to a plain
// directory in which the program is started again. Killing a process proves nothing of the kind, since the page cache
// outlives it.
//
// It promises what POSIX does and no more: fsync of a file keeps its bytes but not its name, fsync of a directory the
// names in it. It runs as a process of its own, which is the test's binary started once more, so TestMain begins with
// ServeIfChild:
//
//	func TestMain(m *testing.M) {
//		crashfs.ServeIfChild()
//		os.Exit(m.Run())
//	}
//
// Start reading at Start; durable.go holds the rules and power.go what a cut leaves.
package crashfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/rpc"
	"os"
	"os/exec"
	"time"
)

// Config says what is mounted.
type Config struct {
	Mount string // existing directory
	From  string // plain directory whose files are there from the start, durably; "" for none
	// Lying makes fsync do nothing, as a disk does that says it has written what it has not. A test that survives on
	// such a disk proves nothing.
	Lying bool
}

// An FS is a mounted crashfs. Close it.
type FS struct {
	client *rpc.Client
	cmd    *exec.Cmd
	exited chan error
}

const childVariable = "VITRINE_CRASHFS_CHILD"

// Start mounts a crashfs in a child process.
func Start(cfg Config) (*FS, error) {
	if os.Getenv(childVariable) != "" {
		return nil, errors.New("crashfs: TestMain does not call ServeIfChild")
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	f := &FS{cmd: exec.Command(self), exited: make(chan error, 1)}
	// The race detector's second of waiting at exit would be most of a short test.
	f.cmd.Env = append(os.Environ(), childVariable+"=1", "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	f.cmd.Stderr = os.Stderr
	in, err := f.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	// Not StdoutPipe: Wait would close it while the client still reads.
	out, childOut, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	f.cmd.Stdout = childOut
	err = f.cmd.Start()
	childOut.Close()
	if err != nil {
		out.Close()
		return nil, err
	}
	go func() { f.exited <- f.cmd.Wait() }()
	f.client = rpc.NewClient(pipe{out, in})
	if err := f.call("Mount", cfg, nil); err != nil {
		return nil, errors.Join(fmt.Errorf("crashfs: mount at %s: %w", cfg.Mount, err), f.Close())
	}
	return f, nil
}

// Arm plans a power cut.
func (f *FS) Arm(c Cut) error { return f.call("Arm", c, nil) }

// Cut takes the power away now, unless it is off already.
func (f *FS) Cut(mode Mode, seed uint64) error {
	return f.call("Cut", Cut{Mode: mode, Seed: seed}, nil)
}

// Wait returns when the power is off.
func (f *FS) Wait(ctx context.Context) error {
	call := f.client.Go("Crashfs.Wait", struct{}{}, nil, make(chan *rpc.Call, 1))
	select {
	case <-call.Done:
		return call.Error
	case <-ctx.Done():
		return fmt.Errorf("wait for the power cut: %w", ctx.Err())
	}
}

// Counts tells how far the file system has come.
func (f *FS) Counts() (counts Counts, err error) {
	err = f.call("Counts", struct{}{}, &counts)
	return counts, err
}

// Steps returns the path of what each durable step made durable, the one that the power cut prevented included.
func (f *FS) Steps() (paths []string, err error) {
	err = f.call("Steps", struct{}{}, &paths)
	return paths, err
}

// Survivors writes what the power cut left into an empty plain directory.
func (f *FS) Survivors(dir string) error { return f.call("Survivors", dir, nil) }

// Close unmounts, even while files are open, and ends the child.
func (f *FS) Close() error {
	f.client.Close() // the child unmounts when its input ends
	select {
	case err := <-f.exited:
		return err
	case <-time.After(20 * time.Second):
		f.cmd.Process.Kill()
		return errors.Join(errors.New("crashfs: the child did not unmount and was killed"), <-f.exited)
	}
}

func (f *FS) call(method string, args, reply any) error {
	if reply == nil {
		reply = new(struct{})
	}
	return f.client.Call("Crashfs."+method, args, reply)
}

type pipe struct {
	io.ReadCloser
	out io.WriteCloser
}

func (p pipe) Write(b []byte) (int, error) { return p.out.Write(b) }
func (p pipe) Close() error                { return errors.Join(p.out.Close(), p.ReadCloser.Close()) }
