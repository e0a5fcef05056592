package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/image"
)

func locationCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "location",
		Short: "Show where the data of images lies, use data where it lies already",
		Long: "The data of an image may lie where somebody else has put it, such as on a web server: it is read from there. The server needs\n" +
			"a store that knows such places.",
	}
	cmd.AddCommand(locationListCommand(a), locationAddCommand(a))
	return cmd
}

func locationListCommand(a *app) *cobra.Command {
	return aboutImage(a, &cobra.Command{
		Use:   "list IMAGE",
		Short: "List where the data of an image lies, as an administrator",
	}, func(ctx context.Context, id image.ID) ([]image.Location, error) { return a.conn.Locations(ctx, id) },
		func(locations []image.Location) any { return json.RawMessage(wire.AppendLocations(nil, locations)) }, locationRows)
}

func locationRows(locations []image.Location) [][]string {
	rows := [][]string{{"STORE", "URL", "METADATA"}}
	for _, loc := range locations {
		var metadata []string
		for _, key := range slices.Sorted(maps.Keys(loc.Metadata)) {
			metadata = append(metadata, key+"="+loc.Metadata[key])
		}
		rows = append(rows, []string{printable(loc.Store), printable(loc.URL), printable(strings.Join(metadata, " "))})
	}
	return rows
}

func locationAddCommand(a *app) *cobra.Command {
	var add image.NewLocation
	var noWait bool
	cmd := &cobra.Command{
		Use:   "add IMAGE URL",
		Short: "Give a queued image the data that lies at a URL",
		Long: "Give a queued image the data that lies at a URL, which stays there. The command waits until the server has looked at all of the data,\n" +
			"and tells what was wrong with it.",
		Example:           "  vitrine image location add debian-12 https://images.example.org/debian-12.qcow2",
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: a.completeImages(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			add.URL = args[1]
			return a.addLocation(cmd, args[0], add, noWait)
		},
	}
	cmd.Flags().StringVar(&add.Sums.HashAlgo, "hash-algo", "", "`ALGORITHM` of --hash, such as sha512")
	cmd.Flags().StringVar(&add.Sums.HashValue, "hash", "", "`HEX` that the data must hash to")
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "return as soon as the server has accepted the work")
	cmd.MarkFlagsRequiredTogether("hash-algo", "hash")
	return cmd
}

func (a *app) addLocation(cmd *cobra.Command, ref string, add image.NewLocation, noWait bool) error {
	ctx := cmd.Context()
	img, err := a.find(ctx, ref)
	if err != nil {
		return err
	}
	before, err := newestTask(ctx, a.conn, img.ID)
	if err == nil {
		err = a.conn.AddLocation(ctx, img.ID, add)
	}
	if err == nil && !noWait {
		err = a.waitForNext(ctx, cmd.ErrOrStderr(), img.ID, before)
	}
	if err != nil {
		return onImage(ref, fmt.Errorf("location: %w", err))
	}
	return a.writeChanged(cmd, ref, img.ID)
}
