package imageservice

import (
	"context"
	"io"
	"slices"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/internal/hashes"
	"github.com/vitrine-image/vitrine/metadata"
	"github.com/vitrine-image/vitrine/policy"
)

// Sums returns what is known of an image's content: as it is stored, as it was received, and of the disk in it. Errors:
// image.ErrNotFound, image.ErrForbidden.
func (s *Session) Sums(ctx context.Context, id image.ID) (sums []image.ContentSum, err error) {
	img, err := s.permitted(ctx, id, policy.GetImage)
	if err != nil {
		return nil, err
	}
	var recorded []image.ContentSum
	err = s.svc.db.View(ctx, func(tx metadata.Tx) error {
		recorded, err = tx.ContentSums(img.Number)
		return err
	})
	if err != nil {
		return nil, err
	}
	if img.HashValue != "" && img.Size != nil {
		stored := image.ContentSum{Of: image.SumStored, Algo: img.HashAlgo, Value: img.HashValue, Size: *img.Size}
		sums = append(sums, stored)
		if stored.Of = image.SumDisk; img.IsRawDisk() {
			recorded = append(recorded, stored)
		}
	}
	return append(sums, recorded...), nil
}

// HashAlgo returns the algorithm of the sums that are made here.
func (s *Service) HashAlgo() string { return s.ingest.HashAlgo() }

// SumDisk records the sum of the disk in the image of a task, if it is not that of the data, and the disk not longer than max bytes.
// It is read through watch.
func (s *Service) SumDisk(ctx context.Context, task *image.Task, max int64, watch func(io.Reader) io.Reader) error {
	img, err := s.ImportedImage(ctx, task)
	if err != nil || img.Status != image.Active || !img.HasRawView() || img.IsRawDisk() || img.VirtualSize == nil || *img.VirtualSize > max {
		return err
	}
	known := false
	err = s.db.View(ctx, func(tx metadata.Tx) error {
		sums, err := tx.ContentSums(img.Number)
		known = slices.ContainsFunc(sums, func(s image.ContentSum) bool { return s.Of == image.SumDisk })
		return err
	})
	if err != nil || known {
		return err
	}
	r, err := s.OpenImported(ctx, img)
	if err != nil {
		return err
	}
	disk, err := s.openDisk(ctx, img, r)
	if err != nil {
		return err
	}
	defer disk.Close()
	sum := image.ContentSum{Of: image.SumDisk, Algo: s.HashAlgo(), Size: disk.Size()}
	if sum.Value, err = hashes.Sum(sum.Algo, watch(imagestore.Sequential(ctx, disk))); err != nil {
		return err
	}
	return s.db.Update(ctx, func(tx metadata.WriteTx) error { return tx.SaveContentSum(img.Number, sum) })
}
