package main

import (
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/vitrine-image/vitrine/internal/version"
)

// manCommand writes the man pages that packages bring along. SOURCE_DATE_EPOCH sets their date.
func manCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:    "man --dir DIR",
		Short:  "Write a man page for each command into a directory",
		Args:   cobra.NoArgs,
		Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
			root := cmd.Root()
			root.DisableAutoGenTag = true
			return doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: "vitrine " + version.String(), Manual: "Vitrine"}, dir)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "`DIR` to write to")
	cmd.MarkFlagRequired("dir")
	return cmd
}
