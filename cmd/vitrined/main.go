// Vitrined is the daemon: it keeps images and serves them over the Image API and as files in a mount.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"

	"github.com/vitrine-image/vitrine/daemon"
	"github.com/vitrine-image/vitrine/internal/commandline"
)

// The exit codes, as those of vitrine.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), commandline.DaemonSignals()...)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	switch err := commandline.Execute(ctx, daemon.Command()); {
	case errors.As(err, new(commandline.UsageError)):
		fmt.Fprintf(os.Stderr, "vitrined: %v; see --help\n", err)
		os.Exit(exitUsage)
	case err != nil:
		fmt.Fprintln(os.Stderr, "vitrined:", err)
		os.Exit(exitFailed)
	}
}
