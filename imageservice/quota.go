package imageservice

import (
	"context"
	"errors"
	"math"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadata"
)

// A quota is checked in the transaction that uses it up: the one that creates the image, or that moves it out of queued and
// reserves its size. So no number of requests at once gets more than there is. Data of unknown size reserves as it comes,
// ahead of its writing: see growth. What was reserved goes with the upload's record, on every way out.

// A Quota bounds what the images of one project may take together. Numbers below 0 are no limit.
type Quota struct {
	Size      int64 // bytes of data in stores, each copy counted
	Staged    int64 // bytes in the staging area
	Images    int64
	Uploading int64 // images whose data is on its way in
}

// NoQuota limits nothing.
var NoQuota = Quota{-1, -1, -1, -1}

// A QuotaSource says what projects may use. It is asked outside of transactions, since it may have to ask a server.
type QuotaSource interface {
	// Quota returns the limits of a project. Errors: image.ErrUnavailable.
	Quota(ctx context.Context, project string) (Quota, error)
}

// Quotas are those of a configuration.
type Quotas struct {
	Default  Quota
	Projects map[string]Quota // in place of Default
}

// Quota returns the limits of a project.
func (q Quotas) Quota(_ context.Context, project string) (Quota, error) {
	if own, ok := q.Projects[project]; ok {
		return own, nil
	}
	return q.Default, nil
}

// resources are what a Quota limits.
var resources = []struct {
	name  string
	unit  int64 // of what clients are shown
	limit func(Quota) int64
	used  func(image.Usage) int64
}{
	{image.QuotaSize, 1 << 20, func(q Quota) int64 { return q.Size }, func(u image.Usage) int64 { return u.Bytes }},
	{image.QuotaStaged, 1 << 20, func(q Quota) int64 { return q.Staged }, func(u image.Usage) int64 { return u.Staged }},
	{image.QuotaImages, 1, func(q Quota) int64 { return q.Images }, func(u image.Usage) int64 { return u.Images }},
	{image.QuotaUploading, 1, func(q Quota) int64 { return q.Uploading }, func(u image.Usage) int64 { return u.Uploading }},
}

// Resources returns what a Quota limits, by the names that clients know.
func Resources() []string {
	var names []string
	for _, r := range resources {
		names = append(names, r.name)
	}
	return names
}

// admit refuses more than is left. It costs nothing where nothing is limited. Error: *image.QuotaError.
func (q Quota) admit(tx metadata.Tx, project string, more image.Usage) error {
	if q == NoQuota {
		return nil
	}
	have, err := tx.Usage(project)
	if err != nil {
		return err
	}
	return q.check(have, more)
}

// check refuses what is too much beside what there is. Error: *image.QuotaError.
func (q Quota) check(have, more image.Usage) error {
	for _, r := range resources {
		limit, used, add := r.limit(q), r.used(have), r.used(more)
		if limit >= 0 && add > 0 && add > limit-used {
			return &image.QuotaError{Resource: r.name, Limit: limit, Attempted: used + min(add, math.MaxInt64-used)}
		}
	}
	return nil
}

// limits reports whether there is a limit of the bytes in a store.
func (q Quota) limits(store string) bool { return q.left(image.Usage{}, store) < math.MaxInt64 }

// left returns how many more bytes a store may take. There may be fewer than none.
func (q Quota) left(have image.Usage, store string) int64 {
	limit, used := q.Size, have.Bytes
	if store == image.StagingStore {
		limit, used = q.Staged, have.Staged
	}
	if limit < 0 {
		return math.MaxInt64
	}
	return limit - used
}

// usageOf is what so many bytes in a store use.
func usageOf(store string, bytes int64) image.Usage {
	if store == image.StagingStore {
		return image.Usage{Staged: bytes}
	}
	return image.Usage{Bytes: bytes}
}

// quotaOf returns the limits of a project. Images that are nobody's have none.
func (s *Service) quotaOf(ctx context.Context, project string) (Quota, error) {
	if s.quotas == nil || project == "" {
		return NoQuota, nil
	}
	return s.quotas.Quota(ctx, project)
}

// overSize reports whether an error is one that room for more bytes would mend.
func overSize(err error) bool {
	var full *image.QuotaError
	return errors.As(err, &full) && (full.Resource == image.QuotaSize || full.Resource == image.QuotaStaged)
}

// Usage returns what the caller's project uses of what it has limits for, nothing when it has none.
func (s *Session) Usage(ctx context.Context) ([]image.Quota, error) {
	quota, err := s.svc.quotaOf(ctx, s.caller.ProjectID)
	if err != nil || quota == NoQuota {
		return nil, err
	}
	var have image.Usage
	err = s.svc.db.View(ctx, func(tx metadata.Tx) error {
		have, err = tx.Usage(s.caller.ProjectID)
		return err
	})
	if err != nil {
		return nil, err
	}
	var list []image.Quota
	for _, r := range resources {
		use := image.Quota{Resource: r.name, Used: r.used(have) / r.unit, Limit: -1}
		if limit := r.limit(quota); limit >= 0 {
			use.Limit = limit / r.unit
		}
		list = append(list, use)
	}
	return list, nil
}
