package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/vitrine-image/vitrine/image"
)

func deleteCommand(a *app) *cobra.Command {
	var store string
	cmd := &cobra.Command{
		Use:   "delete IMAGE...",
		Short: "Delete images",
		Long: "Delete images and their data, or with --store the copies in one of several stores. When one of several images cannot be deleted\n" +
			"the others are deleted all the same, each failure is told, and the exit status is that of the last one. With --json the ids of the\n" +
			"deleted images are written.",
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.completeImages(-1),
		RunE: func(cmd *cobra.Command, args []string) error {
			deleted := []image.ID{}
			var last error
			for _, ref := range args {
				id, err := a.delete(cmd, ref, store)
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
	cmd.Flags().StringVar(&store, "store", "", "delete only the copy in this `STORE`")
	cmd.RegisterFlagCompletionFunc("store", a.completeStores)
	return cmd
}

// delete deletes an image, or its copy in a store if that is not "".
func (a *app) delete(cmd *cobra.Command, ref, store string) (image.ID, error) {
	img, err := a.find(cmd.Context(), ref)
	if err != nil {
		return "", err
	}
	if store != "" {
		return img.ID, onImage(ref, a.conn.DeleteCopy(cmd.Context(), store, img.ID))
	}
	if img.Protected {
		return "", &hinted{image.Errorf(image.ErrForbidden, "image %q is protected and cannot be deleted", ref),
			fmt.Sprintf("lift that with: vitrine image set --unprotected %s", img.ID)}
	}
	return img.ID, onImage(ref, a.conn.Delete(cmd.Context(), img.ID))
}
