package daemon

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestMountProbeIsOne hangs a mount: who asks is answered in time, and no second child comes to hang beside the first.
func TestMountProbeIsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		var children atomic.Int32
		probe := newMountProbe("/mnt")
		probe.run = func(context.Context, string) error { children.Add(1); <-hang; return nil }
		ask := func() error {
			ctx, stop := context.WithTimeout(t.Context(), time.Second)
			defer stop()
			return probe.ask(ctx)
		}
		if err := ask(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a mount that hangs: %v, want %v", err, context.DeadlineExceeded)
		}
		if err := ask(); err == nil || !strings.Contains(err.Error(), "what it was asked last") || children.Load() != 1 {
			t.Errorf("while it hangs: %v with %d children, want an error with one", err, children.Load())
		}
		close(hang)
		synctest.Wait()
		if err := ask(); err != nil || children.Load() != 2 {
			t.Errorf("once it answers: %v with %d children, want nil with 2", err, children.Load())
		}
	})
}

// TestMountProbeAsks runs the question itself: a directory that is there answers, one that is not there does not.
func TestMountProbeAsks(t *testing.T) {
	dir := t.TempDir()
	if err := probeMount(dir); err != nil {
		t.Errorf("a directory without by-id, such as one whose mount is gone: %v", err)
	}
	if err := probeMount(dir + "/vitrine\x00"); err == nil {
		t.Error("a path that nobody can ask for answers")
	}
}
