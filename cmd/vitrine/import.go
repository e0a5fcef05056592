package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/vitrine-image/vitrine/client"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/commandline"
)

// An importing is one run of image import.
type importing struct {
	*app
	image.Import
	copy, noWait bool
	from         string
}

func importCommand(a *app) *cobra.Command {
	i := &importing{app: a}
	cmd := &cobra.Command{
		Use:   "import IMAGE",
		Short: "Let the server fetch the data of an image, or copy it",
		Long: "Let the server bring data into its stores: what was staged, what is behind a URL, or for --copy what an active image has in\n" +
			"another store. The command waits until that is done, and tells how far it is and why it failed.",
		Example: "  vitrine image import --url https://cloud.example.org/debian-12.qcow2 debian-12\n" +
			"  vitrine image import --copy --all-stores debian-12",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeImages(1),
		RunE:              func(cmd *cobra.Command, args []string) error { return i.run(cmd, args[0]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&i.URL, "url", "", "`URL` of the data (default: what image stage left)")
	flags.StringVar(&i.from, "from", "", "`UUID` of an image in another region, given with --from-region, that the data is taken from")
	flags.StringVar(&i.Region, "from-region", "", "the other `REGION`, as the catalog has it")
	flags.StringVar(&i.Interface, "from-interface", "", "`KIND` of the other region's endpoint: public, internal or admin")
	flags.BoolVar(&i.copy, "copy", false, "copy the data of an active image into further stores")
	flags.StringSliceVar(&i.Stores, "store", nil, "`STORE` that shall have the data; may be given several times")
	flags.BoolVar(&i.AllStores, "all-stores", false, "have the data in every store")
	flags.BoolVar(&i.AllowFailure, "allow-failure", false, "be content when one of several stores has the data")
	flags.BoolVar(&i.noWait, "no-wait", false, "return as soon as the server has accepted the work")
	cmd.RegisterFlagCompletionFunc("store", a.completeStores)
	cmd.MarkFlagsMutuallyExclusive("url", "copy", "from")
	cmd.MarkFlagsRequiredTogether("from", "from-region")
	cmd.MarkFlagsMutuallyExclusive("store", "all-stores")
	return cmd
}

func (i *importing) run(cmd *cobra.Command, ref string) error {
	switch {
	case i.copy:
		i.Method = image.ImportCopy
	case i.from != "":
		var ok bool
		if i.Source, ok = image.ParseID(i.from); !ok {
			return commandline.Usagef("--from %q is no UUID", i.from)
		}
		i.Method = image.ImportDownload
	case i.URL != "":
		i.Method = image.ImportURL
	case cmd.Flags().Changed("url"):
		return commandline.Usagef("--url is empty")
	default:
		i.Method = image.ImportStaged
	}
	ctx := cmd.Context()
	img, err := i.find(ctx, ref)
	if err != nil {
		return err
	}
	before, err := newestTask(ctx, i.conn, img.ID)
	if err == nil {
		err = i.conn.Import(ctx, img.ID, i.Import)
	}
	if err == nil && !i.noWait {
		err = i.waitForNext(ctx, cmd.ErrOrStderr(), img.ID, before)
	}
	if err != nil {
		return onImage(ref, fmt.Errorf("import: %w", err))
	}
	return i.writeChanged(cmd, ref, img.ID)
}

// newestTask returns the task of the image that was made last, nil when there is none.
func newestTask(ctx context.Context, conn *client.Client, id image.ID) (*image.Task, error) {
	tasks, err := conn.ImageTasks(ctx, id)
	if err != nil || len(tasks) == 0 {
		return nil, err
	}
	return tasks[0], nil
}

// waitForNext returns when the image's task that came after another one has ended.
func (a *app) waitForNext(ctx context.Context, w io.Writer, id image.ID, before *image.Task) error {
	_, err := a.waitForTask(ctx, w, func(ctx context.Context) (*image.Task, error) {
		task, err := newestTask(ctx, a.conn, id)
		if err == nil && task != nil && before != nil && task.ID == before.ID {
			return nil, nil
		}
		return task, err
	})
	return err
}

// waitForTask returns the task that ask gives once it has succeeded, or nil once ask gives none: there was nothing to do.
func (a *app) waitForTask(ctx context.Context, w io.Writer, ask func(context.Context) (*image.Task, error)) (*image.Task, error) {
	told := ""
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		task, err := ask(ctx)
		switch {
		case err != nil:
			return nil, err
		case task == nil, task.Status == image.TaskSuccess:
			return task, nil
		case task.Status == image.TaskFailure:
			return nil, errors.New(task.Message)
		}
		if told != task.Message && !a.quiet {
			told = task.Message
			fmt.Fprintf(w, "vitrine: %s\n", printable(told))
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
