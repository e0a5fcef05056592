package metrics

import (
	"context"
	"time"

	"github.com/vitrine-image/vitrine/keeper"
)

// Jobs returns the jobs with their runs counted.
func (m *Metrics) Jobs(jobs []keeper.Job) []keeper.Job {
	counted := make([]keeper.Job, len(jobs))
	for i, job := range jobs {
		run := job.Run
		done, failed, seconds := m.jobRuns.WithLabelValues(job.Name, "ok"), m.jobRuns.WithLabelValues(job.Name, "failed"), m.jobSeconds.WithLabelValues(job.Name)
		job.Run = func(ctx context.Context) error {
			start := time.Now()
			err := run(ctx)
			seconds.Add(time.Since(start).Seconds())
			switch {
			case err == nil:
				done.Inc()
				m.jobSuccess.WithLabelValues(job.Name).SetToCurrentTime()
			case ctx.Err() == nil: // one that is stopped has not failed
				failed.Inc()
			}
			return err
		}
		counted[i] = job
	}
	return counted
}
