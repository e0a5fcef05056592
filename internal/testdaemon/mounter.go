package testdaemon

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/internal/fusemount"
	"github.com/vitrine-image/vitrine/mounter"
)

const mounterEnv = "VITRINE_TEST_MOUNTER"

// StartMounter runs a mounter, in a child process, for the daemons with Config.Dir dir until the test ends, and returns its
// socket for Config.Mounter. UID and AbortAfter may be set in cfg. Should the test hang, the mount is ended after the time that
// watchdog gives: who touches it would hang for ever.
func StartMounter(t testing.TB, dir string, cfg mounter.Config, watchdog time.Duration) (socket string) {
	t.Helper()
	cfg.Path, cfg.Socket = filepath.Join(dir, "mnt"), filepath.Join(dir, "mounter.sock")
	b, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	out := new(Log)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), mounterEnv+"="+string(b), "GORACE=atexit_sleep_ms=0")
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = out, out, []*os.File{w}
	err = cmd.Start()
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	bark := time.AfterFunc(watchdog, func() {
		if top, found, _ := fusemount.Top(cfg.Path, "fuse.vitrine"); found {
			fusemount.Abort(top.Minor)
		}
	})
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		if err := <-ended; err != nil {
			t.Errorf("the mounter ended with %v", err)
		}
		if !bark.Stop() {
			t.Errorf("the mount was ended after %s", watchdog)
		}
		if t.Failed() {
			t.Logf("the mounter's log:\n%s", out)
		}
	})
	if n, err := r.Read(make([]byte, 1)); n != 1 {
		t.Fatalf("the mounter did not start (%v):\n%s", err, out)
	}
	return cfg.Socket
}

// serveMounter is the child of StartMounter. It writes a byte to descriptor 3 once it listens.
func serveMounter(config string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	cfg := mounter.Config{}
	err := json.Unmarshal([]byte(config), &cfg)
	if err == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
		var s *mounter.Server
		if s, err = mounter.New(cfg); err == nil {
			ready := os.NewFile(3, "ready")
			ready.Write([]byte("x"))
			ready.Close()
			err = s.Run(ctx)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "vitrine-mounter:", err)
		return 1
	}
	return 0
}
