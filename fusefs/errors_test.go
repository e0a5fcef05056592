package fusefs

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/vitrine-image/vitrine/image"
)

func TestEveryErrorHasANumber(t *testing.T) {
	for _, err := range image.Errors() {
		if errno, known := errnoOf(fmt.Errorf("open: %w", err)); !known || errno == syscall.EIO || errno == 0 {
			t.Errorf("no errno for %q: %v", err, errno)
		}
	}
	for _, tt := range []struct {
		err  error
		want syscall.Errno
	}{
		{fmt.Errorf("view: %w", context.Canceled), syscall.EINTR},
		{context.DeadlineExceeded, syscall.ETIMEDOUT},
		{syscall.ENFILE, syscall.ENFILE},
		{errors.New("anything else"), syscall.EIO},
		{fmt.Errorf("open a file of the store: %w", syscall.EROFS), syscall.EIO}, // a store's troubles are not the mount's
	} {
		if got, _ := errnoOf(tt.err); got != tt.want {
			t.Errorf("errno of %q is %v, want %v", tt.err, got, tt.want)
		}
	}
}
