package commandline_test

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vitrine-image/vitrine/internal/commandline"
)

func TestSignals(t *testing.T) {
	if !slices.Contains(commandline.Signals(), os.Signal(syscall.SIGHUP)) && !signal.Ignored(syscall.SIGHUP) {
		t.Error("the end of the terminal does not end the program in order")
	}
	if signal.Ignored(syscall.SIGHUP) {
		return // these tests run under nohup themselves
	}
	signal.Ignore(syscall.SIGHUP)
	defer signal.Reset(syscall.SIGHUP)
	if slices.Contains(commandline.Signals(), os.Signal(syscall.SIGHUP)) {
		t.Error("a program that was told to survive its terminal would not")
	}
}

// TestDaemonSignals asks a child with a terminal of its own, and one without, whether SIGHUP ends it.
func TestDaemonSignals(t *testing.T) {
	const childEnv = "VITRINE_TEST_SIGNALS"
	if os.Getenv(childEnv) != "" {
		fmt.Println("ends with SIGHUP:", slices.Contains(commandline.DaemonSignals(), os.Signal(syscall.SIGHUP)))
		return
	}
	if signal.Ignored(syscall.SIGHUP) {
		return // these tests run under nohup themselves
	}
	for _, terminal := range []bool{true, false} {
		child := exec.Command(os.Args[0], "-test.run=^TestDaemonSignals$")
		child.Env = append(os.Environ(), childEnv+"=1")
		child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if terminal {
			child.Stdin, child.SysProcAttr.Setctty = openTerminal(t), true
		}
		out, err := child.Output()
		if want := fmt.Sprint("ends with SIGHUP: ", terminal); err != nil || !strings.Contains(string(out), want) {
			t.Errorf("a daemon with a terminal (%v): %q, %v, want %q", terminal, out, err, want)
		}
	}
}

// openTerminal returns a terminal that is nobody's.
func openTerminal(t *testing.T) *os.File {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close() })
	return terminal
}
