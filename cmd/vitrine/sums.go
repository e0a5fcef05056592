package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/image"
)

func sumsCommand(a *app) *cobra.Command {
	return aboutImage(a, &cobra.Command{
		Use:   "sums IMAGE",
		Short: "Show the sums of an image's content",
		Long: "Show the sums of an image's content: of its data as it is stored, which every download is verified by; of the data as it was\n" +
			"received, if an import unpacked or converted it; and of the disk that a guest sees, which is disk.raw in the mount.",
	}, func(ctx context.Context, id image.ID) ([]image.ContentSum, error) { return a.conn.Sums(ctx, id) },
		func(sums []image.ContentSum) any { return wire.NewSums(sums) }, sumRows)
}

func sumRows(sums []image.ContentSum) [][]string {
	rows := [][]string{{"OF", "SIZE", "ALGORITHM", "VALUE"}}
	for _, s := range sums {
		rows = append(rows, []string{printable(s.Of), exactText(s.Size), printable(s.Algo), printable(s.Value)})
	}
	return rows
}
