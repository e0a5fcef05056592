package imageservice

import (
	"context"

	"github.com/vitrine-image/vitrine/events"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/policy"
)

// Cache refuses what the rule is about: first to who may not do it with any cache, and then because there is none.
// Errors: image.ErrForbidden, image.ErrNotFound.
func (s *Session) Cache(ctx context.Context, rule string) (err error) {
	defer s.recordRefusal(ctx, events.CacheObject, "", &err)
	if err := s.svc.policy.Check(ctx, s.caller, rule, policy.ForProject(s.caller.ProjectID)); err != nil {
		return err
	}
	return image.Errorf(image.ErrNotFound, "Caching via API is not supported at this site: this server has no cache of images.")
}
