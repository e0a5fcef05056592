package imageservice

import (
	"context"

	"github.com/vitrine-image/vitrine/events"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadata"
	"github.com/vitrine-image/vitrine/policy"
)

// AskOpeners has a mount tell which processes have an image open. It must be called before the service is used.
func (s *Service) AskOpeners(openers func(img *image.Image) []image.Process) { s.openers = openers }

// Users returns what uses an image now. Errors: image.ErrNotFound, image.ErrForbidden.
func (s *Session) Users(ctx context.Context, id image.ID) (u image.Users, err error) {
	defer s.recordRefusal(ctx, events.ImageObject, string(id), &err)
	img, err := s.permitted(ctx, id, policy.GetImage, policy.GetImageUsers)
	if err != nil {
		return u, err
	}
	err = s.svc.db.View(ctx, func(tx metadata.Tx) error {
		u.Pins, err = tx.Pins(img.Number)
		return err
	})
	if err != nil {
		return u, err
	}
	if u.Clones, err = s.svc.clonesOf(ctx, id, img.Locations); err != nil {
		return u, err
	}
	u.Downloads, u.Opens = s.svc.downloads.users(img.Number), s.svc.holds.users(img.Number)
	if s.svc.openers != nil {
		u.Processes = s.svc.openers(img)
	}
	return u, nil
}
