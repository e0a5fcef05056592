package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// openTerminal returns both ends of a terminal of 100 columns.
func openTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { person.Close() })
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(int(program.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 100}); err != nil {
		t.Fatal(err)
	}
	return person, program
}

// TestProgressOnATerminal saves an image whose second half comes only when the person has seen the first.
func TestProgressOnATerminal(t *testing.T) {
	const size = 8 << 20
	seen := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/file") {
			fmt.Fprintf(w, `{"id":"11111111-1111-1111-1111-111111111111","status":"active","size":%d}`, size)
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(size))
		w.Write(make([]byte, size/2))
		w.(http.Flusher).Flush()
		<-seen
		w.Write(make([]byte, size/2))
	}))
	defer srv.Close()
	person, program := openTerminal(t)
	out := filepath.Join(t.TempDir(), "out")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second) // a bar that never comes
	defer cancel()
	cmd := exec.CommandContext(ctx, "vitrine", "--endpoint", srv.URL, "image", "save", "--file", out, "11111111-1111-1111-1111-111111111111")
	cmd.Env = append(os.Environ(), "TERM=xterm")
	cmd.Stderr = program
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	program.Close()

	half := regexp.MustCompile(`saving +50% \|█+ +\| \(4\.0/8\.0 MiB, [0-9.]+ [KMG]iB/s\) \[\d+s:\d+s\]`)
	var text strings.Builder
	r := bufio.NewReader(person)
	for told := false; ; {
		b, err := r.ReadByte() // EIO once the program has ended
		if err != nil {
			break
		}
		text.WriteByte(b)
		if !told && half.MatchString(text.String()) {
			close(seen)
			told = true
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("save: %v", err)
	}
	screen := text.String()
	if !half.MatchString(screen) {
		t.Errorf("the screen shows no bar with rate and remaining time: %q", screen)
	}
	if !strings.Contains(screen, "could not be verified") {
		t.Errorf("the screen does not say that the data has no hash: %q", screen)
	}
	if last := screen[strings.LastIndex(screen, "%"):]; !strings.Contains(last, "\r  ") {
		t.Errorf("the bar is still there in the end: %q", last)
	}
}

func TestNoProgressWithoutATerminal(t *testing.T) {
	for _, a := range []*app{{}, {quiet: true}} {
		if b := a.newBar(io.Discard, "x", 10, 0); b != nil {
			t.Errorf("a bar is drawn without a terminal (quiet: %v)", a.quiet)
		}
	}
	_, program := openTerminal(t)
	defer program.Close()
	t.Setenv("TERM", "xterm")
	if b := (&app{quiet: true}).newBar(program, "x", 10, 0); b != nil {
		t.Error("a bar is drawn although --quiet was given")
	}
	t.Setenv("TERM", "dumb")
	if b := (&app{}).newBar(program, "x", 10, 0); b != nil {
		t.Error("a bar is drawn on a dumb terminal")
	}
}
