package imageservice

import (
	"cmp"
	"context"
	"errors"
	"sync"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadata"
)

// growthStep is how much an upload of unknown size reserves ahead of its data while there is plenty; later it doubles what it
// has. A transaction may wait long for a disk that is busy with the data, and the data for it: there must be few.
const growthStep = 1 << 30

// maxReserved bounds what one upload counts for, so that announcements cannot overflow a sum.
const maxReserved = 1 << 50

// A growth is the reservation of an upload of unknown size, which grows while the data comes. What it has reserved ahead is
// taken back when somebody else needs it.
type growth struct {
	svc *Service
	res image.Upload

	mu       sync.Mutex
	project  string // that owns the image, as far as is known here
	used     int64  // bytes that have come
	reserved int64  // bytes that may come; the database has at least as many
}

// admit lets the data grow to so many bytes. Errors: *image.QuotaError, errDeleted, errTakenOver, image.ErrUnavailable.
func (g *growth) admit(ctx context.Context, bytes int64) error {
	g.mu.Lock()
	enough := bytes <= g.reserved
	if enough {
		g.used = bytes
	}
	g.mu.Unlock()
	if enough {
		return nil
	}
	err := errChanged
	for errors.Is(err, errChanged) { // the image was given to another project
		err = g.svc.grow(ctx, g, bytes)
	}
	return err
}

// grow reserves at least so many bytes.
func (s *Service) grow(ctx context.Context, g *growth, bytes int64) error {
	g.mu.Lock()
	project := g.project
	g.mu.Unlock()
	quota, err := s.quotaOf(ctx, project)
	if err != nil {
		return err
	}
	release, err := s.holdGrowths(ctx)
	if err != nil {
		return err
	}
	defer release()
	err = s.growWithin(ctx, g, project, quota, bytes)
	if !overSize(err) {
		return err
	}
	if trimmed, trimErr := s.trimGrowths(ctx, project, g); !trimmed {
		return cmp.Or(trimErr, err)
	}
	return s.growWithin(ctx, g, project, quota, bytes)
}

// growWithin reserves at least so many bytes within the quota of a project. Error: errChanged when the image is another's.
func (s *Service) growWithin(ctx context.Context, g *growth, project string, quota Quota, bytes int64) error {
	var reserved int64
	var owner string
	err := s.db.Update(ctx, func(tx metadata.WriteTx) error {
		img, err := reservedImage(tx, g.res)
		if err != nil {
			return err
		}
		if owner = img.Owner; owner != project {
			return errChanged
		}
		now, err := tx.Upload(g.res.Number)
		if err != nil {
			return err
		}
		have, err := tx.Usage(project)
		if err != nil {
			return err
		}
		need := max(bytes-now.Reserved, 0)
		if err := quota.check(have, usageOf(g.res.Store, need)); err != nil {
			return err
		}
		reserved = now.Reserved + need
		reserved += min(max(reserved, growthStep), (quota.left(have, g.res.Store)-need)/4) // leaving most of it to others
		return tx.ReserveBytes(g.res.ID, min(reserved, maxReserved))
	})
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case errors.Is(err, errChanged):
		g.project = owner
	case err == nil:
		g.used, g.reserved = bytes, reserved
	}
	return err
}

// withRoom runs an update that needs room in the quota of a project. If there is too little, it runs once more after what
// uploads of this process have reserved ahead was taken back, while none of them can reserve more.
func (s *Service) withRoom(ctx context.Context, project string, update func() error) error {
	err := update()
	if !overSize(err) {
		return err
	}
	release, holdErr := s.holdGrowths(ctx)
	if holdErr != nil {
		return holdErr
	}
	defer release()
	if trimmed, trimErr := s.trimGrowths(ctx, project, nil); !trimmed {
		return cmp.Or(trimErr, err)
	}
	return update()
}

// holdGrowths keeps reservations from growing until release is called.
func (s *Service) holdGrowths(ctx context.Context) (release func(), err error) {
	select {
	case s.growing <- struct{}{}:
		return func() { <-s.growing }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// trimGrowths takes back what the uploads of a project have reserved ahead, save that of one, and reports whether that was
// anything. Growths must be held.
func (s *Service) trimGrowths(ctx context.Context, project string, except *growth) (trimmed bool, err error) {
	used := make(map[string]int64)
	s.mu.Lock()
	for id, g := range s.growths {
		g.mu.Lock()
		if g != except && g.project == project && g.reserved > g.used {
			g.reserved = g.used // from now on it must ask
			used[id] = g.used
		}
		g.mu.Unlock()
	}
	s.mu.Unlock()
	if len(used) == 0 {
		return false, nil
	}
	err = s.db.Update(ctx, func(tx metadata.WriteTx) error {
		for id, bytes := range used {
			if err := tx.ReserveBytes(id, bytes); err != nil && !errors.Is(err, image.ErrNotFound) { // it has ended
				return err
			}
		}
		return nil
	})
	return err == nil, err
}

// watchGrowth notes an upload of unknown size that must stay within a quota.
func (s *Service) watchGrowth(res image.Upload, project string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.growths[res.ID] = &growth{svc: s, res: res, project: project}
}

// admission returns what is asked before more data of an upload is taken, nil for nothing.
func (s *Service) admission(upload string) func(ctx context.Context, bytes int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g := s.growths[upload]; g != nil {
		return g.admit
	}
	return nil
}
