// Vitrine is the command line of a Vitrine daemon, or of any other server of the OpenStack Image API v2. Start reading at
// newRoot; each command is in the file of its name.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"

	"github.com/vitrine-image/vitrine/internal/commandline"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), commandline.Signals()...)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run carries out a command line and returns the exit code.
func run(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) int {
	a := &app{ctx: ctx}
	root := newRoot(a)
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errs)
	err := commandline.Execute(ctx, root)
	a.close()
	if err != nil && ctx.Err() != nil {
		err = interrupted{err}
	}
	return report(errs, err)
}
