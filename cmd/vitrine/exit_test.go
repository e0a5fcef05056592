package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/client"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/commandline"
)

func TestEveryErrorHasAnOutcome(t *testing.T) {
	for _, kind := range append(image.Errors(), client.ErrUnreachable) {
		known := false
		for _, o := range outcomes {
			known = known || o.err == kind
		}
		if code, _ := outcome(fmt.Errorf("do it: %w", kind)); !known || code == exitOK {
			t.Errorf("no outcome for %q", kind)
		}
	}
}

func TestReport(t *testing.T) {
	for _, tt := range []struct {
		err  error
		code int
		want string
	}{
		{nil, 0, ""},
		{errors.New("broken."), 1, "vitrine: broken\n"},
		{errors.New("two\nlines\x1b"), 1, "vitrine: two\\nlines\\x1b\n"},
		{commandline.Usagef("no"), 2, "vitrine: no; see --help\n"},
		{&hinted{errors.New("full"), "make room"}, 1, "vitrine: full; make room\n"},
		{&hinted{image.ErrNotFound, ""}, 3, "vitrine: not found\n"},
		{interrupted{context.Canceled}, 130, "vitrine: interrupted\n"},
		{interrupted{&hinted{errors.New("x"), "clean up"}}, 130, "vitrine: interrupted; clean up\n"},
	} {
		var b strings.Builder
		if code := report(&b, tt.err); code != tt.code || b.String() != tt.want {
			t.Errorf("report(%v) = %d, %q, want %d, %q", tt.err, code, b.String(), tt.code, tt.want)
		}
	}
}
