package glance

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"hash"
	"io"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/internal/hashes"
	"github.com/vitrine-image/vitrine/metadata"
)

// Verify reads the data of all images at all their locations, and adds to the report what is not what it should be.
func (report *Report) Verify(ctx context.Context, db metadata.DB, stores *imagestore.Set) error {
	report.Verified = &Verified{}
	for after := int64(0); ; {
		var page []*image.Image
		err := db.View(ctx, func(tx metadata.Tx) (err error) {
			page, err = tx.EveryImage(after, pageSize)
			return err
		})
		if err != nil || len(page) == 0 {
			return err
		}
		after = page[len(page)-1].Number
		for _, img := range page {
			if img.Status != image.Active && img.Status != image.Deactivated {
				continue
			}
			if err := report.verify(ctx, stores, img); err != nil {
				return err
			}
		}
	}
}

// verify reads one image. Errors: ctx's.
func (report *Report) verify(ctx context.Context, stores *imagestore.Set, img *image.Image) error {
	v := report.Verified
	v.Images++
	if img.HashValue == "" && img.Checksum == "" {
		v.NoHash++
	}
	bad := false
	for _, loc := range img.Locations {
		n, err := compare(ctx, stores, img, loc)
		v.Bytes += n
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			bad = true
			report.Problems = append(report.Problems, about(&record{id: string(img.ID), image: *img}, fmt.Sprintf("%s: %v", loc, err)))
		}
	}
	if bad {
		v.Bad++
	}
	return nil
}

// compare reads one copy and returns how much of it could be read, and in which way it is not the image's data.
func compare(ctx context.Context, stores *imagestore.Set, img *image.Image, loc image.Location) (int64, error) {
	store, ok := stores.Get(loc.Store)
	if !ok {
		return 0, fmt.Errorf("the store %s is not configured", loc.Store)
	}
	r, err := store.Open(ctx, loc)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	if img.Size != nil && *img.Size != r.Size() {
		return 0, fmt.Errorf("there are %d bytes instead of %d", r.Size(), *img.Size)
	}
	sum, want := sumOf(img)
	n, err := io.Copy(sum, io.NewSectionReader(at{ctx, r}, 0, r.Size()))
	if err != nil {
		return n, err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); want != "" && got != want {
		return n, fmt.Errorf("its hash is %s instead of %s", got, want)
	}
	return n, nil
}

// sumOf returns what the data is to be hashed with, and the result, "" if that is not known.
func sumOf(img *image.Image) (hash.Hash, string) {
	if img.HashValue != "" && hashes.Check(img.HashAlgo) == nil {
		return hashes.New(img.HashAlgo), img.HashValue
	}
	return md5.New(), img.Checksum
}

// at reads with a context.
type at struct {
	ctx context.Context
	imagestore.Reader
}

func (a at) ReadAt(p []byte, off int64) (int, error) { return a.Reader.ReadAt(a.ctx, p, off) }
