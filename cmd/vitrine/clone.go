package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/bytesize"
	"github.com/vitrine-image/vitrine/internal/commandline"
)

func cloneCommand(a *app) *cobra.Command {
	var want image.NewClone
	var size string
	cmd := &cobra.Command{
		Use:   "clone IMAGE",
		Short: "Make a volume in Ceph that is a clone of an image",
		Long: "Make a volume in a pool of Ceph that shares the data of an image until it is written to: it exists at once, whatever its size, and\n" +
			"takes no space. The server makes it, in pools that its configuration names (clone_pools); this machine need not know the cluster.\n" +
			"The image must be a raw disk that lies in the same cluster. It cannot be deleted while it has clones.",
		Example: "  vitrine image clone debian-12 --pool vms --name web-1 --size 20GiB\n" +
			"  qemu-system-x86_64 -m 512 -drive file=rbd:vms/web-1:id=vms,format=raw,if=virtio",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeImages(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if size != "" {
				if want.Size, err = bytesize.Parse(size); err != nil || want.Size == 0 {
					return commandline.Usagef("--size: %q is no size such as 20GiB", size)
				}
			}
			return a.cloneImage(cmd, args[0], want)
		},
	}
	cmd.Flags().StringVar(&want.Pool, "pool", "", "`POOL` in which the volume is made")
	cmd.Flags().StringVar(&want.Name, "name", "", "`NAME` of the volume")
	cmd.Flags().StringVar(&size, "size", "", "`SIZE` of the volume, such as 20GiB; without it, that of the image")
	cmd.Flags().StringVar(&want.Store, "store", "", "`STORE` whose copy is cloned, if several could be")
	cmd.RegisterFlagCompletionFunc("store", a.completeStores)
	cmd.MarkFlagRequired("pool")
	cmd.MarkFlagRequired("name")
	return cmd
}

func (a *app) cloneImage(cmd *cobra.Command, ref string, want image.NewClone) error {
	img, err := a.find(cmd.Context(), ref)
	if err != nil {
		return err
	}
	made, err := a.conn.Clone(cmd.Context(), img.ID, want)
	if err != nil {
		return onImage(ref, err)
	}
	if a.json {
		return writeJSON(cmd.OutOrStdout(), wire.Clone(made))
	}
	return printClone(cmd.OutOrStdout(), made)
}

func printClone(w io.Writer, c image.Clone) error {
	return writeTable(w, [][]string{{"location", printable(c.Location)}, {"size", exactText(c.Size)},
		{"parent", printable(c.Parent)}, {"store", printable(c.Store)}})
}
