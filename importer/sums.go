package importer

import (
	"context"
	"io"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/internal/hashes"
)

// sumReceived plans to record the sum of the staged data before anything else is made of it.
func (j *job) sumReceived(ctx context.Context, r imagestore.Reader) (err error) {
	if j.plan.Received != nil {
		return nil
	}
	sum := image.ContentSum{Of: image.SumReceived, Algo: j.images.HashAlgo(), Size: r.Size()}
	if sum.Value, err = hashes.Sum(sum.Algo, j.progress(ctx, imagestore.Sequential(ctx, r))); err == nil {
		j.plan.Received = &sum
	}
	return err
}

// sumDisk records the sum of the disk in the image that was imported. Without it the import is as good.
func (j *job) sumDisk(ctx context.Context) {
	if j.plan.Method == image.ImportCopy || j.diskSums <= 0 {
		return
	}
	copied := j.copied
	if err := j.images.SumDisk(ctx, j.task, j.diskSums, func(r io.Reader) io.Reader { return j.progress(ctx, r) }); err != nil {
		j.log.WarnContext(ctx, "the disk in an image has no sum", "task_id", j.task.ID, "image_id", j.task.ImageID, "error", err)
	}
	j.copied = copied
}
