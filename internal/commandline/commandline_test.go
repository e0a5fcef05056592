package commandline

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

var errWork = errors.New("the work failed")

// example returns a program with a command that fails and one that only has others below it.
func example(args ...string) *cobra.Command {
	root := &cobra.Command{Use: "example", SilenceErrors: true, SilenceUsage: true}
	parent := &cobra.Command{Use: "parent", Short: "holds others"}
	work := &cobra.Command{Use: "work", Short: "fails", Args: cobra.MaximumNArgs(1), RunE: func(*cobra.Command, []string) error { return errWork }}
	work.Flags().Int("times", 1, "how often")
	parent.AddCommand(work)
	root.AddCommand(parent)
	root.SetArgs(args)
	root.SetOut(io.Discard)
	root.SetErr(io.Discard)
	return root
}

func TestMistakesAreToldFromFailures(t *testing.T) {
	for _, tt := range []struct{ line, want string }{
		{"", ""},
		{"--help", ""},
		{"parent", ""},
		{"parent work --help", ""},
		{"help parent work", ""},
		{"completion bash", ""},
		{"paren", `there is no command "paren" of example; did you mean parent?`},
		{"parent wrok", `there is no command "wrok" of example parent; did you mean work?`},
		{"help nope", `there is no command "nope" of example`},
		{"help parent wrok", `there is no command "wrok" of example parent; did you mean work?`},
		{"completion nope", `there is no command "nope" of example completion`},
		{"completion bash nope", `unknown command "nope" for "example completion bash"`},
		{"--colour", "unknown flag: --colour"},
		{"parent work --times many", `invalid argument "many" for "--times" flag`},
		{"parent work one two", "accepts at most 1 arg(s), received 2"},
	} {
		err := Execute(t.Context(), example(strings.Fields(tt.line)...))
		if tt.want == "" {
			if err != nil {
				t.Errorf("%q: %v", tt.line, err)
			}
			continue
		}
		if !errors.As(err, new(UsageError)) || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%q: %T %v, want a UsageError: %s", tt.line, err, err, tt.want)
		}
	}
	if err := Execute(t.Context(), example("parent", "work")); !errors.Is(err, errWork) || errors.As(err, new(UsageError)) {
		t.Errorf("work that fails: %T %v, want its own error", err, err)
	}
}
