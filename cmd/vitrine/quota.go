package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/image"
)

func quotaCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "quota", Short: "See what your project may use"}
	cmd.AddCommand(quotaShowCommand(a))
	return cmd
}

func quotaShowCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show",
		Short: "Show what your project uses, and how much it may",
		Long: "Show what your project uses, and how much it may: data in the stores with each copy counted and what is on its way in,\n" +
			"data that waits for its import, images, and images whose data is on its way in. A project without limits is shown nothing.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			conn, err := a.client()
			if err != nil {
				return err
			}
			quotas, err := conn.Usage(cmd.Context())
			if err != nil {
				return err
			}
			if a.json {
				return writeJSON(cmd.OutOrStdout(), wire.UsageOf(quotas))
			}
			if len(quotas) == 0 && !a.quiet {
				fmt.Fprintln(cmd.ErrOrStderr(), "Your project has no limits.")
			}
			rows := [][]string{{"RESOURCE", "USED", "LIMIT"}}
			for _, q := range quotas {
				limit := "-"
				if q.Limit >= 0 {
					limit = amount(q.Resource, q.Limit)
				}
				rows = append(rows, []string{printable(q.Resource), amount(q.Resource, q.Used), limit})
			}
			return writeTable(cmd.OutOrStdout(), rows)
		},
	}
}

// amount writes how much of a resource something is. Those of sizes are in MiB.
func amount(resource string, n int64) string {
	if resource == image.QuotaSize || resource == image.QuotaStaged {
		return strconv.FormatInt(n, 10) + " MiB"
	}
	return strconv.FormatInt(n, 10)
}
