package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	sd "github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// tell says something to systemd, if it is what started this process. Source: sd_notify(3).
func (d *daemon) tell(states ...string) {
	if _, err := sd.SdNotify(false, strings.Join(states, "\n")); err != nil {
		d.log.Warn("systemd cannot be told how the daemon is", "error", err)
	}
}

// reloading is what systemd is told before the configuration is read again; it needs to know when that was.
func reloading() string {
	var now unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	return fmt.Sprintf("%s\nMONOTONIC_USEC=%d", sd.SdNotifyReloading, now.Nano()/1000)
}

// The names under which sockets of systemd take the place of configured addresses: FileDescriptorName= of systemd.socket(5).
const (
	socketAPI = "api"
	socketTLS = "api-tls"
)

// givenListeners returns the sockets that systemd listens on for this process, by name.
func (cfg *Config) givenListeners() (map[string][]net.Listener, error) {
	given, err := activation.ListenersWithNames()
	if err != nil {
		return nil, err
	}
	var wrong []error
	for name, listeners := range given {
		for _, l := range listeners {
			switch name {
			case socketAPI:
				err = cfg.checkListener(address(l.Addr()), false)
			case socketTLS:
				err = cfg.checkListener(address(l.Addr()), cfg.API.TLSClientCA != "")
				if len(cfg.API.ListenTLS) == 0 {
					err = errors.New("the certificate is not configured; set api.listen_tls as well")
				}
			default:
				err = fmt.Errorf("its name is neither %s nor %s", socketAPI, socketTLS)
			}
			if err != nil {
				wrong = append(wrong, fmt.Errorf("socket %s of systemd: %w", name, err))
			}
		}
	}
	if len(wrong) == 0 {
		return given, nil
	}
	for _, listeners := range given {
		for _, l := range listeners {
			l.Close()
		}
	}
	return nil, errors.Join(wrong...)
}

// feedWatchdog tells systemd that the daemon works, until ctx ends, and as long as test says that it does. Otherwise systemd
// ends the process, and starts it anew.
func (d *daemon) feedWatchdog(ctx context.Context, test func(context.Context) error) error {
	limit, err := sd.SdWatchdogEnabled(false)
	if err != nil || limit == 0 {
		return err
	}
	every := limit / 3
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		asked, stop := context.WithTimeout(ctx, every)
		err := test(asked)
		stop()
		switch {
		case err == nil:
			d.tell(sd.SdNotifyWatchdog)
		case ctx.Err() == nil:
			d.log.Error("the daemon does not pass its own test; if that goes on systemd ends it", "after", limit, "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
