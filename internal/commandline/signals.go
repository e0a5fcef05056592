package commandline

import (
	"os"
	"os/signal"
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
