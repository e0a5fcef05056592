package client

import (
	"context"
	"fmt"
	"io"
	"time"
)

// A watchdog ends a transfer that stands still: when start was called and stop was not called in time, it cancels the
// context that watch returned with it.
type watchdog struct {
	ctx    context.Context // what it cancels
	limit  time.Duration
	timer  *time.Timer
	cancel context.CancelCauseFunc
}

// watch returns a context for one attempt of a transfer. The watchdog is not started; call end when all is over.
func watch(ctx context.Context, limit time.Duration) (context.Context, *watchdog) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watchdog{ctx: ctx, limit: limit, cancel: cancel}
	w.timer = time.AfterFunc(limit, func() { cancel(fmt.Errorf("%w for %s", errStalled, limit)) })
	w.timer.Stop()
	return ctx, w
}

func (w *watchdog) start() { w.timer.Reset(w.limit) }
func (w *watchdog) stop()  { w.timer.Stop() }

func (w *watchdog) end() {
	w.timer.Stop()
	w.cancel(nil)
}

// A watchedBody is the body of an answer. It is watched while it is waited for.
type watchedBody struct {
	io.ReadCloser
	stalled *watchdog
}

func (b watchedBody) Read(p []byte) (int, error) {
	b.stalled.start()
	defer b.stalled.stop()
	return b.ReadCloser.Read(p)
}
