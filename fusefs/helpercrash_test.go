package fusefs

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vitrine-image/vitrine/mounter"
)

const mounterEnv = "FUSEFS_TEST_MOUNTER"

// mounterMain is a mounter in a child, which is this test binary again.
func mounterMain(config string) {
	var cfg mounter.Config
	err := json.Unmarshal([]byte(config), &cfg)
	cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	again := make(chan os.Signal, 1)
	signal.Notify(again, syscall.SIGHUP)
	var s *mounter.Server
	if err == nil {
		s, err = mounter.New(cfg)
	}
	if err == nil {
		go func() {
			<-again
			fmt.Fprintln(os.Stderr, s.Exec("/proc/self/exe"))
		}()
		err = s.Run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// A supervisor starts a mounter, and keeps descriptors for it as systemd does. Source: sd_notify(3).
type supervisor struct {
	t      *testing.T
	config string
	conn   *net.UnixConn
	ready  chan struct{}
	cmd    *exec.Cmd

	mu     sync.Mutex
	stored map[string]*os.File
}

func newSupervisor(t *testing.T, cfg mounter.Config) *supervisor {
	t.Helper()
	path := cfg.Socket + ".notify"
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	v := &supervisor{t: t, config: string(b), conn: conn, ready: make(chan struct{}, 8), stored: make(map[string]*os.File)}
	var listening sync.WaitGroup
	listening.Go(v.listen)
	t.Cleanup(func() {
		v.end(syscall.SIGTERM)
		conn.Close()
		listening.Wait()
		for name, f := range v.stored {
			t.Errorf("%s is stored still", name)
			f.Close()
		}
	})
	v.start()
	return v
}

// listen keeps what it is given, and forgets it when it is told.
func (v *supervisor) listen() {
	b, control := make([]byte, 4096), make([]byte, 256)
	for {
		n, cn, _, _, err := v.conn.ReadMsgUnix(b, control)
		if err != nil {
			return
		}
		state := string(b[:n])
		_, name, _ := strings.Cut(state, "FDNAME=")
		v.mu.Lock()
		switch {
		case strings.HasPrefix(state, "READY=1"):
			v.ready <- struct{}{}
		case strings.HasPrefix(state, "FDSTOREREMOVE=1"):
			if f := v.stored[name]; f != nil {
				f.Close()
				delete(v.stored, name)
			}
		case strings.HasPrefix(state, "FDSTORE=1"):
			messages, _ := unix.ParseSocketControlMessage(control[:cn])
			for _, m := range messages {
				fds, _ := unix.ParseUnixRights(&m)
				for _, fd := range fds {
					v.stored[name] = os.NewFile(uintptr(fd), name)
				}
			}
		}
		v.mu.Unlock()
	}
}

// start runs a mounter with what is stored, and waits until it is ready.
func (v *supervisor) start() {
	v.t.Helper()
	self, err := os.Executable()
	if err != nil {
		v.t.Fatal(err)
	}
	v.cmd = exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0"`, self)
	v.mu.Lock()
	var names []string
	for name, f := range v.stored {
		names = append(names, name)
		v.cmd.ExtraFiles = append(v.cmd.ExtraFiles, f)
	}
	v.cmd.Env = append(os.Environ(), mounterEnv+"="+v.config, "NOTIFY_SOCKET="+v.conn.LocalAddr().String(), "GORACE=atexit_sleep_ms=0",
		fmt.Sprintf("LISTEN_FDS=%d", len(names)), "LISTEN_FDNAMES="+strings.Join(names, ":"))
	v.cmd.Stderr = v.t.Output()
	err = v.cmd.Start()
	v.mu.Unlock()
	if err != nil {
		v.t.Fatal(err)
	}
	v.waitReady()
}

func (v *supervisor) waitReady() {
	v.t.Helper()
	select {
	case <-v.ready:
	case <-time.After(childPatience):
		v.t.Fatal("the mounter does not get ready")
	}
}

func (v *supervisor) end(sig syscall.Signal) {
	v.cmd.Process.Signal(sig)
	v.cmd.Wait()
}

// TestHelperComesBack kills the helper, and lets it replace itself, while a daemon serves: the mount stays, and outlives that daemon, too.
func TestHelperComesBack(t *testing.T) {
	for name, again := range map[string]func(*supervisor){
		"killed":   func(v *supervisor) { v.end(syscall.SIGKILL); v.start() },
		"replaced": func(v *supervisor) { v.cmd.Process.Signal(syscall.SIGHUP); v.waitReady() },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStandAlone(t)
			v := newSupervisor(t, mounter.Config{Path: s.path, Socket: s.dir + ".sock"})
			d, c := s.daemon(nil, false), startChild(t)
			fd := int(c.ok(request{Op: "open", Path: s.file(remoteImage), Flags: unix.O_DIRECT}).N)
			for i := range 2 {
				again(v)
				off := int64(i+1) << 16
				if got := c.read(fd, off); got != string(s.data[remoteImage][off:off+4096]) {
					t.Error("while the helper comes back the file reads wrong")
				}
				d.kill()
				d = s.daemon(nil, false)
				if got := c.read(fd, 2*off); got != string(s.data[remoteImage][2*off:2*off+4096]) {
					t.Error("after the helper came back the next daemon reads wrong")
				}
				s.wantOpen(d, 1, map[int64]int{remoteImage: 1})
			}
			c.close(fd)
			d.ok(request{Op: "unserve"})
		})
	}
}
