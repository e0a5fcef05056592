package main

import "github.com/spf13/cobra"

func showCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:               "show IMAGE",
		Short:             "Show all that is known of an image",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeImages(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			img, err := a.find(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.writeImage(cmd.OutOrStdout(), img)
		},
	}
}
