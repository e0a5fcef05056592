package daemon

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/vitrine-image/vitrine/metadata/sqlite"
)

func adminCommand(f *flags) *cobra.Command {
	admin := &cobra.Command{Use: "admin", Short: "Work on the data directory of a daemon"}
	db := &cobra.Command{Use: "db", Short: "Check, back up or compact the database"}
	db.AddCommand(
		&cobra.Command{
			Use:   "check",
			Short: "Check the integrity of the database",
			Long:  "Check the integrity of the database, its schema, and that its records agree with each other. The daemon may run meanwhile.",
			Args:  cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				path, err := f.database(cmd)
				if err != nil {
					return err
				}
				problems, err := sqlite.Check(cmd.Context(), path)
				if err != nil {
					return err
				}
				for _, p := range problems {
					fmt.Fprintln(cmd.OutOrStdout(), p)
				}
				if len(problems) > 0 {
					return fmt.Errorf("%s: %d problems found; restore a backup, or keep a copy before anything else is tried", path, len(problems))
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s: no problems found.\n", path)
				return nil
			},
		},
		&cobra.Command{
			Use:   "backup FILE",
			Short: "Copy the database to a new file while the daemon runs",
			Args:  cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				path, err := f.database(cmd)
				if err != nil {
					return err
				}
				if err := sqlite.Backup(cmd.Context(), path, args[0]); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s: backed up to %s.\n", path, args[0])
				return nil
			},
		},
		&cobra.Command{
			Use:   "vacuum",
			Short: "Give unused space of the database back to the file system",
			Long:  "Give unused space of the database back to the file system. It needs the size of the database twice more: beside it, and where temporary files go ($TMPDIR or /var/tmp). Changes wait meanwhile, and are refused when that takes long.",
			Args:  cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				path, err := f.database(cmd)
				if err != nil {
					return err
				}
				return sqlite.Vacuum(cmd.Context(), path)
			},
		})
	config := &cobra.Command{Use: "config", Short: "Make a configuration"}
	config.AddCommand(translateCommand())
	admin.AddCommand(db, config, adoptCommand(f))
	return admin
}

// database returns the path of the database that the configuration names.
func (f *flags) database(cmd *cobra.Command) (string, error) {
	cfg, err := f.load(cmd)
	if err == nil {
		err = cfg.finish()
	}
	if err != nil {
		return "", err
	}
	return cfg.Metadata.sqlitePath()
}
