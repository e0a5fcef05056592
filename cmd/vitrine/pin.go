package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/client"
	"github.com/vitrine-image/vitrine/image"
)

func pinCommand(a *app) *cobra.Command {
	var guest string
	cmd := &cobra.Command{
		Use:   "pin IMAGE",
		Short: "Keep an image for a guest, also while that is stopped",
		Long: "Keep an image from being deleted for as long as a guest needs it, such as one whose disk has it as its backing file. While it runs\n" +
			"the server sees that by itself; the pin is for when it is stopped. Any name may stand for the guest; pinning again has no effect.",
		Example:           "  vitrine image pin debian-12 --for web-1",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeImages(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			img, err := a.find(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			pin, err := a.conn.Pin(cmd.Context(), img.ID, guest)
			if err != nil {
				return onImage(args[0], err)
			}
			if a.json {
				return writeJSON(cmd.OutOrStdout(), wire.PinOf(pin))
			}
			return nil
		},
	}
	addGuestFlag(cmd, &guest)
	return cmd
}

func unpinCommand(a *app) *cobra.Command {
	var guest string
	cmd := &cobra.Command{
		Use:               "unpin IMAGE",
		Short:             "Keep an image for a guest no longer",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeImages(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			img, err := a.find(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if err := a.conn.Unpin(cmd.Context(), img.ID, guest); err != nil {
				return onPin(args[0], err)
			}
			return nil
		},
	}
	addGuestFlag(cmd, &guest)
	cmd.RegisterFlagCompletionFunc("for", a.completePins)
	return cmd
}

// onPin says which image an error about a pin of it is about.
func onPin(ref string, err error) error {
	err = onImage(ref, err)
	if errors.Is(err, image.ErrNotFound) {
		return &hinted{err, "vitrine image pins shows what it is pinned for"}
	}
	return err
}

func addGuestFlag(cmd *cobra.Command, guest *string) {
	cmd.Flags().StringVar(guest, "for", "", "`GUEST` that needs the image")
	cmd.MarkFlagRequired("for")
}

// completePins completes with the guests that the image on the command line is pinned for.
func (a *app) completePins(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) != 1 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.completeFrom(cmd, func(ctx context.Context, _ *client.Client) (words []cobra.Completion, err error) {
		img, err := a.find(ctx, args[0])
		if err != nil {
			return nil, err
		}
		pins, err := a.conn.Pins(ctx, img.ID)
		for _, p := range pins {
			if strings.HasPrefix(p.Guest, begun) && printable(p.Guest) == p.Guest {
				words = append(words, p.Guest)
			}
		}
		return words, err
	})
}

func pinsCommand(a *app) *cobra.Command {
	return aboutImage(a, &cobra.Command{
		Use:   "pins IMAGE",
		Short: "List the guests that an image is kept for",
	}, func(ctx context.Context, id image.ID) ([]image.Pin, error) { return a.conn.Pins(ctx, id) },
		func(pins []image.Pin) any { return wire.PinsOf(pins) }, pinRows)
}

func pinRows(pins []image.Pin) [][]string {
	rows := [][]string{{"GUEST", "SINCE"}}
	for _, p := range pins {
		rows = append(rows, []string{printable(p.Guest), p.CreatedAt.Format(time.DateTime)})
	}
	return rows
}
