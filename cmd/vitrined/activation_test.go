package main

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// given starts the daemon with a listener on the address, handed over under the name as systemd does it.
func given(t *testing.T, ip net.IP, name string, args ...string) (addr string, cmd *exec.Cmd, out *strings.Builder) {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: ip})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	args = append([]string{"-c", `export LISTEN_PID=$$; exec vitrined "$@"`, "sh", "--config", os.DevNull, "--data", t.TempDir()}, args...)
	cmd = exec.Command("sh", args...)
	cmd.Env = append(os.Environ(), "LISTEN_FDS=1", "LISTEN_FDNAMES="+name)
	cmd.ExtraFiles = []*os.File{f}
	out = new(strings.Builder)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return l.Addr().String(), cmd, out
}

// TestSocketActivation connects before the daemon runs: the socket is there already, and takes the place of the address that
// the configuration names.
func TestSocketActivation(t *testing.T) {
	addr, cmd, out := given(t, net.IPv4(127, 0, 0, 1), "api", "--listen", "127.0.0.1:1")
	r, err := http.Get("http://" + addr + "/healthcheck")
	cmd.Process.Signal(syscall.SIGTERM)
	if ended := cmd.Wait(); err != nil || r.StatusCode != http.StatusOK || ended != nil {
		t.Fatalf("over the socket that was handed over: %v, %v; the daemon: %v\n%s", r, err, ended, out)
	}
}

// TestSocketsThatAreNotTaken hands over sockets that would serve everybody, or that have no meaning.
func TestSocketsThatAreNotTaken(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		ip         net.IP
	}{
		{"api", "can be reached from the network", net.IPv4zero},
		{"other", "its name is neither api nor api-tls", net.IPv4(127, 0, 0, 1)},
		{"api-tls", "set api.listen_tls as well", net.IPv4(127, 0, 0, 1)},
	} {
		addr, cmd, out := given(t, tt.ip, tt.name)
		if err := cmd.Wait(); err == nil || !strings.Contains(out.String(), tt.want) {
			t.Errorf("a socket %s on %s: %v, want an error with %q\n%s", tt.name, addr, err, tt.want, out)
		}
	}
}
