// Vitrined is the daemon: it keeps images and serves them over the Image API and as files in a mount.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/vitrine-image/vitrine/daemon"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	if err := daemon.Command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "vitrined:", err)
		os.Exit(1)
	}
}
