package imageservice

import (
	"context"
	"errors"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadata"
)

// followTimeout bounds how long a verb waits for those who follow the feed.
const followTimeout = time.Second

// Follow makes the verbs that change what a mount shows wait until applied returns, for at most a second: then what was
// answered holds in the mount as well. Call it before the first verb.
func (s *Service) Follow(applied func(ctx context.Context, sequence int64) error) {
	s.applied = applied
}

// A trace notes what an Update changed, to wait for those who show it, and to tell of it.
type trace struct {
	img      *image.Image // as it is now, nil for none
	sequence int64
	shown    bool // an active image, before or after
}

// save records the image, whose status was before until now.
func (t *trace) save(tx metadata.WriteTx, img *image.Image, before image.Status) (err error) {
	if err := tx.SaveImage(img); err != nil {
		return err
	}
	t.img = img
	t.shown = before == image.Active || img.Status == image.Active
	t.sequence, err = tx.LastChange()
	return err
}

// follow waits until the change of a committed Update is seen everywhere.
func (s *Service) follow(ctx context.Context, t trace) {
	if !t.shown || s.applied == nil {
		return
	}
	ctx, stop := context.WithTimeout(ctx, followTimeout)
	defer stop()
	if err := s.applied(ctx, t.sequence); errors.Is(err, context.DeadlineExceeded) {
		s.log.WarnContext(ctx, "the mount is slow to show a change", "waited", followTimeout)
	}
}
