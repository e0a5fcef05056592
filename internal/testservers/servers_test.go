package testservers

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func stopped(t *testing.T, s *Server) {
	t.Helper()
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
		if err := s.Stop(); err != nil {
			t.Errorf("second Stop = %v", err)
		}
	})
}

func TestNginx(t *testing.T) {
	Require(t, "nginx")
	root := t.TempDir()
	content := strings.Repeat("0123456789abcdef", 1<<20)
	if err := os.WriteFile(filepath.Join(root, "file"), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := Nginx(t.Context(), t.TempDir(), root)
	if err != nil {
		t.Fatal(err)
	}
	stopped(t, s)
	for range 8 {
		if got := get(t, s.URL+"/file"); got != content {
			t.Fatalf("nginx served %d other bytes", len(got))
		}
	}
	if used, err := s.CPU(); err != nil || used == 0 {
		t.Errorf("CPU = %v, %v, want some after 128 MiB", used, err)
	}
}

func TestVarnishCaches(t *testing.T) {
	Require(t, "varnish")
	var asked atomic.Int64
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.Header().Set("Cache-Control", "public, max-age=60")
		io.WriteString(w, "hello")
	}))
	defer backend.Close()
	s, err := Varnish(t.Context(), t.TempDir(), backend.Listener.Addr().String(), "")
	if err != nil {
		t.Fatal(err)
	}
	stopped(t, s)
	for range 3 {
		if got := get(t, s.URL+"/"); got != "hello" {
			t.Fatalf("varnish served %q", got)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("the backend was asked %d times, want once", n)
	}
}

func TestVarnishSaysWhatIsWrong(t *testing.T) {
	Require(t, "varnish")
	_, err := Varnish(t.Context(), t.TempDir(), "", "this is no VCL")
	if err == nil || !strings.Contains(err.Error(), "VCC-compiler") {
		t.Errorf("Varnish with a bad configuration = %v, want the compiler's words", err)
	}
}

func TestServersThatEndTellHow(t *testing.T) {
	for script, want := range map[string]string{"echo no disk >&2; exit 3": "exit status 3", "exit 0": "exit status 0"} {
		_, err := HTTP(t.Context(), t.TempDir(), "sh", func(string) ([]string, error) { return []string{"-c", script}, nil })
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(script, "disk") != strings.Contains(err.Error(), "no disk") {
			t.Errorf("a server that does %q = %v, want %q and what it said", script, err, want)
		}
	}
}

// TestServersGoWithTheTest starts a server in a process like this one that is killed then.
func TestServersGoWithTheTest(t *testing.T) {
	const dirVariable = "VITRINE_TEST_ORPHAN"
	if dir := os.Getenv(dirVariable); dir != "" {
		s, err := start(dir, "sleep", "600")
		if err != nil {
			t.Fatal(err)
		}
		os.Stdout.WriteString(strconv.Itoa(s.Pid()) + "\n")
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestServersGoWithTheTest$")
	cmd.Env = append(os.Environ(), dirVariable+"="+t.TempDir())
	out, _ := cmd.Output() // it was killed
	pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatalf("the other process wrote %q", out)
	}
	server, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return // it has ended
	}
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(server)
	if n, err := unix.Poll([]unix.PollFd{{Fd: int32(server), Events: unix.POLLIN}}, 10_000); n != 1 {
		t.Errorf("the server outlives the test that started it (%v)", err)
		unix.PidfdSendSignal(server, unix.SIGKILL, nil, 0)
	}
}

func TestQSD(t *testing.T) {
	Require(t, "qsd", "fuse", "root")
	image := filepath.Join(t.TempDir(), "disk,1.raw")
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	if err := os.WriteFile(image, content, 0o644); err != nil {
		t.Fatal(err)
	}
	s, file, err := QSD(t.Context(), t.TempDir(), image, "raw")
	if err != nil {
		t.Fatal(err)
	}
	stopped(t, s)
	got, err := exec.CommandContext(t.Context(), "timeout", "-s", "KILL", "20", "cat", file).Output()
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("the export gave %d other bytes (%v)", len(got), err)
	}
}

func TestQEMUNBD(t *testing.T) {
	Require(t, "qemu")
	image := filepath.Join(t.TempDir(), "disk.raw")
	if err := os.WriteFile(image, make([]byte, 1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := QEMUNBD(t.Context(), t.TempDir(), image, "raw")
	if err != nil {
		t.Fatal(err)
	}
	stopped(t, s.Server)
	defer s.Stop()
	// from gives offsets up to an end.
	from := func(off, end int64) func() (int64, bool) {
		return func() (int64, bool) {
			off += 4096
			return off - 4096, off <= end
		}
	}
	for _, depth := range []int{1, 16, 1000} {
		if n, err := s.Read(4096, depth, from(0, 1<<20)); n != 256 || err != nil {
			t.Errorf("at depth %d there were %d reads, %v, want 256", depth, n, err)
		}
	}
	if n, err := s.Read(4096, 1, from(1<<20-3*4096, 1<<30)); n != 3 || err == nil {
		t.Errorf("%d reads went over the end (%v), want 3 and an error", n, err)
	}
	if n, err := s.Read(4096, 16, from(0, 1<<20)); n != 0 || err == nil {
		t.Errorf("%d reads of one who has hung up (%v)", n, err)
	}
}

func TestOpenStackSpeaksToTheEndpoint(t *testing.T) {
	Require(t, "openstack")
	const id = "5fca6c1e-9f5a-4a4e-8b0c-0a0a0a0a0a0a"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path != "/v2/images" {
			w.WriteHeader(http.StatusMultipleChoices)
			io.WriteString(w, `{"versions":[{"id":"v2.9","status":"CURRENT","links":[{"rel":"self","href":"http://`+r.Host+`/v2/"}]}]}`)
			return
		}
		io.WriteString(w, `{"images":[{"id":"`+id+`","name":"one","status":"active"}]}`)
	}))
	defer server.Close()
	out, err := OpenStack(t.Context(), server.URL, "image", "list", "-f", "value", "-c", "ID")
	if err != nil || strings.TrimSpace(out) != id {
		t.Errorf("openstack image list = %q, %v, want %s", out, err, id)
	}
	if _, err := OpenStack(t.Context(), "http://127.0.0.1:1", "image", "list"); err == nil {
		t.Error("openstack reached an endpoint where nobody listens")
	}
}
