package daemon

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// signals are those that tell a running daemon something.
type signals struct{ reload, sweep chan os.Signal }

// catchSignals keeps them from ending the process as long as the daemon is open; see heedSignals.
func (d *daemon) catchSignals() {
	d.signals = signals{reload: make(chan os.Signal, 1), sweep: make(chan os.Signal, 1)}
	signal.Notify(d.signals.reload, syscall.SIGHUP)
	signal.Notify(d.signals.sweep, syscall.SIGUSR1)
	d.onClose(func() error { signal.Stop(d.signals.reload); signal.Stop(d.signals.sweep); return nil })
}

// heedSignals does what they ask for until ctx ends.
func (d *daemon) heedSignals(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.signals.reload:
			d.reload()
		case <-d.signals.sweep:
			d.service.SweepAnew()
		}
	}
}
