package commandline

import (
	"os"
	"os/signal"
	"slices"
	"syscall"
)

// Signals are those that end a program in order: Ctrl-C, a polite kill, and the end of its terminal, unless it was told to
// survive that (nohup).
func Signals() []os.Signal {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	return signals
}

// DaemonSignals are those that end a daemon in order. SIGHUP is not among them where there is no terminal that could end:
// then it asks for files to be opened again.
func DaemonSignals() []os.Signal {
	terminal, err := os.Open("/dev/tty")
	if err != nil {
		return slices.DeleteFunc(Signals(), func(s os.Signal) bool { return s == syscall.SIGHUP })
	}
	terminal.Close()
	return Signals()
}
