package main

import (
	"github.com/spf13/cobra"

	"github.com/vitrine-image/vitrine/client"
	"github.com/vitrine-image/vitrine/internal/commanddoc"
	"github.com/vitrine-image/vitrine/internal/version"
)

// newRoot returns the whole command line.
func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "vitrine",
		Short: "Work with the images of a Vitrine daemon",
		Long: "Vitrine works with the images of a Vitrine daemon, or of any other server of the OpenStack Image API v2.\n" +
			"An image is named by its id, or by its name if no other image has the same.\n\n" +
			"Environment:\n\n" +
			"    VITRINE_ENDPOINT   address of the server, unless --endpoint gives one\n" +
			"    VITRINE_TOKEN      token that the server wants (X-Auth-Token), if any\n" +
			"    VITRINE_USER       name for a server of names and passwords, as --user\n" +
			"    VITRINE_PASSWORD   the password; without it, it is asked for on the terminal\n" +
			"    OS_CLOUD, OS_*     an OpenStack cloud as for the openstack client: its Image API is the server unless another\n" +
			"                       one is named, and its Keystone gives the tokens\n\n" +
			"Flags win over the environment, VITRINE_* over OS_*, and OS_CLOUD over the other OS_*.\n\n" + exitHelp,
		Version:       version.String(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	flags := root.PersistentFlags()
	flags.StringVar(&a.endpoint, "endpoint", "", "`URL` of the server: http://host:port, https://host or unix:///path (default "+client.DefaultEndpoint+")")
	a.login.register(flags)
	flags.BoolVar(&a.json, "json", false, "write JSON: the documents of the Image API")
	flags.BoolVarP(&a.quiet, "quiet", "q", false, "no progress bar and no remarks")
	root.AddCommand(imageCommand(a), metadefCommand(a), taskCommand(a), storeCommand(a), cacheCommand(a), quotaCommand(a), statusCommand(a), versionCommand(a), commanddoc.ManCommand("1"))
	root.InitDefaultCompletionCmd() // for the reference
	return root
}

func imageCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "image", Short: "Create, list, change, delete, upload, import, save and clone images"}
	cmd.AddCommand(createCommand(a), listCommand(a), showCommand(a), setCommand(a), unsetCommand(a), deleteCommand(a), uploadCommand(a), stageCommand(a), importCommand(a), saveCommand(a), cloneCommand(a), sumsCommand(a), pinCommand(a), unpinCommand(a), pinsCommand(a), usersCommand(a))
	cmd.AddCommand(memberCommand(a), locationCommand(a))
	return cmd
}
