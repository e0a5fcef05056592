package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/commandline"
)

func unsetCommand(a *app) *cobra.Command {
	var properties, tags []string
	cmd := &cobra.Command{
		Use:               "unset IMAGE",
		Short:             "Remove properties and tags of an image",
		Example:           "  vitrine image unset --property os_version --tag lts debian-12",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeImages(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if properties == nil && tags == nil {
				return commandline.Usagef("there is nothing to remove: give --property or --tag")
			}
			return a.unset(cmd, args[0], properties, tags)
		},
	}
	cmd.Flags().StringArrayVar(&properties, "property", nil, "`KEY` of a property; may be repeated")
	cmd.Flags().StringArrayVar(&tags, "tag", nil, "`TAG`; may be repeated")
	return cmd
}

// unset removes the properties all at once, and then the tags one by one.
func (a *app) unset(cmd *cobra.Command, ref string, properties, tags []string) error {
	ctx := cmd.Context()
	img, err := a.find(ctx, ref)
	if err != nil {
		return err
	}
	var edits []image.Edit
	for _, key := range properties {
		edits = append(edits, image.Edit{Op: image.EditRemove, Name: key})
	}
	if edits != nil {
		if _, err := a.conn.Edit(ctx, img.ID, edits); err != nil {
			return onImage(ref, err)
		}
	}
	for _, tag := range tags {
		if err := a.conn.RemoveTag(ctx, img.ID, tag); err != nil {
			return onImage(ref, &hinted{fmt.Errorf("remove the tag %q: %w", tag, err), ""})
		}
	}
	return a.writeChanged(cmd, ref, img.ID)
}
