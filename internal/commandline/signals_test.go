package commandline_test

import (
	"os"
	"os/signal"
	"slices"
	"syscall"
	"testing"

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
