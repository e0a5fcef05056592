package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/client"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/commandline"
	"github.com/vitrine-image/vitrine/metadef"
)

func metadefCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "metadef",
		Short: "List, show, load, export and delete metadata definitions",
		Long: "Metadata definitions say which properties images, volumes, flavors and so on may have, and what their values mean; forms\n" +
			"in dashboards are made of them. They are grouped in namespaces, each of which is one file where they are loaded from.",
	}
	cmd.AddCommand(metadefListCommand(a), metadefShowCommand(a), metadefLoadCommand(a), metadefExportCommand(a), metadefDeleteCommand(a))
	return cmd
}

func metadefListCommand(a *app) *cobra.Command {
	q := metadef.Query{}
	visibility := ""
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List namespaces by their names",
		Example: "  vitrine metadef list --resource-type OS::Glance::Image",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if q.Visibility = image.Visibility(visibility); visibility != "" && q.Visibility != image.Public && q.Visibility != image.Private {
				return commandline.Usagef("--visibility %q: it is public or private", visibility)
			}
			conn, err := a.client()
			if err != nil {
				return err
			}
			all, err := namespaces(cmd.Context(), conn, q)
			if err != nil {
				return err
			}
			if !a.json {
				return printNamespaces(cmd.OutOrStdout(), all)
			}
			docs := make([]wire.Namespace, len(all))
			for i, d := range all {
				docs[i] = wire.NamespaceOf(d)
			}
			return writeJSON(cmd.OutOrStdout(), map[string]any{"namespaces": docs})
		},
	}
	cmd.Flags().StringArrayVar(&q.ResourceTypes, "resource-type", nil, "only namespaces about this `TYPE`, such as OS::Nova::Flavor; may be repeated for any of several")
	cmd.Flags().StringVar(&visibility, "visibility", "", "only namespaces of this `VISIBILITY`: public or private")
	completeWords(cmd, "visibility", "public", "private")
	return cmd
}

// namespaces returns all that the query finds, page by page, by their names.
func namespaces(ctx context.Context, conn *client.Client, q metadef.Query) (all []metadef.Document, err error) {
	q.Sort, q.Asc, q.Limit = "namespace", true, pageSize
	for {
		page, next, err := conn.Namespaces(ctx, q)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		if q.Marker = next; next == "" {
			return all, nil
		}
	}
}

func metadefShowCommand(a *app) *cobra.Command {
	resourceType := ""
	cmd := &cobra.Command{
		Use:   "show NAMESPACE",
		Short: "Show a namespace with all of its definitions",
		Long: "Show a namespace with all of its definitions. With --resource-type the properties have the names that they have on\n" +
			"things of that type.",
		Example:           "  vitrine metadef show --resource-type OS::Nova::Flavor OS::Compute::Watchdog",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeNamespaces(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			conn, err := a.client()
			if err != nil {
				return err
			}
			d, err := conn.Namespace(cmd.Context(), args[0], resourceType)
			if err != nil {
				return onNamespace(args[0], err)
			}
			if a.json {
				return writeJSON(cmd.OutOrStdout(), wire.NamespaceOf(d))
			}
			return printNamespace(cmd.OutOrStdout(), d)
		},
	}
	cmd.Flags().StringVar(&resourceType, "resource-type", "", "name the properties as on things of this `TYPE`")
	return cmd
}

func metadefDeleteCommand(a *app) *cobra.Command {
	force := false
	cmd := &cobra.Command{
		Use:               "delete NAMESPACE...",
		Short:             "Delete namespaces with all of their definitions",
		Long:              "Delete namespaces with all of their definitions, up to the first that cannot be deleted. With --json the names of the\ndeleted ones are written.",
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.completeNamespaces(-1),
		RunE: func(cmd *cobra.Command, args []string) error {
			deleted := []string{}
			var failed error
			for _, name := range args {
				if failed = a.deleteNamespace(cmd.Context(), name, force); failed != nil {
					break
				}
				deleted = append(deleted, name)
			}
			if a.json {
				if err := writeJSON(cmd.OutOrStdout(), map[string]any{"deleted": deleted}); err != nil {
					return err
				}
			}
			return failed
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "delete protected namespaces, too")
	return cmd
}

func (a *app) deleteNamespace(ctx context.Context, name string, force bool) error {
	conn, err := a.client()
	if err != nil {
		return err
	}
	d, err := conn.Namespace(ctx, name, "")
	if err != nil {
		return onNamespace(name, err)
	}
	if n := d.Namespace; n.Protected {
		if !force {
			return &hinted{image.Errorf(image.ErrForbidden, "the namespace %q is protected and cannot be deleted", name), "--force deletes it all the same"}
		}
		n.Protected = false
		if _, err := conn.SaveNamespace(ctx, n.Name, n); err != nil {
			return onNamespace(name, err)
		}
	}
	return onNamespace(name, conn.DeleteNamespace(ctx, d.Namespace.Name))
}

// onNamespace says which namespace an error is about.
func onNamespace(name string, err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("namespace %q: %w", name, err)
	if errors.Is(err, image.ErrNotFound) {
		return &hinted{err, "vitrine metadef list shows what there is"}
	}
	return err
}

// completeNamespaces completes up to n arguments, any number when n is below 0.
func (a *app) completeNamespaces(n int) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if n >= 0 && len(args) >= n {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return a.completeFrom(cmd, func(ctx context.Context, conn *client.Client) ([]cobra.Completion, error) {
			all, err := namespaces(ctx, conn, metadef.Query{})
			var words []cobra.Completion
			for _, d := range all {
				if name := d.Namespace.Name; printable(name) == name && !slices.Contains(args, name) {
					words = append(words, cobra.CompletionWithDesc(name, printable(textOf(d.Namespace.DisplayName))))
				}
			}
			return words, err
		})
	}
}
