package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/commandline"
)

// A taskImport is one run of task import.
type taskImport struct {
	*app
	fields
	url    string
	noWait bool
}

func taskImportCommand(a *app) *cobra.Command {
	i := &taskImport{app: a}
	cmd := &cobra.Command{
		Use:   "import [NAME]",
		Short: "Make an image of what is behind a URL",
		Long: "Make an image and let the server fetch its data, in one; only administrators may. Others create an image and import its data\n" +
			"with image import. The command waits until that is done. If it fails, there is no image either.",
		Example:           "  vitrine task import --url https://cloud.example.org/debian-12.qcow2 --disk-format qcow2 debian-12",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := i.takeName(args); err != nil {
				return err
			}
			return i.run(cmd)
		},
	}
	i.register(cmd)
	cmd.Flags().StringVar(&i.url, "url", "", "`URL` of the data")
	cmd.Flags().BoolVar(&i.noWait, "no-wait", false, "return as soon as the server has accepted the work")
	return cmd
}

func (i *taskImport) run(cmd *cobra.Command) error {
	if i.url == "" || i.diskFormat == "" {
		return commandline.Usagef("give --url and --disk-format")
	}
	edits, err := i.edits(image.EditAdd)
	if err != nil {
		return err
	}
	properties := map[string]any{}
	for _, e := range edits {
		properties[e.Name] = e.Value
	}
	if i.tags != nil {
		properties["tags"] = i.tags
	}
	conn, err := i.client()
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	t, err := conn.CreateTask(ctx, image.TaskImport,
		map[string]any{"import_from": i.url, "import_from_format": i.diskFormat, "image_properties": properties})
	if err != nil {
		return fmt.Errorf("create a task: %w", err)
	}
	if !i.noWait {
		id := t.ID
		t, err = i.waitForTask(ctx, cmd.ErrOrStderr(), func(ctx context.Context) (*image.Task, error) { return conn.Task(ctx, id) })
		if err != nil {
			return fmt.Errorf("task %s: %w", id, err)
		}
	}
	if i.json {
		return writeJSON(cmd.OutOrStdout(), wire.TaskOf(t))
	}
	return printTask(cmd.OutOrStdout(), t)
}
