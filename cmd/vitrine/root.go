package main

import (
	"fmt"
	"strings"

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
			"    VITRINE_ENDPOINT  address of the server, unless --endpoint gives one\n" +
			"    VITRINE_TOKEN     token that the server wants (X-Auth-Token), if any\n\n" + exitHelp,
		Version:       version.String(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	flags := root.PersistentFlags()
	flags.StringVar(&a.endpoint, "endpoint", "", "`URL` of the server: http://host:port, https://host or unix:///path (default "+client.DefaultEndpoint+")")
	flags.BoolVar(&a.json, "json", false, "write JSON: the documents of the Image API")
	flags.BoolVarP(&a.quiet, "quiet", "q", false, "no progress bar and no remarks")
	group(root, imageCommand(a), a.command(statusCommand(a)), a.command(versionCommand(a)), a.command(commanddoc.ManCommand("1")))
	root.InitDefaultCompletionCmd()
	root.InitDefaultHelpCmd()
	for _, c := range root.Commands() {
		switch c.Name() {
		case "completion":
			for _, shell := range c.Commands() {
				a.command(shell)
			}
		case "help":
			refuseUnknown(c)
		}
	}
	return root
}

// refuseUnknown makes the help command say that there is no help for what there is not.
func refuseUnknown(help *cobra.Command) {
	show := help.Run
	help.Run, help.RunE = nil, func(cmd *cobra.Command, args []string) error {
		if found, rest, err := cmd.Root().Find(args); err != nil || len(rest) > 0 {
			return unknownCommand(found, rest)
		}
		show(cmd, args)
		return nil
	}
}

func imageCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "image", Short: "Create, list, change, delete, upload and save images"}
	for _, sub := range []*cobra.Command{createCommand(a), listCommand(a), showCommand(a), setCommand(a), unsetCommand(a),
		deleteCommand(a), uploadCommand(a), saveCommand(a)} {
		group(cmd, a.command(sub))
	}
	return cmd
}

// group adds commands to a parent that does nothing itself, and says so when it is called with something unknown.
func group(parent *cobra.Command, commands ...*cobra.Command) {
	parent.AddCommand(commands...)
	parent.SuggestionsMinimumDistance = 2
	parent.Args = cobra.ArbitraryArgs
	parent.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		return unknownCommand(cmd, args)
	}
}

// unknownCommand says that args are no command of parent, and what may be meant.
func unknownCommand(parent *cobra.Command, args []string) error {
	hint := ""
	if like := parent.SuggestionsFor(args[0]); len(like) > 0 {
		hint = "; did you mean " + strings.Join(like, " or ") + "?"
	}
	return fmt.Errorf("there is no command %q of %s%s", args[0], parent.CommandPath(), hint)
}

// command notes when the command begins: what fails before is a mistake in the command line.
func (a *app) command(cmd *cobra.Command) *cobra.Command {
	work := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		a.started = true
		return work(cmd, args)
	}
	return cmd
}
