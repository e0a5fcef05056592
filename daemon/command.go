package daemon

import (
	_ "embed"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/vitrine-image/vitrine/internal/commanddoc"
	"github.com/vitrine-image/vitrine/internal/commandline"
	"github.com/vitrine-image/vitrine/internal/version"
)

// DefaultConfigPath is read when it exists and nobody names another file.
const DefaultConfigPath = "/etc/vitrine/vitrined.toml"

// Sample is the configuration file with every key, its default and what it does.
//
//go:embed vitrined.toml
var Sample string

// flags are those of vitrined. They win over the configuration file.
type flags struct {
	config, data, mount string
	listen              []string
}

// Command returns vitrined's command line: the daemon itself, and what works on its data directory.
func Command() *cobra.Command {
	f := &flags{}
	cmd := &cobra.Command{
		Use:   "vitrined",
		Short: "Keep virtual machine images and serve them over the OpenStack Image API and as files",
		Long: "Vitrined keeps virtual machine images and serves each of them twice: over the OpenStack Image API v2, and as a\n" +
			"file in a read-only mount from which QEMU boots at once. Without a configuration file it keeps everything in the\n" +
			"data directory and listens on 127.0.0.1:9292 only.\n\n" +
			"SIGHUP makes it open the event log and the audit log again, and read its configuration again: what can change while it\n" +
			"runs does, and the log says what has to wait for a restart. Started from a terminal, it ends with that signal.\n" +
			"SIGUSR1 makes it look at once in all stores for what can be removed.\n\n" +
			"Exit status:\n\n" +
			"    0  done, or stopped by SIGTERM or Ctrl-C\n" +
			"    1  failed\n" +
			"    2  the command line is wrong",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       version.String(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := f.load(cmd)
			if err != nil {
				return err
			}
			return Run(cmd.Context(), cfg, Options{Reread: func() (Config, error) { return f.load(cmd) }})
		},
	}
	all := cmd.PersistentFlags()
	all.StringVar(&f.config, "config", "", "configuration file (default "+DefaultConfigPath+", if it exists)")
	all.StringVar(&f.data, "data", "", "data directory (default /var/lib/vitrine)")
	cmd.Flags().StringArrayVar(&f.listen, "listen", nil, "address of the API, host:port or unix:/path; may be repeated (default 127.0.0.1:9292)")
	cmd.Flags().StringVar(&f.mount, "mount", "", "directory to mount the images at (default: none)")
	cmd.AddCommand(checkCommand(f), doctorCommand(f), sampleCommand(), adminCommand(f), probeCommand(), commanddoc.ManCommand("8",
		commanddoc.ConfigPage{Name: "vitrined.toml", Short: "the configuration of vitrined", Sample: Sample}))
	return cmd
}

// load reads the configuration that the flags name and lets them win.
func (f *flags) load(cmd *cobra.Command) (Config, error) {
	cfg := Default()
	path := f.config
	if path == "" {
		if _, err := os.Stat(DefaultConfigPath); err == nil {
			path = DefaultConfigPath
		} else if !errors.Is(err, os.ErrNotExist) {
			return cfg, err
		}
	}
	if path != "" {
		var err error
		if cfg, err = Load(path); err != nil {
			return cfg, err
		}
	}
	if f.data != "" {
		cfg.Data = f.data
	}
	if f.mount != "" {
		cfg.Mount.Path = f.mount
	}
	for _, addr := range f.listen {
		if _, err := checkAddress(addr); err != nil {
			return cfg, commandline.Usagef("--listen %w", err)
		}
	}
	if len(f.listen) > 0 {
		cfg.API.Listen = f.listen
	}
	return cfg, nil
}

func checkCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Check the configuration and say what is wrong with it",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := f.load(cmd)
			if err == nil {
				err = cfg.finish()
			}
			if err == nil {
				err = cfg.tryFiles(cmd.Context(), newLogger(cfg.Log, cfg.Log.level(), cmd.ErrOrStderr()))
			}
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), "The configuration is good.")
			return nil
		},
	}
}

func sampleCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "sample-config",
		Short: "Print a configuration file with every key, its default and what it does",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprint(cmd.OutOrStdout(), Sample)
			return err
		},
	}
}
