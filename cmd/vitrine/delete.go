package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/vitrine-image/vitrine/image"
)

func deleteCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "delete IMAGE...",
		Short: "Delete images",
		Long: "Delete images and their data. When one of several cannot be deleted the others are deleted all the same, each failure\n" +
			"is told, and the exit status is that of the last one. With --json the ids of the deleted images are written.",
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.completeImages(-1),
		RunE: func(cmd *cobra.Command, args []string) error {
			deleted := []image.ID{}
			var last error
			for _, ref := range args {
				id, err := a.delete(cmd, ref)
				if err == nil {
					deleted = append(deleted, id)
					continue
				}
				if last != nil {
					report(cmd.ErrOrStderr(), last)
				}
				if last = err; cmd.Context().Err() != nil {
					break
				}
			}
			if a.json {
				if err := writeJSON(cmd.OutOrStdout(), map[string]any{"deleted": deleted}); err != nil {
					return err
				}
			}
			return last
		},
	}
}

func (a *app) delete(cmd *cobra.Command, ref string) (image.ID, error) {
	img, err := a.find(cmd.Context(), ref)
	if err != nil {
		return "", err
	}
	if img.Protected {
		return "", &hinted{image.Errorf(image.ErrForbidden, "image %q is protected and cannot be deleted", ref),
			fmt.Sprintf("lift that with: vitrine image set --unprotected %s", img.ID)}
	}
	return img.ID, onImage(ref, a.conn.Delete(cmd.Context(), img.ID))
}
