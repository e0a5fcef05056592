// Vitrine-mounter mounts for vitrined, and keeps the mount while that is away.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"os/user"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/vitrine-image/vitrine/internal/commanddoc"
	"github.com/vitrine-image/vitrine/internal/commandline"
	"github.com/vitrine-image/vitrine/internal/version"
	"github.com/vitrine-image/vitrine/mounter"
)

// The exit codes, as those of vitrined.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	switch err := commandline.Execute(ctx, newCommand()); {
	case errors.As(err, new(commandline.UsageError)):
		fmt.Fprintf(os.Stderr, "vitrine-mounter: %v; see --help\n", err)
		os.Exit(exitUsage)
	case err != nil:
		fmt.Fprintln(os.Stderr, "vitrine-mounter:", err)
		os.Exit(exitFailed)
	}
}

// newCommand returns the command line.
func newCommand() *cobra.Command {
	var cfg mounter.Config
	var userName, groupName string
	cmd := &cobra.Command{
		Use:   "vitrine-mounter",
		Short: "Mount for vitrined, and keep the mount while that is away",
		Long: "Vitrine-mounter runs as root beside a vitrined that has no rights, and mounts for it at one place. It keeps the\n" +
			"mount when vitrined ends, however that happens, and gives it to the next one: whoever reads meanwhile waits. If none\n" +
			"comes in time, it ends the mount, and the readers get errors. It reads no image data and needs no network.\n\n" +
			"SIGTERM makes it unmount and end. SIGHUP makes it replace itself by the program that is installed now, and go on\n" +
			"with the mount. Under systemd it leaves the mount in the file descriptor store, and goes on with it after a crash.\n\n" +
			"Exit status:\n\n" +
			"    0  ended by SIGTERM or Ctrl-C\n" +
			"    1  failed\n" +
			"    2  the command line is wrong",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       version.String(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cfg.AbortAfter <= 0 {
				return commandline.Usagef("--abort-after must be more than 0")
			}
			if err := findIDs(&cfg, userName, groupName); err != nil {
				return err
			}
			cfg.Logger = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			return run(cmd.Context(), cfg)
		},
	}
	f := cmd.Flags()
	f.StringVar(&cfg.Path, "path", "/srv/vitrine", "directory to mount at")
	f.StringVar(&cfg.Socket, "socket", "/run/vitrine/mounter.sock", "unix socket for vitrined, [mount] helper in its configuration")
	f.StringVar(&userName, "user", "vitrine", "whom vitrined runs as, by name or number; nobody else but root may connect")
	f.StringVar(&groupName, "group", "", "group of the socket, by name or number (default: the user's)")
	f.DurationVar(&cfg.AbortAfter, "abort-after", time.Minute, "how long readers wait for a vitrined")
	cmd.AddCommand(commanddoc.ManCommand("8"))
	return cmd
}

// findIDs sets whom the mounter serves.
func findIDs(cfg *mounter.Config, userName, groupName string) error {
	u, err := user.Lookup(userName)
	if err != nil {
		if u, err = user.LookupId(userName); err != nil {
			return fmt.Errorf("--user: there is no user %s", userName)
		}
	}
	g := u.Gid
	if groupName != "" {
		found, err := user.LookupGroup(groupName)
		if err != nil {
			if found, err = user.LookupGroupId(groupName); err != nil {
				return fmt.Errorf("--group: there is no group %s", groupName)
			}
		}
		g = found.Gid
	}
	if cfg.UID, err = strconv.Atoi(u.Uid); err != nil {
		return err
	}
	cfg.GID, err = strconv.Atoi(g)
	return err
}

// run serves until ctx ends; SIGHUP makes it go on as another program.
func run(ctx context.Context, cfg mounter.Config) error {
	program, err := os.Executable() // now, before another one is installed in its place
	if err != nil {
		return err
	}
	again := make(chan os.Signal, 1)
	signal.Notify(again, syscall.SIGHUP)
	defer signal.Stop(again)
	s, err := mounter.New(cfg)
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		for {
			select {
			case <-ended:
				return
			case <-again:
				if err := s.Exec(program); err != nil {
					cfg.Logger.Error("cannot go on as the program that is installed now", "error", err)
				}
			}
		}
	}()
	return s.Run(ctx)
}
