package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/vitrine-image/vitrine/client"
	"github.com/vitrine-image/vitrine/image"
)

func uploadCommand(a *app) *cobra.Command {
	var file, store string
	cmd := &cobra.Command{
		Use:     "upload IMAGE --file FILE",
		Short:   "Upload the data of an image that waits for it",
		Long:    "Upload the data of an image that was created without. When it fails the image waits for its data as before.",
		Example: "  vitrine image upload --file debian-12.qcow2 debian-12",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			src, err := openSource(cmd, file)
			if err != nil {
				return err
			}
			defer src.close()
			img, err := a.find(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if err := a.upload(cmd, a.conn, img.ID, src, store); err != nil {
				return onImage(args[0], fmt.Errorf("upload %s: %w", src.name, err))
			}
			return a.writeChanged(cmd, args[0], img.ID)
		},
	}
	cmd.Flags().StringVar(&file, "file", "", "`FILE` with the data, - for standard input")
	cmd.Flags().StringVar(&store, "store", "", "`STORE` that shall keep the data")
	cmd.MarkFlagRequired("file")
	cmd.ValidArgsFunction = a.completeImages(1)
	cmd.RegisterFlagCompletionFunc("store", a.completeStores)
	return cmd
}

// upload sends the data and shows how far it is.
func (a *app) upload(cmd *cobra.Command, conn *client.Client, id image.ID, src *source, store string) error {
	bar := a.newBar(cmd.ErrOrStderr(), "uploading", src.size, 0)
	defer bar.finish()
	return conn.Upload(cmd.Context(), id, client.Upload{Body: bar.reader(src.r), Size: src.size, Store: store, Prompt: src.size >= 0})
}

func stageCommand(a *app) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "stage IMAGE --file FILE",
		Short: "Upload data that is to be imported",
		Long: "Upload the data of an image that was created without, for image import to pick it up: it is not looked at before, and may be\n" +
			"compressed where the server decompresses. When it fails the image waits for its data as before.",
		Example: "  vitrine image stage --file debian-12.qcow2.xz debian-12\n" +
			"  vitrine image import debian-12",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			src, err := openSource(cmd, file)
			if err != nil {
				return err
			}
			defer src.close()
			img, err := a.find(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if err := a.stage(cmd, img.ID, src); err != nil {
				return onImage(args[0], fmt.Errorf("stage %s: %w", src.name, err))
			}
			return a.writeChanged(cmd, args[0], img.ID)
		},
	}
	cmd.Flags().StringVar(&file, "file", "", "`FILE` with the data, - for standard input")
	cmd.MarkFlagRequired("file")
	cmd.ValidArgsFunction = a.completeImages(1)
	return cmd
}

// stage sends the data and shows how far it is.
func (a *app) stage(cmd *cobra.Command, id image.ID, src *source) error {
	bar := a.newBar(cmd.ErrOrStderr(), "uploading", src.size, 0)
	defer bar.finish()
	return a.conn.Stage(cmd.Context(), id, client.Upload{Body: bar.reader(src.r), Size: src.size, Prompt: src.size >= 0})
}
