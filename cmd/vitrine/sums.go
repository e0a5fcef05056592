package main

import (
	"github.com/spf13/cobra"

	"github.com/vitrine-image/vitrine/api/wire"
)

func sumsCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "sums IMAGE",
		Short: "Show the sums of an image's content",
		Long: "Show the sums of an image's content: of its data as it is stored, which every download is verified by; of the data as it was\n" +
			"received, if an import unpacked or converted it; and of the disk that a guest sees, which is disk.raw in the mount.",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeImages(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			img, err := a.find(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			sums, err := a.conn.Sums(cmd.Context(), img.ID)
			if err != nil {
				return onImage(args[0], err)
			}
			if a.json {
				return writeJSON(cmd.OutOrStdout(), wire.NewSums(sums))
			}
			rows := [][]string{{"OF", "SIZE", "ALGORITHM", "VALUE"}}
			for _, s := range sums {
				rows = append(rows, []string{printable(s.Of), exactText(s.Size), printable(s.Algo), printable(s.Value)})
			}
			return writeTable(cmd.OutOrStdout(), rows)
		},
	}
}
