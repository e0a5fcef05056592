//go:build ceph

package rbdstore

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/vitrine-image/vitrine/rbd"
)

// Sweep implements imagestore.Sweeper: it removes images whose upload has ended before its time, those in the trash that
// nobody uses any more, and clones that were not finished. A writer watches its image, also one in another daemon; the
// cluster takes 30 s to notice that a watcher has died. What the user may not remove is left to those who may.
func (s *Store) Sweep(ctx context.Context) (removed int, err error) {
	if _, err := s.identity(ctx); err != nil {
		return 0, err
	}
	names, err := s.pool.List(ctx)
	if err != nil {
		return 0, s.failure(err)
	}
	s.sweeping.Lock()
	defer s.sweeping.Unlock()
	before := s.suspects
	s.suspects = map[string]time.Time{}
	var failed []error
	remain := false
	for _, name := range names {
		if !strings.HasPrefix(name, uploadPrefix) {
			continue
		}
		left, err := s.isLeft(ctx, name, before)
		if left && err == nil {
			err = s.remove(ctx, name, "")
		}
		switch {
		case errors.Is(err, rbd.ErrDenied):
		case err != nil:
			failed = append(failed, s.failure(err))
		case left:
			removed++
		default:
			remain = true
		}
	}
	s.unfinished.Store(remain)
	n, err := s.emptyTrash(ctx)
	m, cloneErr := s.sweepClones(ctx, before)
	return removed + n + m, errors.Join(append(failed, err, cloneErr)...)
}

// SweepEvery implements imagestore.Recurrent: soon while there is something that was left by a writer, or is being written.
func (s *Store) SweepEvery() time.Duration {
	if s.unfinished.Load() {
		return time.Minute
	}
	return time.Hour
}

// isLeft tells whether nobody writes an image any more. One that cannot be opened or has no note may be in the making, and one with its
// snapshot be about to get its name: nobody watches it then, and it is a suspect.
func (s *Store) isLeft(ctx context.Context, name string, before map[string]time.Time) (bool, error) {
	img, err := s.pool.Open(ctx, name, "", rbd.Unnoticed)
	if errors.Is(err, rbd.ErrNotFound) {
		return s.convict(name, before), nil
	}
	if err != nil {
		return false, err
	}
	defer img.Close(ctx)
	others, own, err := img.Watchers(ctx)
	if err != nil || others+own > 0 {
		return false, err
	}
	upload, err := img.Noted(ctx, noteUpload)
	if err != nil {
		return false, err
	}
	snapshots, err := img.Snapshots(ctx)
	if err != nil {
		return false, err
	}
	return upload != "" && len(snapshots) == 0 || s.convict(name, before), nil
}

// convict remembers a suspect, and tells whether it has been one, before this sweep, for longer than a step takes of whoever works on it.
func (s *Store) convict(name string, before map[string]time.Time) bool {
	since, known := before[name]
	if !known {
		since = time.Now()
	}
	s.suspects[name] = since
	return known && time.Since(since) > 2*s.cluster.Timeout()
}

// emptyTrash removes from the trash what Delete has put there and nobody uses any more.
func (s *Store) emptyTrash(ctx context.Context) (removed int, err error) {
	list, err := s.pool.Trashed(ctx)
	if err != nil {
		return 0, s.failure(err)
	}
	var failed []error
	for _, t := range list {
		gone, err := s.removeTrashed(ctx, t.ID)
		switch {
		case gone:
			removed++
		case err != nil && !errors.Is(err, rbd.ErrNotFound) && !errors.Is(err, rbd.ErrDenied):
			failed = append(failed, s.failure(err))
		}
	}
	return removed, errors.Join(failed...)
}

func (s *Store) removeTrashed(ctx context.Context, id string) (gone bool, err error) {
	img, err := s.pool.OpenTrashed(ctx, id)
	if err != nil {
		return false, err
	}
	defer img.Close(ctx)
	text, err := img.Noted(ctx, noteDeleted)
	if err != nil || text != id {
		return false, err
	}
	others, own, err := img.Watchers(ctx)
	if err != nil || others > 0 || own > 1 {
		return false, err
	}
	if users, err := s.users(ctx, img); err != nil || len(users) > 0 {
		return false, err
	}
	if err = dropSnapshots(ctx, img); err == nil {
		if err = img.Close(ctx); err == nil {
			err = s.pool.RemoveTrashed(ctx, id)
		}
	}
	if errors.Is(err, rbd.ErrBusy) || errors.Is(err, rbd.ErrSnapshots) {
		return false, nil // it has clones
	}
	return err == nil, err
}
