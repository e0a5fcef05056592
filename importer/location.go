package importer

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

// addLocation makes the image active with the location of the plan, and then examines the data there. It can be called again after it was
// interrupted anywhere.
func (j *job) addLocation(ctx context.Context) error {
	if err := j.attempts(); err != nil {
		return err
	}
	if !j.plan.Location.Added {
		if err := j.images.Adopt(ctx, j.task, j.plan); err != nil {
			return err
		}
	}
	if !j.plan.Location.Verify {
		return nil
	}
	for left := j.retries; ; left-- {
		err := j.images.Examine(ctx, j.task, j.plan, func(r io.Reader) io.Reader { return j.progress(ctx, r) })
		if left <= 0 || !errors.Is(err, image.ErrStoreOffline) && !errors.Is(err, image.ErrInterrupted) {
			return err
		}
		j.log.InfoContext(ctx, "the data of a location is examined once more", "task_id", j.task.ID, "image_id", j.task.ImageID, "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(j.pause):
		}
	}
}

// endLocation records how it ended, err being what ended the work.
func (j *job) endLocation(ctx context.Context, err error) error {
	if err == nil {
		message := "The location was added."
		if j.plan.Location.Verify {
			message = "The location was added, and its data was examined."
		}
		return j.images.EndLocation(ctx, j.task, false, message)
	}
	j.log.WarnContext(ctx, "a location could not be added or examined", "task_id", j.task.ID, "image_id", j.task.ImageID, "error", err)
	text := explain(err)
	if j.plan.Location.Added {
		text = "The location was added, but its data could not be examined. " + text
	}
	return j.images.EndLocation(ctx, j.task, true, text)
}
