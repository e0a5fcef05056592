package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/vitrine-image/vitrine/image"
)

// aboutImage completes a command that shows what ask answers about the image it is given: the document as JSON, or a table.
func aboutImage[T any](a *app, cmd *cobra.Command, ask func(context.Context, image.ID) (T, error), document func(T) any,
	rows func(T) [][]string) *cobra.Command {
	cmd.Args = cobra.ExactArgs(1)
	cmd.ValidArgsFunction = a.completeImages(1)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		img, err := a.find(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		answer, err := ask(cmd.Context(), img.ID)
		if err != nil {
			return onImage(args[0], err)
		}
		if a.json {
			return writeJSON(cmd.OutOrStdout(), document(answer))
		}
		return writeTable(cmd.OutOrStdout(), rows(answer))
	}
	return cmd
}
