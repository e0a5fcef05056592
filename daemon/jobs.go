package daemon

import (
	"context"
	"time"

	"github.com/vitrine-image/vitrine/imageservice"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/keeper"
)

// jobs are what the daemon does by itself.
func (d *daemon) jobs() []keeper.Job {
	jobs := []keeper.Job{
		{Name: "heartbeat", Every: 15 * time.Second, Run: d.service.Beat},
		{Name: "trim changes", Every: time.Minute, Run: func(ctx context.Context) error {
			return d.service.TrimChanges(ctx, d.cfg.Metadata.KeepChanges)
		}},
		{Name: "drop labels", Every: 24 * time.Hour, Run: func(ctx context.Context) error { return d.service.DropLabels(ctx, keepLabels) }},
		{Name: "drop tasks", Every: 10 * time.Minute, Run: d.service.DropTasks},
		{Name: "audit", Every: 24 * time.Hour, AtStart: true, Retry: 10 * time.Minute, Run: d.audit},
	}
	for _, e := range d.stores.Entries() {
		jobs = append(jobs, d.sweepJob(e))
	}
	return jobs
}

// sweepJob cleans up in one store, so that none waits for another one that hangs. What is at hand was swept at the start.
func (d *daemon) sweepJob(e imagestore.Entry) keeper.Job {
	untold := !e.Local
	return keeper.Job{Name: "sweep " + e.ID, Every: 30 * time.Second, AtStart: !e.Local, Retry: time.Second, Wake: d.service.Released(e.ID),
		Run: func(ctx context.Context) error {
			err := d.service.Sweep(ctx, func(store string) bool { return store == e.ID })
			if err == nil && untold {
				err = d.tellOfLostDatabase(ctx, e)
				untold = err != nil
			}
			return err
		}}
}

// keepLabels is how many names, tags and projects must have come after one without images before its number is forgotten.
const keepLabels = 100_000

// maxFindings is how many findings of one audit are told one by one.
const maxFindings = 100

// audit reports what in the stores belongs to no image, and images whose data is not there. It changes nothing.
func (d *daemon) audit(ctx context.Context) error {
	found, lost := 0, 0
	err := d.service.Audit(ctx, func(f imageservice.Finding) {
		if f.ImageID != "" {
			lost++
		}
		if found++; found <= maxFindings {
			d.log.WarnContext(ctx, "the audit found something that should not be", "problem", f.Problem, "store", f.Store, "path", f.Path, "image_id", f.ImageID, "bytes", f.Bytes)
		}
	})
	if found > maxFindings {
		d.log.WarnContext(ctx, "the audit found more than is told one by one", "findings", found)
	}
	if lost > 0 {
		d.log.ErrorContext(ctx, "image data is lost or out of reach: see that the disks of the stores are mounted, or restore "+
			"their files from a backup", "findings", lost)
	}
	return err
}
