package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/vitrine-image/vitrine/metadata/sqlite"
)

// A diagnosis is what the doctor says of one thing.
type diagnosis struct {
	Subject string `json:"subject"`
	State   string `json:"state"` // ok, warn or fail
	Text    string `json:"text"`  // what is found, and what to do about it
}

// The states of a diagnosis.
const (
	isOK    = "ok"
	isOdd   = "warn" // it works, but could be better
	isWrong = "fail"
)

func doctorCommand(f *flags) *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look for what is wrong with this machine, the configuration and the data",
		Long: "Look at configuration, database, stores, mount, kernel and clock, and say of each whether it is well, and what to do if not.\n" +
			"Nothing is changed, and the daemon may run meanwhile. The exit status is 1 if something fails; warnings do not count.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			found := f.examine(cmd)
			if err := writeDiagnoses(cmd.OutOrStdout(), found, asJSON); err != nil {
				return err
			}
			if slices.ContainsFunc(found, func(d diagnosis) bool { return d.State == isWrong }) {
				return errors.New("something is wrong")
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON document")
	return cmd
}

func writeDiagnoses(w io.Writer, found []diagnosis, asJSON bool) error {
	if asJSON {
		out := json.NewEncoder(w)
		out.SetIndent("", "  ")
		return out.Encode(found)
	}
	for _, d := range found {
		if _, err := fmt.Fprintf(w, "%-4s  %s: %s\n", d.State, d.Subject, d.Text); err != nil {
			return err
		}
	}
	return nil
}

// examine looks at everything, as far as the configuration lets it.
func (f *flags) examine(cmd *cobra.Command) []diagnosis {
	ctx := cmd.Context()
	cfg, err := f.load(cmd)
	if err == nil {
		err = cfg.finish()
	}
	if err != nil {
		return []diagnosis{{"configuration", isWrong, err.Error()}, examineKernel(), examineClock()}
	}
	found := []diagnosis{cfg.examineFiles(ctx, cmd.ErrOrStderr()), cfg.examineDatabase(ctx)}
	for _, id := range slices.Sorted(maps.Keys(cfg.Stores)) {
		for _, dir := range cfg.Stores[id].directories() {
			found = append(found, examineDirectory("store "+id, dir.Path))
		}
	}
	return append(found, cfg.examineMount(ctx), examineKernel(), examineClock())
}

func (cfg *Config) examineFiles(ctx context.Context, log io.Writer) diagnosis {
	if err := cfg.tryFiles(ctx, newLogger(cfg.Log, cfg.Log.level(), log)); err != nil {
		return diagnosis{"configuration", isWrong, err.Error()}
	}
	return diagnosis{"configuration", isOK, "it is good, and the files that it names are there"}
}

func (cfg *Config) examineDatabase(ctx context.Context) diagnosis {
	const subject = "database"
	path, err := cfg.Metadata.sqlitePath()
	if err != nil {
		return diagnosis{subject, isWrong, err.Error()}
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return diagnosis{subject, isOdd, path + " is not there; the first start makes it. If there was a start, restore a backup"}
	}
	problems, err := sqlite.Check(ctx, path)
	switch {
	case err != nil:
		return diagnosis{subject, isWrong, err.Error()}
	case len(problems) > 0:
		return diagnosis{subject, isWrong, fmt.Sprintf("%d problems in %s, the first: %s; restore a backup, or keep a copy before anything else is tried", len(problems), path, problems[0])}
	}
	return diagnosis{subject, isOK, "no problems in " + path}
}

// examineDirectory warns of one that is nearly full.
func examineDirectory(subject, path string) diagnosis {
	var st unix.Statfs_t
	switch err := unix.Statfs(path, &st); {
	case errors.Is(err, unix.ENOENT):
		return diagnosis{subject, isOdd, path + " is not there; the first start makes it. If there was a start, see that its disk is mounted"}
	case err != nil:
		return diagnosis{subject, isWrong, fmt.Sprintf("%s cannot be looked at: %v", path, err)}
	}
	space := fmt.Sprintf("%d GiB of %d GiB are free at %s", st.Bavail*uint64(st.Bsize)>>30, st.Blocks*uint64(st.Bsize)>>30, path)
	if st.Bavail < st.Blocks/20 {
		return diagnosis{subject, isOdd, space + "; delete images, or add space before uploads are refused"}
	}
	return diagnosis{subject, isOK, space}
}

// examineTime is how long the mount may take to answer.
const examineTime = 5 * time.Second

func (cfg *Config) examineMount(ctx context.Context) diagnosis {
	const subject = "mount"
	if cfg.Mount.Path == "" {
		return diagnosis{subject, isOK, "none is configured"}
	}
	ctx, stop := context.WithTimeout(ctx, examineTime)
	defer stop()
	var st unix.Statfs_t
	probe := newMountProbe(cfg.Mount.Path)
	if err := probe.ask(ctx); err != nil {
		return diagnosis{subject, isWrong, err.Error() + "; see whether the daemon runs, and what its log says"}
	}
	if err := unix.Statfs(cfg.Mount.Path, &st); err != nil || st.Type != unix.FUSE_SUPER_MAGIC {
		return diagnosis{subject, isWrong, "nothing is mounted at " + cfg.Mount.Path + "; see whether the daemon runs, and what its log says"}
	}
	return diagnosis{subject, isOK, cfg.Mount.Path + " answers"}
}

// examineKernel tells whether there can be a mount, and how fast and lasting it can be.
func examineKernel() diagnosis {
	const subject = "kernel"
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return diagnosis{subject, isWrong, err.Error()}
	}
	release := unix.ByteSliceToString(name.Release[:])
	if _, err := os.Stat("/dev/fuse"); err != nil {
		return diagnosis{subject, isOdd, "Linux " + release + " has no /dev/fuse, so there can be no mount: modprobe fuse"}
	}
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err == nil && (major < 6 || major == 6 && minor < 9) {
		return diagnosis{subject, isOdd, "Linux " + release + " reads no local files of the mount by itself (passthrough), and sends no requests again " +
			"when a daemon dies; both came with Linux 6.9"}
	}
	return diagnosis{subject, isOK, "Linux " + release + " has passthrough, and sends requests again when a daemon dies"}
}

// examineClock asks the kernel whether something keeps the clock right: tokens and certificates expire by it.
func examineClock() diagnosis {
	const subject = "clock"
	const unsynchronised = 5 // TIME_ERROR of adjtimex(2)
	state, err := unix.Adjtimex(new(unix.Timex))
	if err == nil && state == unsynchronised {
		return diagnosis{subject, isOdd, "nothing keeps it right; run chrony or systemd-timesyncd, or tokens and certificates are judged by a wrong time"}
	}
	if err != nil {
		return diagnosis{subject, isOdd, fmt.Sprintf("the kernel does not tell whether it is right: %v", err)}
	}
	return diagnosis{subject, isOK, "it is kept right"}
}
