package main

import (
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// A bar shows the progress of a transfer with its rate and the remaining time. A nil bar shows nothing.
type bar struct {
	*progressbar.ProgressBar
	stop    chan struct{}
	stopped chan struct{}
}

// newBar returns a bar on a terminal that a person looks at, and nil otherwise. size is -1 when unknown; start bytes are
// there already and do not count. Call finish.
func (a *app) newBar(w io.Writer, what string, size, start int64) *bar {
	if size > 0 {
		size -= start
	}
	if a.quiet || size == 0 || !isTerminal(w) {
		return nil
	}
	b := &bar{stop: make(chan struct{}), stopped: make(chan struct{})}
	b.ProgressBar = progressbar.NewOptions64(size,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetDescription(what),
		progressbar.OptionShowBytes(true),
		progressbar.OptionShowTotalBytes(true),
		progressbar.OptionUseIECUnits(true),
		progressbar.OptionShowCount(),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionSetElapsedTime(true),
		progressbar.OptionThrottle(refresh/2),
		progressbar.OptionSetWidth(30),
		progressbar.OptionSetSpinnerChangeInterval(0), // tick draws it
		progressbar.OptionClearOnFinish(),
	)
	go b.tick()
	return b
}

// refresh is how often the bar is drawn, also while nothing moves.
const refresh = 200 * time.Millisecond

func (b *bar) tick() {
	defer close(b.stopped)
	t := time.NewTicker(refresh)
	defer t.Stop()
	for {
		b.RenderBlank()
		select {
		case <-t.C:
		case <-b.stop:
			return
		}
	}
}

// reader counts what is read from r.
func (b *bar) reader(r io.Reader) io.Reader {
	if b == nil {
		return r
	}
	return io.TeeReader(r, b)
}

// add counts n bytes.
func (b *bar) add(n int64) {
	if b != nil {
		b.Add64(n)
	}
}

// finish takes the bar away, so that what follows stands in a line of its own. Further calls do nothing.
func (b *bar) finish() {
	if b == nil {
		return
	}
	select {
	case <-b.stopped:
		return
	default:
	}
	close(b.stop)
	<-b.stopped
	b.Exit()
	b.Clear()
}
