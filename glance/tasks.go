package glance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadata"
)

// keepEnded is how long a task that ended with Glance can still be looked at, as Glance has it.
const keepEnded = 48 * time.Hour

// tasks takes over the tasks that have not expired.
func (a *adopter) tasks(ctx context.Context) error {
	for after := ""; ; {
		page, err := a.Source.tasks(ctx, after)
		if err != nil || len(page) == 0 {
			return err
		}
		after = string(page[len(page)-1].ID)
		var done Report
		err = a.DB.Update(ctx, func(tx metadata.WriteTx) error {
			done = Report{}
			for _, t := range page {
				if err := a.task(tx, &done, t); err != nil {
					return fmt.Errorf("task %s of Glance: %w", t.ID, err)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		a.report.add(&done)
	}
}

// task takes over one. What had not ended has failed: nobody goes on with it.
func (a *adopter) task(tx metadata.WriteTx, report *Report, from *image.Task) error {
	t, now := *from, a.Now()
	if t.ExpiresAt != nil && t.ExpiresAt.Before(now) {
		return nil
	}
	id, ok := image.ParseID(string(t.ID))
	if !ok || !t.Type.Planned() {
		report.Tasks.Left++
		report.Problems = append(report.Problems, Problem{Kind: "task", ID: string(t.ID), Text: fmt.Sprintf("tasks of the type %q are unknown", t.Type)})
		return nil
	}
	t.ID = id
	if about, ok := image.ParseID(string(t.ImageID)); ok {
		t.ImageID = about
	} else {
		t.ImageID = ""
	}
	_, err := tx.Task(id)
	if err == nil {
		report.Tasks.Unchanged++ // it has ended, so nothing follows
		return nil
	}
	if !errors.Is(err, image.ErrNotFound) {
		return err
	}
	if !t.Status.Ended() {
		t.Status, t.Message = image.TaskFailure, "The task had not ended when it was taken over from Glance."
		report.Remarks = append(report.Remarks, Problem{Kind: "task", ID: string(id), Text: fmt.Sprintf("it was %s and has failed: it has to be started again", from.Status)})
	}
	if t.ExpiresAt == nil {
		at := now.Add(keepEnded)
		t.ExpiresAt = &at
	}
	report.Tasks.Added++
	return tx.SaveTask(&t)
}
