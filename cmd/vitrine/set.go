package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/commandline"
)

// A set is one run of image set.
type set struct {
	*app
	fields
	activate, deactivate bool
}

func setCommand(a *app) *cobra.Command {
	s := &set{app: a}
	cmd := &cobra.Command{
		Use:   "set IMAGE",
		Short: "Change fields, properties and tags of an image, or deactivate it",
		Long: "Change what the flags name and leave the rest as it is. Fields and properties change all at once or not at all; tags\n" +
			"are added and the image is activated or deactivated afterwards.",
		Example: "  vitrine image set --public --property os_version=12.8 --tag lts debian-12\n" +
			"  vitrine image set --deactivate debian-11",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeImages(1),
		RunE:              func(cmd *cobra.Command, args []string) error { return s.run(cmd, args[0]) },
	}
	s.register(cmd)
	cmd.Flags().BoolVar(&s.activate, "activate", false, "let the data be read again")
	cmd.Flags().BoolVar(&s.deactivate, "deactivate", false, "keep everybody but administrators from the data")
	cmd.MarkFlagsMutuallyExclusive("activate", "deactivate")
	return cmd
}

func (s *set) run(cmd *cobra.Command, ref string) error {
	ctx := cmd.Context()
	edits, err := s.edits(image.EditReplace)
	if err != nil {
		return err
	}
	if edits == nil && s.tags == nil && !s.activate && !s.deactivate {
		return commandline.Usagef("there is nothing to set: give at least one flag")
	}
	img, err := s.find(ctx, ref)
	if err != nil {
		return err
	}
	if edits != nil {
		if _, err := s.conn.Edit(ctx, img.ID, edits); err != nil {
			return onImage(ref, err)
		}
	}
	for _, tag := range s.tags {
		if err := s.conn.AddTag(ctx, img.ID, tag); err != nil {
			return onImage(ref, fmt.Errorf("add the tag %q: %w", tag, err))
		}
	}
	if s.activate {
		err = s.conn.Reactivate(ctx, img.ID)
	}
	if s.deactivate {
		err = s.conn.Deactivate(ctx, img.ID)
	}
	if err != nil {
		return onImage(ref, err)
	}
	return s.writeChanged(cmd, ref, img.ID)
}

// writeChanged shows the image after a change if JSON is wanted, and nothing otherwise.
func (a *app) writeChanged(cmd *cobra.Command, ref string, id image.ID) error {
	if !a.json {
		return nil
	}
	img, err := a.conn.Get(cmd.Context(), id)
	if err != nil {
		return onImage(ref, err)
	}
	return a.writeImage(cmd.OutOrStdout(), img)
}
