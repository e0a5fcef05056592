// Package testdaemon runs the real daemon as a child process of a test, so that it can be killed, restarted and given a
// mount that the test reads from outside. The child is the test binary itself: call Main from TestMain.
package testdaemon

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/client"
	"github.com/vitrine-image/vitrine/daemon"
)

const childEnv = "VITRINE_TEST_DAEMON"

// Main runs the tests, or the daemon in a child process.
func Main(m *testing.M) {
	ServeIfChild()
	os.Exit(m.Run())
}

// ServeIfChild runs the daemon or the mounter and never returns, if this process was started by Start, Launch or StartMounter;
// otherwise it does nothing. It is for a TestMain that does more than Main.
func ServeIfChild() {
	if config := os.Getenv(mounterEnv); config != "" {
		os.Exit(serveMounter(config))
	}
	if len(os.Args) > 1 && os.Args[1] == "probe-mount" { // started by the daemon in a child, which takes itself for vitrined
		if err := daemon.Command().Execute(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if path := os.Getenv(childEnv); path != "" {
		os.Exit(child(path))
	}
}

// child serves as the configuration says, and writes its addresses to descriptor 3 once everything answers.
func child(path string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ready := os.NewFile(3, "ready")
	cfg, err := daemon.Load(path)
	if err == nil {
		reread := func() (daemon.Config, error) { return daemon.Load(path) }
		err = daemon.Run(ctx, cfg, daemon.Options{Reread: reread, Ready: func(r daemon.Running) {
			for _, addr := range r.Addrs {
				fmt.Fprint(ready, addr, " ")
			}
			fmt.Fprintln(ready)
			ready.Close()
		}})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "vitrined:", err)
		return 1
	}
	return 0
}

// Config says how the daemon is to run.
type Config struct {
	Dir   string // holds the configuration, the data, the mount; an existing directory
	Data  string // data directory, "" for Dir/data
	Mount bool   // mount at Dir/mnt
	TOML  string // further configuration; sections [mount] and [api] are written already, conf.d/*.toml in Dir may change them
	Env   []string

	Mounter string              // socket of StartMounter: the mount is its, and stays when the daemon ends
	User    *syscall.Credential // whom the daemon runs as; nil is this process's user

	// Faulty says that the test breaks what the daemon stands on, so that errors of its own in the log are no failure.
	Faulty bool
}

// A Daemon is a running vitrined.
type Daemon struct {
	Endpoint string   // http://host:port
	Addrs    []string // of all listeners, the one of Endpoint first
	Mount    string   // directory, "" without a mount
	Data     string
	Client   *client.Client

	cmd    *exec.Cmd
	log    *Log
	faulty bool
	helped bool // the mount outlives the daemon
	done   chan struct{}
	err    error
}

// Start runs a daemon until the test ends, when it must stop without an error, and its log must hold none of its own.
func Start(t testing.TB, cfg Config) *Daemon {
	t.Helper()
	d, err := Launch(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the daemon's log:\n%s", d.Log())
		}
	})
	return d
}

// Launch runs a daemon and waits until it answers.
func Launch(cfg Config) (*Daemon, error) {
	d := &Daemon{Data: cfg.Data, log: new(Log), faulty: cfg.Faulty, helped: cfg.Mounter != "", done: make(chan struct{})}
	if d.Data == "" {
		d.Data = filepath.Join(cfg.Dir, "data")
	}
	config := fmt.Sprintf("data = %q\n[api]\nlisten = [\"127.0.0.1:0\"]\ndrain_timeout = \"5s\"\n", d.Data)
	if cfg.Mount {
		d.Mount = filepath.Join(cfg.Dir, "mnt")
		config += fmt.Sprintf("[mount]\npath = %q\nhelper = %q\nrequired = true\n", d.Mount, cfg.Mounter)
	}
	path := filepath.Join(cfg.Dir, "vitrined.toml")
	if err := os.WriteFile(path, []byte(config+cfg.TOML), 0o644); err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	d.cmd = exec.Command("/proc/self/exe") // another user may not reach the directory of the tests
	d.cmd.Env = append(append(os.Environ(), childEnv+"="+path, "GORACE=atexit_sleep_ms=0"), cfg.Env...)
	d.cmd.Stdout, d.cmd.Stderr = d.log, d.log
	d.cmd.ExtraFiles = []*os.File{w}
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Credential: cfg.User}
	err = d.cmd.Start()
	w.Close()
	if err != nil {
		return nil, err
	}
	go func() {
		d.err = d.cmd.Wait()
		close(d.done)
	}()
	line, err := bufio.NewReader(r).ReadString('\n') // ends with the child at the latest
	if err != nil {
		<-d.done
		return nil, fmt.Errorf("the daemon did not start (%v):\n%s", d.err, d.Log())
	}
	d.Addrs = strings.Fields(line)
	d.Endpoint = "http://" + d.Addrs[0]
	d.Client, err = client.New(client.Config{Endpoint: d.Endpoint, Retries: -1})
	return d, err
}

// Pid returns the process id of the daemon.
func (d *Daemon) Pid() int { return d.cmd.Process.Pid }

// Log returns what the daemon has written so far.
func (d *Daemon) Log() string { return d.log.String() }

// Done is closed when the daemon has ended.
func (d *Daemon) Done() <-chan struct{} { return d.done }

// Kill ends the daemon as a crash would, and detaches the mount that it leaves behind. It returns an error when the log
// holds what it must not.
func (d *Daemon) Kill() error {
	d.cmd.Process.Kill()
	<-d.done
	d.Client.Close()
	if d.Mount != "" && !d.helped {
		syscall.Unmount(d.Mount, syscall.MNT_DETACH)
	}
	return d.problem()
}

// problem returns what the log holds and must not.
func (d *Daemon) problem() error {
	if d.faulty {
		return nil
	}
	return d.log.Problem()
}

// stopTimeout is more than a daemon needs to end.
const stopTimeout = time.Minute

// Stop ends the daemon in order. It returns an error when that takes too long or does not end well, or when the log holds
// what it must not; a daemon that has ended before is no error.
func (d *Daemon) Stop() error {
	select {
	case <-d.done:
		return d.problem()
	default:
	}
	d.Client.Close()
	d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.done:
	case <-time.After(stopTimeout):
		d.cmd.Process.Signal(syscall.SIGQUIT) // the log then shows where it hangs
		<-d.done
		return fmt.Errorf("the daemon did not stop within %s", stopTimeout)
	}
	if d.err != nil {
		return errors.Join(fmt.Errorf("the daemon ended badly: %w", d.err), d.problem())
	}
	return d.problem()
}
