//go:build ceph

package rbdstore

import (
	"context"
	"errors"
	"time"

	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/rbd"
)

// Sweep implements imagestore.Sweeper: it removes images whose upload has ended before its time, and those in the trash
// that nobody uses any more. A writer watches its image, also one in another daemon; the cluster takes 30 s to notice
// that a watcher has died.
func (s *Store) Sweep(ctx context.Context) (removed int, err error) {
	if _, err := s.identity(ctx); err != nil {
		return 0, err
	}
	names, err := s.pool.List(ctx)
	if err != nil {
		return 0, s.failure(err)
	}
	s.mu.Lock()
	before := s.finished
	s.mu.Unlock()
	finished := map[string]bool{}
	var failed []error
	for _, name := range names {
		if !imagestore.IsObjectName(name) {
			continue
		}
		done, left, err := before[name], false, error(nil)
		if !done {
			done, left, err = s.judge(ctx, name)
		}
		if left && err == nil {
			err = s.remove(ctx, name)
			removed++
		}
		if err != nil {
			failed = append(failed, s.failure(err))
		}
		if done {
			finished[name] = true
		}
	}
	s.mu.Lock()
	s.finished = finished
	s.mu.Unlock()
	n, err := s.emptyTrash(ctx)
	return removed + n, errors.Join(append(failed, err)...)
}

// SweepEvery implements imagestore.Recurrent. After the first sweep only new images and the trash are looked at.
func (s *Store) SweepEvery() time.Duration { return time.Hour }

// judge tells whether an image is finished, and so for ever, or left by a writer that has died.
func (s *Store) judge(ctx context.Context, name string) (finished, left bool, err error) {
	_, kind, err := s.inspect(ctx, name)
	switch {
	case errors.Is(err, rbd.ErrNotFound):
		return false, false, nil
	case err != nil:
		return false, false, err
	case kind == unfinished:
		left, err = s.isLeft(ctx, name)
	}
	return kind == "", left, err
}

// isLeft tells whether an image is unfinished and nobody writes it.
func (s *Store) isLeft(ctx context.Context, name string) (bool, error) {
	img, err := s.pool.Open(ctx, name, "", rbd.Unnoticed)
	if errors.Is(err, rbd.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer img.Close(ctx)
	text, err := img.Noted(ctx, noteUnfinished)
	if err != nil || text == "" {
		return false, err
	}
	others, own, err := img.Watchers(ctx)
	return others+own == 0, err
}

// emptyTrash removes from the trash what Delete has put there and nobody uses any more.
func (s *Store) emptyTrash(ctx context.Context) (removed int, err error) {
	list, err := s.pool.Trashed(ctx)
	if err != nil {
		return 0, s.failure(err)
	}
	var failed []error
	for _, t := range list {
		if !imagestore.IsObjectName(t.Name) {
			continue
		}
		gone, err := s.removeTrashed(ctx, t.ID)
		switch {
		case gone:
			removed++
		case err != nil && !errors.Is(err, rbd.ErrNotFound):
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
	if err != nil || text == "" {
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
