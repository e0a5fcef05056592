package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vitrine-image/vitrine/glance"
	"github.com/vitrine-image/vitrine/internal/commandline"
	"github.com/vitrine-image/vitrine/metadata"
	"github.com/vitrine-image/vitrine/metadata/sqlite"
)

// adoption is what adopt-glance is told.
type adoption struct {
	database string
	conf     []string
	dryRun   bool
	verify   bool
	json     bool
}

func adoptCommand(f *flags) *cobra.Command {
	var a adoption
	cmd := &cobra.Command{
		Use:   "adopt-glance",
		Short: "Take over the images of an OpenStack Glance, with their data where it lies",
		Long: "Take over images with their members, tags and properties, metadata definitions and tasks from the database of an\n" +
			"OpenStack Glance. Ids stay the same, and the data stays where it lies: the stores that hold it must be configured here.\n" +
			"Glance's database is only read. The daemon must not run meanwhile, except for --dry-run.\n\n" +
			"It can be repeated, and then takes over what has changed. What was changed here since stays as it is, and is named like\n" +
			"all that cannot be taken over; then the exit status is 1.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.run(cmd, f) },
	}
	own := cmd.Flags()
	own.StringVar(&a.database, "database", "", "Glance's database, as its configuration names it: mysql+pymysql://user:password@host/glance or sqlite:////path (default: what --glance-config says)")
	own.StringArrayVar(&a.conf, "glance-config", nil, "Glance's configuration file, for its database and metadata_encryption_key; may be repeated")
	own.BoolVar(&a.dryRun, "dry-run", false, "change nothing: try it on a copy of the database in $TMPDIR")
	own.BoolVar(&a.verify, "verify", false, "read the data of all images afterwards, and compare it with their hashes")
	own.BoolVar(&a.json, "json", false, "print the report as JSON")
	cmd.MarkFlagsMutuallyExclusive("dry-run", "verify")
	cmd.MarkFlagsOneRequired("database", "glance-config")
	return cmd
}

func (a *adoption) run(cmd *cobra.Command, f *flags) (err error) {
	conf, err := glance.ReadConf(a.conf...)
	if err != nil {
		return err
	}
	if a.database == "" {
		a.database = conf.Database()
	}
	if a.database == "" {
		return commandline.Usagef("%s: [database] connection is not set; give --database", strings.Join(a.conf, ", "))
	}
	cfg, err := f.load(cmd)
	if err == nil {
		err = cfg.finish()
	}
	if err != nil {
		return err
	}
	source, err := glance.OpenSource(cmd.Context(), a.database)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	adopt := a.adopt
	if a.dryRun {
		adopt = try
	}
	report, err := adopt(cmd.Context(), &daemon{cfg: cfg, log: newLogger(cfg.Log, cfg.Log.level(), cmd.ErrOrStderr())},
		glance.Config{Source: source, Places: cfg.places(), Key: conf.EncryptionKey()})
	if err != nil {
		return err
	}
	return a.tell(cmd, report)
}

// tell prints the report, and returns an error if there is something in it to be looked at.
func (a *adoption) tell(cmd *cobra.Command, report *glance.Report) error {
	if a.json {
		if err := json.NewEncoder(cmd.OutOrStdout()).Encode(report); err != nil {
			return err
		}
	} else {
		report.Write(cmd.OutOrStdout())
	}
	if n := len(report.Problems); n > 0 {
		return fmt.Errorf("%d things were not taken over, or have bad data", n)
	}
	return nil
}

// adopt works on the database itself.
func (a *adoption) adopt(ctx context.Context, d *daemon, cfg glance.Config) (_ *glance.Report, err error) {
	defer func() { err = errors.Join(err, d.close()) }()
	for id, store := range d.cfg.Stores {
		store.occupied = true
		d.cfg.Stores[id] = store
	}
	if err := d.openData(ctx); err != nil {
		return nil, err
	}
	cfg.DB = d.db
	report, err := glance.Adopt(ctx, cfg)
	if err == nil && a.verify {
		err = report.Verify(ctx, d.db, d.stores)
	}
	return report, err
}

// try adopts into a copy of the database, which a daemon may use meanwhile.
func try(ctx context.Context, d *daemon, cfg glance.Config) (_ *glance.Report, err error) {
	path, err := d.cfg.Metadata.sqlitePath()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "vitrine-dry-run-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	tried := filepath.Join(dir, "vitrine.db")
	if _, there := os.Stat(path); there == nil {
		err = sqlite.Backup(ctx, path, tried)
	} else if !errors.Is(there, os.ErrNotExist) {
		err = there
	}
	if err != nil {
		return nil, err
	}
	var db metadata.DB
	if db, err = sqlite.Open(ctx, sqlite.Config{Path: tried, Logger: d.log}); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	cfg.DB = db
	report, err := glance.Adopt(ctx, cfg)
	if err == nil {
		report.DryRun = true
	}
	return report, err
}

// places tells which data of Glance the stores can hold.
func (cfg *Config) places() []glance.Place {
	var places []glance.Place
	for id, s := range cfg.Stores {
		p := glance.Place{Store: id, Type: s.Type, Pool: s.Pool}
		for _, dir := range s.directories() {
			p.Dirs = append(p.Dirs, filepath.Clean(dir.Path))
		}
		places = append(places, p)
	}
	return places
}

func translateCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "from-glance FILE...",
		Short: "Print the configuration that corresponds to one of OpenStack Glance",
		Long: "Print the configuration that corresponds to one of OpenStack Glance: glance-api.conf, glance-image-import.conf, and what else\n" +
			"Glance is started with. Comments at its beginning name what has no counterpart. It holds Keystone's password if Glance's does.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			conf, err := glance.ReadConf(args...)
			if err != nil {
				return err
			}
			made, err := glance.Translate(conf)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "# Made by `vitrined admin config from-glance %s`.\n", strings.Join(args, " "))
			for _, note := range append(made.Notes, wrongIn(made.TOML)...) {
				fmt.Fprintf(cmd.OutOrStdout(), "# %s\n", note)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "\n%s", made.TOML)
			return nil
		},
	}
}

// wrongIn returns what `vitrined check` would say of a configuration without looking at other files.
func wrongIn(text string) []string {
	cfg := Default()
	err := cfg.decode(strings.NewReader(text))
	if err == nil {
		err = cfg.finish()
	}
	if err == nil {
		return nil
	}
	var notes []string
	for line := range strings.Lines(err.Error()) {
		notes = append(notes, "To be mended: "+strings.TrimSuffix(line, "\n"))
	}
	return notes
}
