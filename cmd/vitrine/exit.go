package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/vitrine-image/vitrine/client"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/commandline"
)

// The exit codes.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitRefused     = 4
	exitUnreachable = 5
	exitIntegrity   = 6
	exitInterrupted = 130 // 128 + SIGINT, as shells have it
)

// exitHelp documents them. The indentation makes it a table in man pages and in Markdown, too.
const exitHelp = `Exit status:

    0    done
    1    failed
    2    the command line is wrong, or a name is that of several images
    3    there is no such image
    4    the server refused, and would refuse again
    5    the server, or a store or database behind it, cannot be reached now
    6    data is corrupt or missing
    130  interrupted`

// interrupted wraps whatever error a signal led to.
type interrupted struct{ error }

func (e interrupted) Unwrap() error { return e.error }

// outcomes says how the program ends, and what the person may do, for each kind of error. The first match wins.
var outcomes = []struct {
	err  error
	code int
	hint string
}{
	{client.ErrUnreachable, exitUnreachable, "is vitrined running there? --endpoint or VITRINE_ENDPOINT choose another server"},
	{client.ErrNoCache, exitNotFound, ""},
	{image.ErrNotFound, exitNotFound, "vitrine image list shows what there is"},
	{image.ErrGone, exitNotFound, ""},
	{image.ErrUnauthorized, exitRefused, "--user, --os-cloud, VITRINE_TOKEN or the variables OS_* say who you are"},
	{image.ErrForbidden, exitRefused, ""},
	{image.ErrInvalid, exitRefused, ""},
	{image.ErrInUse, exitRefused, "stop what uses it, or unpin it; vitrine image users shows what does"},
	{image.ErrConflict, exitRefused, ""},
	{image.ErrTooLarge, exitRefused, ""},
	{image.ErrStoreFull, exitRefused, "free space in the store, or choose another one with --store"},
	{image.ErrStoreReadOnly, exitRefused, "choose another store with --store"},
	{image.ErrUnsupportedContent, exitRefused, "--disk-format and --container-format say what the data is"},
	{image.ErrUnsupportedType, exitRefused, ""},
	{image.ErrRange, exitRefused, ""},
	{image.ErrNoData, exitRefused, "vitrine image upload sends data"},
	{image.ErrStoreOffline, exitUnreachable, "try again later"},
	{image.ErrUnavailable, exitUnreachable, "try again later"},
	{image.ErrDataMissing, exitIntegrity, "the store has lost the data of this image"},
	{image.ErrCorrupt, exitIntegrity, ""},
	{image.ErrInterrupted, exitFailed, "try again"},
}

// outcome returns the exit code and the hint for an error.
func outcome(err error) (code int, hint string) {
	if err == nil {
		return exitOK, ""
	}
	if errors.As(err, new(interrupted)) {
		return exitInterrupted, ""
	}
	if errors.As(err, new(commandline.UsageError)) {
		return exitUsage, "see --help"
	}
	for _, o := range outcomes {
		if errors.Is(err, o.err) {
			return o.code, o.hint
		}
	}
	return exitFailed, ""
}

// report writes an error in one line: what failed, on which image, what to do. It returns the exit code. Candidates of an
// ambiguous name follow in lines of their own.
func report(w io.Writer, err error) int {
	code, hint := outcome(err)
	if err == nil {
		return code
	}
	line := "vitrine: " + printable(strings.TrimRight(err.Error(), ".\n "))
	if code == exitInterrupted {
		line = "vitrine: interrupted"
	}
	own := (*hinted)(nil)
	if errors.As(err, &own) {
		hint = own.hint
	}
	if hint != "" {
		line += "; " + hint
	}
	fmt.Fprintln(w, line)
	if many := (*ambiguous)(nil); errors.As(err, &many) {
		printImages(w, func(yield func(*image.Image, error) bool) {
			for _, img := range many.images {
				if !yield(img, nil) {
					return
				}
			}
		})
	}
	return code
}

// hinted is an error that knows better than its kind what to do.
type hinted struct {
	error
	hint string
}

func (e *hinted) Unwrap() error { return e.error }
