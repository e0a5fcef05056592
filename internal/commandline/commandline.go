// Package commandline carries out commands with the manners that all of our programs share: a mistake in the command line
// is told from a failure of the work, and what does not exist is refused with what may be meant.
package commandline

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// A UsageError is a mistake in the command line.
type UsageError struct{ Err error }

func (e UsageError) Error() string { return e.Err.Error() }
func (e UsageError) Unwrap() error { return e.Err }

// Usagef makes a UsageError.
func Usagef(format string, args ...any) error { return UsageError{fmt.Errorf(format, args...)} }

// Execute carries out the command line that root is given. What fails before a command begins is a UsageError: unknown
// commands and flags, values that are none, arguments too many or too few.
func Execute(ctx context.Context, root *cobra.Command) error {
	root.InitDefaultCompletionCmd()
	root.InitDefaultHelpCmd()
	begun := false
	prepare(root, &begun)
	err := root.ExecuteContext(ctx)
	if err != nil && !begun {
		return UsageError{err}
	}
	return err
}

// prepare lets every command note that it begins, and those that do nothing themselves refuse what they do not know.
func prepare(cmd *cobra.Command, begun *bool) {
	for _, sub := range cmd.Commands() {
		prepare(sub, begun)
	}
	switch work, show := cmd.RunE, cmd.Run; {
	case cmd.Name() == "help":
		cmd.Run, cmd.RunE = nil, func(cmd *cobra.Command, args []string) error {
			if found, rest, err := cmd.Root().Find(args); err != nil || len(rest) > 0 {
				return unknownCommand(found, rest)
			}
			show(cmd, args)
			return nil
		}
	case work != nil:
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			*begun = true
			return work(cmd, args)
		}
	case show == nil:
		cmd.SuggestionsMinimumDistance = 2
		cmd.Args = cobra.ArbitraryArgs
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return unknownCommand(cmd, args)
		}
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
