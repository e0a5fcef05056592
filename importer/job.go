package importer

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/ingest"
)

// A job is one task at work.
type job struct {
	*Importer
	task *image.Task
	plan *image.ImportPlan

	copied int64   // bytes of the transfer that came last
	errs   []error // of stores that may fail
}

// work brings the data into the stores. It can be called again after it was interrupted anywhere.
func (j *job) work(ctx context.Context) error {
	if err := j.attempts(); err != nil {
		return err
	}
	if j.plan.Method != image.ImportCopy && !j.plan.Staged {
		if err := j.fetch(ctx); err != nil {
			return err
		}
	}
	if !j.plan.Staged {
		return j.finish(ctx, j.images.OpenImported)
	}
	if err := j.verifyStaged(ctx); err != nil {
		return err
	}
	if err := j.runPlugins(ctx); err != nil {
		return err
	}
	return j.finish(ctx, j.images.OpenStaged)
}

// finish fills the stores, and sums what they have then.
func (j *job) finish(ctx context.Context, open func(context.Context, *image.Image) (imagestore.Reader, error)) error {
	err := j.fill(ctx, open)
	if err == nil {
		j.sumDisk(ctx)
	}
	return err
}

// attempts refuses a task that was taken up too often.
func (j *job) attempts() error {
	if j.plan.Attempts > maxAttempts {
		return image.Errorf(image.ErrInterrupted, "The task was taken up %d times, and the server ended each time before it.", maxAttempts)
	}
	return nil
}

// fill brings the data that open opens into every store that does not have it.
func (j *job) fill(ctx context.Context, open func(context.Context, *image.Image) (imagestore.Reader, error)) error {
	for _, store := range j.plan.Stores {
		img, err := j.image(ctx)
		if err != nil {
			return err
		}
		if img.Has(store) || slices.Contains(j.plan.Failed, store) {
			continue
		}
		if err = j.fillOne(ctx, img, store, open); err != nil {
			if err := j.goOnWithout(ctx, &storeError{store, err}); err != nil {
				return err
			}
		}
	}
	return nil
}

// goOnWithout notes that a store failed. It returns the error if the import may not do without the store.
func (j *job) goOnWithout(ctx context.Context, err *storeError) error {
	if ctx.Err() != nil || !j.plan.AllowFailure || errors.Is(err, image.ErrGone) || errors.Is(err, image.ErrUnavailable) {
		return err
	}
	j.plan.Failed = append(j.plan.Failed, err.store)
	j.errs = append(j.errs, err)
	return nil
}

func (j *job) fillOne(ctx context.Context, img *image.Image, store string, open func(context.Context, *image.Image) (imagestore.Reader, error)) error {
	r, err := open(ctx, img)
	if err != nil {
		return err
	}
	defer r.Close()
	req := ingest.Request{Body: j.progress(ctx, imagestore.Sequential(ctx, r)), Size: r.Size(), DiskFormat: img.DiskFormat, ContainerFormat: img.ContainerFormat}
	if f, ok := r.(imagestore.FileReader); ok {
		req.File, req.Spare = f.File(), j.plan.Staged && len(img.Locations) == 0
	}
	if j.plan.Method == image.ImportCopy && j.images.Judged(img) {
		req.ContainerFormat = ""
	}
	return j.images.Receive(ctx, j.task, j.plan, store, req)
}

// image returns the image, with the formats that its data has by now.
func (j *job) image(ctx context.Context) (*image.Image, error) {
	img, err := j.images.ImportedImage(ctx, j.task)
	if err != nil {
		return nil, err
	}
	return j.plan.Declared(img), nil
}

// outcome says how the import ended, err being what ended the work.
func (j *job) outcome(ctx context.Context, err error) (failed bool, message string) {
	img, gone := j.images.ImportedImage(ctx, j.task)
	if gone != nil {
		return true, explain(gone)
	}
	has := slices.ContainsFunc(j.plan.Stores, img.Has)
	lacks := slices.ContainsFunc(j.plan.Stores, func(id string) bool { return !img.Has(id) })
	if failed = !has || lacks && !j.plan.AllowFailure; failed && err == nil && len(j.errs) == 0 {
		err = errors.New("the work ended without the data and without a reason")
	}
	var texts []string
	for _, err := range append(j.errs, err) {
		if err != nil {
			text := explain(err)
			if of, ok := errors.AsType[*storeError](err); ok && len(j.plan.Stores) > 1 {
				text = "Store " + of.store + ": " + text
			}
			texts = append(texts, text)
			j.log.WarnContext(ctx, "an import failed", "task_id", j.task.ID, "image_id", j.task.ImageID, "method", j.plan.Method, "error", err)
		}
	}
	if len(texts) == 0 {
		return false, copied(j.copied) + j.unconverted(img)
	}
	return failed, strings.Join(slices.Compact(texts), " ")
}

// A storeError says which of several stores did not get the data.
type storeError struct {
	store string
	err   error
}

func (e *storeError) Error() string { return "store " + e.store + ": " + e.err.Error() }
func (e *storeError) Unwrap() error { return e.err }
