package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/vitrine-image/vitrine/client"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/commandline"
)

// A create is one run of image create.
type create struct {
	*app
	fields
	id, file, store string
}

func createCommand(a *app) *cobra.Command {
	c := &create{app: a}
	cmd := &cobra.Command{
		Use:   "create [NAME]",
		Short: "Create an image, with its data if there is a file",
		Long: "Create an image. With --file the data is uploaded at once, and when that fails the image is deleted again. Its disk\n" +
			"format is read from the file unless --disk-format tells it. Without a file the image waits for image upload.",
		Example: "  vitrine image create --file debian-12.qcow2 --public debian-12\n" +
			"  zstdcat disk.raw.zst | vitrine image create --file - --property os_distro=debian debian-12",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.takeName(args); err != nil {
				return err
			}
			return c.run(cmd)
		},
	}
	c.register(cmd)
	cmd.Flags().StringVar(&c.id, "id", "", "id of the image, a `UUID` (default: the server chooses)")
	cmd.Flags().StringVar(&c.file, "file", "", "`FILE` with the data, - for standard input")
	cmd.Flags().StringVar(&c.store, "store", "", "`STORE` that shall keep the data")
	cmd.RegisterFlagCompletionFunc("store", a.completeStores)
	return cmd
}

func (c *create) run(cmd *cobra.Command) error {
	id, ok := image.ParseID(c.id)
	if c.id != "" && !ok {
		return commandline.Usagef("--id %q is no UUID", c.id)
	}
	if c.store != "" && c.file == "" {
		return commandline.Usagef("--store goes with --file")
	}
	src, err := c.open(cmd)
	if err != nil {
		return err
	}
	defer src.close()
	edits, err := c.edits(image.EditAdd)
	if err != nil {
		return err
	}
	if (c.file != "" || c.diskFormat != "") && c.containerFormat == "" {
		edits = append(edits, image.Edit{Op: image.EditAdd, Name: "container_format", Value: "bare"})
	}
	if c.tags != nil {
		edits = append(edits, image.Edit{Op: image.EditAdd, Name: "tags", Value: c.tags})
	}
	conn, err := c.client()
	if err != nil {
		return err
	}
	img, err := conn.Create(cmd.Context(), id, edits)
	if err != nil {
		return fmt.Errorf("create an image: %w", err)
	}
	if c.file != "" {
		if img, err = c.fill(cmd, conn, img, src); err != nil {
			return err
		}
	}
	return c.writeImage(cmd.OutOrStdout(), img)
}

// open opens the file, if there is one, and finds out its format if nobody told it.
func (c *create) open(cmd *cobra.Command) (*source, error) {
	if c.file == "" {
		return &source{}, nil
	}
	src, err := openSource(cmd, c.file)
	if err != nil || c.diskFormat != "" {
		return src, err
	}
	format, err := src.guess(cmd.Context())
	if err != nil {
		src.close()
		return nil, err
	}
	cmd.Flags().Set("disk-format", format)
	if !c.quiet {
		fmt.Fprintf(cmd.ErrOrStderr(), "vitrine: %s looks like %s; --disk-format overrides that\n", printable(src.name), format)
	}
	return src, nil
}

// cleanupTime is how long the deletion of a half-made image may take.
const cleanupTime = 15 * time.Second

// fill uploads the data, or deletes the image.
func (c *create) fill(cmd *cobra.Command, conn *client.Client, img *image.Image, src *source) (*image.Image, error) {
	err := c.upload(cmd, conn, img.ID, src, c.store)
	if err == nil {
		img, err = conn.Get(cmd.Context(), img.ID)
		if err == nil {
			return img, nil
		}
		return nil, fmt.Errorf("image %s was created and its data uploaded, but it cannot be shown: %w", img.ID, err)
	}
	// Whether the data arrived or not is unknown after a broken connection; the deletion is right in both cases.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(cmd.Context()), cleanupTime)
	defer cancel()
	err = fmt.Errorf("upload %s: %w", src.name, err)
	if left := conn.Delete(ctx, img.ID); left != nil && !errors.Is(left, image.ErrNotFound) {
		return nil, &hinted{err, fmt.Sprintf("the image is left over, delete it with: vitrine image delete %s", img.ID)}
	}
	return nil, err
}
