package importer

import (
	"context"
	"io"

	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/internal/signature"
)

// verifyStaged verifies the signature of staged data on which a plugin works, unless that was done when the data came. Where
// no plugin changes the bytes they are verified on their way into the first store.
func (j *job) verifyStaged(ctx context.Context) error {
	if j.plan.Signature == nil {
		return nil
	}
	check, err := signature.Resume(j.plan.Signature)
	if err != nil {
		return err
	}
	img, r, err := j.openStaged(ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	if change, _ := j.changes(img, imagestore.Sequential(ctx, r)); !change {
		return nil
	}
	h := check.Hash()
	if _, err := io.Copy(h, j.progress(ctx, imagestore.Sequential(ctx, r))); err != nil {
		return err
	}
	if err := check.Verify(h.Sum(nil)); err != nil {
		return err
	}
	j.plan.Signature = nil
	return nil
}
