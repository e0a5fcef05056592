package testservers

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Server is a real server that runs as a child process. Stop it.
type Server struct {
	Address string // host:port, "" when it listens on none
	URL     string // http://Address
	cmd     *exec.Cmd
	log     string        // where its output goes
	done    chan struct{} // closed when it has ended
	atStop  func() error  // what remains to be done after the process has ended, or nil
}

// readyDeadline is how long a server may take to answer; Varnish compiles C code first. stopDeadline is how long it may
// take to end.
const (
	readyDeadline = time.Minute
	stopDeadline  = 30 * time.Second
)

// HTTP runs a program that serves HTTP on a free address, with the arguments that configure returns for it, and waits
// until it answers. Its log goes to dir.
func HTTP(ctx context.Context, dir, program string, configure func(address string) (args []string, err error)) (*Server, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	args, err := configure(address)
	if err != nil {
		return nil, err
	}
	s, err := start(dir, program, args...)
	if err != nil {
		return nil, err
	}
	s.Address, s.URL = address, "http://"+address
	return s.ready(ctx, func() bool {
		resp, err := http.Get(s.URL)
		if err != nil {
			return false
		}
		resp.Body.Close()
		return true
	})
}

// start runs the program in dir, with its output in the file name.log there.
func start(dir, name string, args ...string) (*Server, error) {
	path, err := Program(name)
	if err != nil {
		return nil, err
	}
	s := &Server{log: filepath.Join(dir, filepath.Base(name)+".log"), done: make(chan struct{})}
	out, err := os.Create(s.log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	s.cmd = exec.Command(path, args...)
	s.cmd.Dir = dir
	s.cmd.Stdout, s.cmd.Stderr = out, out
	// A group of its own: Ctrl-C in the terminal is for the tests, which then stop it in order. It goes with a test that
	// cannot do so any more.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		s.cmd.Wait() // its state tells how it ended
		close(s.done)
	}()
	return s, nil
}

// Pid returns the process id of the server.
func (s *Server) Pid() int { return s.cmd.Process.Pid }

// CPU returns the processor time that the server and its children have used.
func (s *Server) CPU() (time.Duration, error) { return CPU(s.Pid()) }

// CPU returns the processor time that a process and its living children have used, without that of threads that have
// ended. It is exact, where the times in /proc/PID/stat are samples that miss short bursts.
func CPU(pid int) (total time.Duration, err error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil || len(threads) == 0 {
		return 0, fmt.Errorf("process %d is gone (%w)", pid, err)
	}
	for _, thread := range threads {
		// The first field is the time on a processor in nanoseconds. Source: Linux, Documentation/scheduler/sched-stats.rst.
		stat, err := os.ReadFile(thread + "/schedstat")
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // it has just ended
		}
		if err != nil {
			return 0, err
		}
		ran, err := strconv.ParseInt(strings.Fields(string(stat))[0], 10, 64)
		if err != nil {
			return 0, err
		}
		total += time.Duration(ran)
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return 0, err
	}
	for _, child := range strings.Fields(string(children)) {
		pid, err := strconv.Atoi(child)
		if err != nil {
			return 0, err
		}
		used, err := CPU(pid)
		if err != nil {
			return 0, err
		}
		total += used
	}
	return total, nil
}

// Stop ends the server and waits until it is gone. It asks first; to have to kill it is an error. Stopping twice is none.
func (s *Server) Stop() (err error) {
	s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
	case <-time.After(stopDeadline):
		err = fmt.Errorf("%s did not end within %s and was killed", s.cmd.Path, stopDeadline)
		syscall.Kill(-s.Pid(), syscall.SIGKILL)
		<-s.done
	}
	if s.atStop != nil {
		err = errors.Join(err, s.atStop())
	}
	return err
}

// Kill ends the server at once and waits until it is gone.
func (s *Server) Kill() {
	s.cmd.Process.Kill()
	<-s.done
}

// pause keeps the server from doing anything until resume is called. It returns when all its threads stand still.
func (s *Server) pause() (resume func(), err error) {
	if err = syscall.Kill(s.Pid(), syscall.SIGSTOP); err == nil {
		err = unix.Waitid(unix.P_PID, s.Pid(), nil, unix.WSTOPPED, nil)
	}
	return s.resume, err
}

func (s *Server) resume() { syscall.Kill(s.Pid(), syscall.SIGCONT) }

// listening waits until the server takes connections on its address; if it does not, it is stopped and the error
// holds what it said.
func (s *Server) listening(ctx context.Context) (*Server, error) {
	return s.ready(ctx, func() bool {
		c, err := net.Dial("tcp", s.Address)
		if err != nil {
			return false
		}
		c.Close()
		return true
	})
}

// ready asks until the answer is yes, the server has ended, or the deadline is over.
func (s *Server) ready(ctx context.Context, ask func() bool) (*Server, error) {
	ctx, stop := context.WithTimeout(ctx, readyDeadline)
	defer stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if ask() {
			return s, nil
		}
		select {
		case <-tick.C:
			continue
		case <-s.done:
		case <-ctx.Done():
		}
		failed := ctx.Err()
		if failed == nil {
			failed = fmt.Errorf("it has ended: %v", s.cmd.ProcessState)
		}
		said, _ := os.ReadFile(s.log) // what is missing there only makes the message shorter
		return nil, errors.Join(fmt.Errorf("%s does not answer (%w); it said:\n%s", s.cmd.Path, failed, said), s.Stop())
	}
}

// freeAddress returns an address of the loopback that nobody listens on. It is none that the kernel gives to those who ask for
// any: one of them could have it before the server does.
func freeAddress() (string, error) {
	for try := 0; ; try++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000)))
		if errors.Is(err, syscall.EADDRINUSE) && try < 100 {
			continue
		}
		if err != nil {
			return "", err
		}
		defer l.Close()
		return l.Addr().String(), nil
	}
}
