package daemon_test

import (
	"bytes"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/internal/testdaemon"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// A supervisor listens to what a daemon says of itself, as systemd does.
type supervisor struct {
	t    *testing.T
	conn *net.UnixConn
	path string
}

func newSupervisor(t *testing.T) *supervisor {
	dir, err := os.MkdirTemp("", "notify") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &supervisor{t: t, path: filepath.Join(dir, "socket")}
	if s.conn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: s.path, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.conn.Close() })
	return s
}

// expect waits for a message with the line, and returns the lines of it and of those before.
func (s *supervisor) expect(line string) (heard []string) {
	s.t.Helper()
	s.conn.SetReadDeadline(time.Now().Add(time.Minute))
	buf := make([]byte, 4096)
	for {
		n, err := s.conn.Read(buf)
		if err != nil {
			s.t.Fatalf("systemd was not told %s, but %q: %v", line, heard, err)
		}
		lines := strings.Split(string(bytes.TrimSpace(buf[:n])), "\n")
		heard = append(heard, lines...)
		for _, l := range lines {
			if l == line {
				return heard
			}
		}
	}
}

// TestSystemdIsTold listens to a daemon from its start to its end: with the mount in the self-test that feeds the watchdog.
func TestSystemdIsTold(t *testing.T) {
	testservers.Require(t, "fuse")
	s := newSupervisor(t)
	dir := t.TempDir()
	d := testdaemon.Start(t, testdaemon.Config{Dir: dir, Mount: true, Env: []string{"NOTIFY_SOCKET=" + s.path, "WATCHDOG_USEC=6000000"}})
	if heard := strings.Join(s.expect("READY=1"), " "); !strings.Contains(heard, "STATUS=Serving the API, and images at "+d.Mount) {
		t.Errorf("the status at the start is %q", heard)
	}
	s.expect("WATCHDOG=1")
	s.expect("WATCHDOG=1")

	conf := filepath.Join(dir, "conf.d")
	if err := os.Mkdir(conf, 0o755); err != nil {
		t.Fatal(err)
	}
	reload := func(config string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(conf, "change.toml"), []byte(config), 0o644); err != nil {
			t.Fatal(err)
		}
		syscall.Kill(d.Pid(), syscall.SIGHUP)
		if heard := s.expect("RELOADING=1"); !strings.HasPrefix(heard[len(heard)-1], "MONOTONIC_USEC=") {
			t.Errorf("with RELOADING=1 came %q, not when that was", heard)
		}
		s.expect("READY=1")
	}
	get := func() int {
		t.Helper()
		r, err := http.Get(d.Endpoint + "/v2/images")
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		return r.StatusCode
	}
	reload("[limits]\nrequests_per_second = 1\nrequest_burst = 1\n[images]\nsize_cap = \"1GiB\"\n")
	if first, second := get(), get(); first != 200 || second != 429 {
		t.Errorf("with one request a second two are answered %d and %d, want 200 and 429", first, second)
	}
	waitForLog(t, d, `"applied":["limits.request_burst","limits.requests_per_second"]`)
	waitForLog(t, d, `"keys":["images.size_cap"]`)
	reload("[log]\nlevel = \"debug\"\n")
	get()
	waitForLog(t, d, `"level":"DEBUG"`)

	syscall.Kill(d.Pid(), syscall.SIGTERM)
	s.expect("STOPPING=1")
}

// TestReloadOfNonsense changes nothing.
func TestReloadOfNonsense(t *testing.T) {
	dir := t.TempDir()
	s := newSupervisor(t)
	d := testdaemon.Start(t, testdaemon.Config{Dir: dir, Faulty: true, Env: []string{"NOTIFY_SOCKET=" + s.path}})
	s.expect("READY=1")
	if err := os.WriteFile(filepath.Join(dir, "vitrined.toml"), []byte("nonsense = true\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	syscall.Kill(d.Pid(), syscall.SIGHUP)
	s.expect("RELOADING=1")
	s.expect("READY=1")
	waitForLog(t, d, "unknown key nonsense")
	if r, err := http.Get(d.Endpoint + "/v2/images"); err != nil || r.StatusCode != http.StatusOK {
		t.Errorf("after a reload that failed: %v, %v", r, err)
	}
}
