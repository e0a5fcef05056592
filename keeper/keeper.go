// Package keeper runs the periodic jobs: each at its time or when it is woken, one run at a time, until the daemon
// stops. What a job does is a verb of another package; this one knows only when.
package keeper

import (
	"context"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"
)

// A Job is work that is done again and again.
type Job struct {
	Name    string
	Every   time.Duration
	AtStart bool            // runs it at once
	Retry   time.Duration   // after a failure, doubled with each further one up to Every; 0 is Every
	Wake    <-chan struct{} // runs it before its time; nil for never
	Run     func(ctx context.Context) error
}

// Run carries out the jobs until ctx ends, and then waits for those under way. A job that fails is logged and tried
// again at its next time. It returns nil.
func Run(ctx context.Context, log *slog.Logger, jobs ...Job) error {
	var g errgroup.Group
	for _, job := range jobs {
		g.Go(func() error {
			job.loop(ctx, log)
			return nil
		})
	}
	return g.Wait()
}

func (j Job) loop(ctx context.Context, log *slog.Logger) {
	tick := time.NewTicker(j.Every)
	defer tick.Stop()
	retry := time.Duration(0) // of the trouble that lasts
	failing := ""
	for now := j.AtStart; ; now = false {
		if !now {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			case <-j.Wake:
			}
		}
		err := j.Run(ctx)
		switch {
		case err != nil && j.Retry > 0:
			retry = min(max(2*retry, j.Retry), j.Every)
			tick.Reset(retry)
		case err == nil && retry > 0:
			retry = 0
			tick.Reset(j.Every)
		}
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && failing != "":
			log.Info("a job works again", "job", j.Name)
			failing = ""
		case err != nil && err.Error() != failing: // the same trouble is told once
			log.Warn("a job failed and will be tried again", "job", j.Name, "error", err)
			failing = err.Error()
		}
	}
}
