package main

import (
	"context"
	"io"
	"iter"
	"time"

	"github.com/spf13/cobra"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/commandline"
)

func taskCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "task",
		Short: "The work that the server does for imports",
		Long:  "A task is work that the server does after it has answered, such as an import. Its record stays for two days after its end.",
	}
	cmd.AddCommand(taskListCommand(a), taskShowCommand(a), taskImportCommand(a))
	return cmd
}

// A taskList is one run of task list.
type taskList struct {
	*app
	image, status string
	limit         int
}

func taskListCommand(a *app) *cobra.Command {
	l := &taskList{app: a}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List tasks, newest first",
		Long: "List the tasks of one image, which its owner and its members may see, or those of all, which only administrators may.\n" +
			"With --json the list is one document, {\"tasks\": [...]}.",
		Example: "  vitrine task list --image debian-12\n  vitrine task list --status failure",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return l.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringVar(&l.image, "image", "", "only tasks of this `IMAGE`")
	flags.StringVar(&l.status, "status", "", "only tasks of this `STATUS`: pending, processing, success or failure")
	flags.IntVar(&l.limit, "limit", 0, "at most `N` tasks (default: all)")
	completeWords(cmd, "status", "pending", "processing", "success", "failure")
	return cmd
}

func (l *taskList) run(cmd *cobra.Command) error {
	q := image.TaskQuery{Status: image.TaskStatus(l.status), Limit: pageSize}
	if cmd.Flags().Changed("limit") {
		if l.limit < 0 {
			return commandline.Usagef("--limit %d: it cannot be below 0", l.limit)
		}
		q.Limit = min(l.limit, pageSize)
	}
	tasks, err := l.tasks(cmd.Context(), q)
	if err != nil {
		return err
	}
	if cmd.Flags().Changed("limit") {
		tasks = first(tasks, l.limit)
	}
	var all []*image.Task
	for t, err := range tasks {
		if err != nil {
			return err
		}
		all = append(all, t)
	}
	if l.json {
		return writeJSON(cmd.OutOrStdout(), map[string]any{"tasks": wire.TasksOf(all, "", "").Tasks})
	}
	return printTasks(cmd.OutOrStdout(), all)
}

// tasks goes through those that are asked for.
func (l *taskList) tasks(ctx context.Context, q image.TaskQuery) (iter.Seq2[*image.Task, error], error) {
	conn, err := l.client()
	if err != nil {
		return nil, err
	}
	if l.image == "" {
		return conn.Tasks(ctx, q), nil
	}
	img, err := l.find(ctx, l.image)
	if err != nil {
		return nil, err
	}
	tasks, err := conn.ImageTasks(ctx, img.ID)
	if err != nil {
		return nil, onImage(l.image, err)
	}
	return func(yield func(*image.Task, error) bool) {
		for _, t := range tasks {
			if (q.Status == "" || t.Status == q.Status) && !yield(t, nil) {
				return
			}
		}
	}, nil
}

func taskShowCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show TASK",
		Short: "Show one task: what it does, how far it is, why it failed",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, ok := image.ParseID(args[0])
			if !ok {
				return commandline.Usagef("%q is no id of a task", args[0])
			}
			conn, err := a.client()
			if err != nil {
				return err
			}
			t, err := conn.Task(cmd.Context(), id)
			if err != nil {
				return err
			}
			if a.json {
				return writeJSON(cmd.OutOrStdout(), wire.TaskOf(t))
			}
			return printTask(cmd.OutOrStdout(), t)
		},
	}
}

func printTasks(w io.Writer, tasks []*image.Task) error {
	rows := [][]string{{"ID", "TYPE", "STATUS", "PROJECT", "CREATED"}}
	for _, t := range tasks {
		rows = append(rows, []string{string(t.ID), printable(string(t.Type)), printable(string(t.Status)), printable(orDash(t.Owner)),
			t.CreatedAt.Format(time.DateTime)})
	}
	return writeTable(w, rows)
}

func printTask(w io.Writer, t *image.Task) error {
	expires := "-"
	if t.ExpiresAt != nil {
		expires = t.ExpiresAt.Format(time.RFC3339)
	}
	rows := [][]string{
		{"id", string(t.ID)},
		{"type", string(t.Type)},
		{"status", string(t.Status)},
		{"message", orDash(t.Message)},
		{"image", orDash(string(t.ImageID))},
		{"project", orDash(t.Owner)},
		{"user", orDash(t.UserID)},
		{"request", orDash(t.RequestID)},
		{"input", orDash(string(t.Input))},
		{"result", orDash(string(t.Result))},
		{"created", t.CreatedAt.Format(time.RFC3339)},
		{"updated", t.UpdatedAt.Format(time.RFC3339)},
		{"expires", expires},
	}
	for _, row := range rows {
		row[1] = printable(row[1])
	}
	return writeTable(w, rows)
}
